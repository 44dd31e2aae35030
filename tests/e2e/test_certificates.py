# SPDX-License-Identifier: BSD-2-Clause
"""The end of backends' certificates: shown, and told of in time, once."""

import time

import pytest

from certificates import Authority
from checkerd import Checkerd, timestamp
from nginx import Nginx, free_port

DAY = 86400


@pytest.fixture
def servers(folder):
    """nginx with one certificate that ends in 5 days and one in 30."""
    authority = Authority(folder)
    authority.certificate("soon", "DNS:web.test", days=5)
    authority.certificate("late", "DNS:web.test", days=30)
    ports = {"soon": free_port(), "late": free_port()}
    http = "server { listen 127.0.0.1:@PORT@; }\n" + "".join(f"""
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/{name}.pem;
    ssl_certificate_key {folder}/{name}.key;
    location / {{ return 200 "ok\\n"; }}
}}
""" for name, port in ports.items())
    with Nginx(folder / "nginx", http):
        yield ports


def ini(folder, ports, more=""):
    servers = "".join(f"server = 127.0.0.1:{port} id={name}\n"
                      for name, port in ports.items())
    return f"""
[defaults]
check = https
http_host = web.test
tls_ca = {folder}/ca.pem
interval = 50ms
{more}
[pool web]
{servers}"""


def test_an_end_that_is_near_is_told_once(folder, servers):
    with Checkerd(folder / "checkerd", ini(folder, servers)) as checkerd:
        soon = checkerd.wait_probes("web/soon", 5)
        late = checkerd.wait_probes("web/late", 5)
        assert soon["state"] == late["state"] == "up"
        for host, days in ((soon, 5), (late, 30)):
            left = timestamp(host["cert_expires_at"]) - time.time()
            assert abs(left - days * DAY) < 3600
        events = checkerd.events()
        assert [(e["event"], e["host"]) for e in events] == [
            ("cert_expiring", "soon")]
        checkerd.log.wait("cert_expiring web/soon: its certificate expires in "
                          "11[89] hours")
        # a restart is no news
        checkerd.kill()
        checkerd.start()
        probes = checkerd.host("web/soon")["probes"]
        checkerd.wait_probes("web/soon", probes + 3)
        assert len(checkerd.events()) == 1


def test_how_near_is_the_operators_choice(folder, servers):
    with Checkerd(folder / "checkerd",
                  ini(folder, servers, "cert_warn = 72h")
                  ) as checkerd:
        checkerd.wait_probes("web/soon", 5)
        assert checkerd.events() == []


def test_one_that_does_not_verify_is_shown_as_well(folder, servers):
    with Checkerd(folder / "checkerd",
                  ini(folder, servers).replace("web.test", "other.test")
                  ) as checkerd:
        host = checkerd.wait_state("web/late", "down")
        assert host["outcome"] == "L6CERT"
        assert host["cert_expires_at"] is not None


def test_unverified_is_shown(folder, servers):
    with Checkerd(folder / "checkerd",
                  ini(folder, servers, "tls_verify = off")) as checkerd:
        assert checkerd.wait_probes("web/late", 1)["tls_verify"] is False
        assert "TLS not verified" in checkerd.ctl("status")[1]
