# SPDX-License-Identifier: BSD-2-Clause
"""What Prometheus would read of a checkerd."""

import http.client
import os
import socket
import subprocess

from backends import Backends
from certificates import Authority
from checkerd import Checkerd, timestamp
from exposition import Page
from nginx import Nginx, free_port, wait_for
from rest import Rest


def page_of(rest):
    status, text = rest.get("/metrics")
    assert status == 200
    return Page(text.decode())


def metrics(checkerd):
    with Rest(checkerd.status_socket) as rest:
        return page_of(rest)


def web(backends, more=""):
    return "[defaults]\ninterval = 20ms\npath = /healthz\n[pool web]\n" \
        "upstream = www\n" + "".join(f"server = {backend.address} "
                                     f"id={backend.name}\n"
                                     for backend in backends) + more


def test_a_page_is_well_formed_and_as_long_as_promised(folder):
    pools = {"one": 1, "two": 2, "none-up": 3}
    text = "listen = 127.0.0.1:{}\n[defaults]\ncheck = none\n".format(
        port := free_port())
    for pool, hosts in pools.items():
        text += f"[pool {pool}]\n" + "".join(
            f"server = 127.0.0.1:{9000 + host} down\n" if pool == "none-up"
            else f"server = 127.0.0.1:{9000 + host}\n"
            for host in range(hosts))
    with Checkerd(folder, text) as checkerd:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200
        assert answer.headers["Content-Type"] == \
            "text/plain; version=0.0.4; charset=utf-8"
        connection.request("HEAD", "/metrics")
        head = connection.getresponse()
        assert (head.status, head.read()) == (200, b"")
        connection.request("POST", "/metrics", b"")
        assert connection.getresponse().status == 405
        connection.close()

        page = Page(text.decode())
        # man checkerd-metrics; no certificate was seen, which saves one a host
        hosts = sum(pools.values())
        assert len(page.samples) == 5 * hosts + 35 * len(pools) + 35
        for pool, count in pools.items():
            assert page.value("checkerd_pool_hosts", pool=pool) == count
        assert page.value("checkerd_pool_hosts_up", pool="none-up") == 0
        with checkerd.rest() as rest:
            assert len(page_of(rest).samples) == len(page.samples)
    check = subprocess.run(["promtool", "check", "metrics"], input=text,
                           timeout=60, capture_output=True)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_a_host_goes_down_and_comes_back(folder):
    with Backends(2) as backends, \
            Checkerd(folder, web(backends)) as checkerd:
        up = dict(pool="web", upstream="www", host="a")
        checkerd.wait_probes("web/a", 2)
        checkerd.wait_probes("web/b", 2)
        page = metrics(checkerd)
        assert page.value("checkerd_host_up", **up) == 1
        assert page.value("checkerd_host_state", **up) == 2
        assert page.value("checkerd_pool_hosts_up", pool="web") == 2
        assert page.sum("checkerd_transitions_total", pool="web") == 0
        assert page.value("checkerd_probes_total", pool="web",
                          outcome="L7OK") >= 4

        backends[0].health = 503
        checkerd.wait_state("web/a", "down")
        page = metrics(checkerd)
        assert page.value("checkerd_host_up", **up) == 0
        assert page.value("checkerd_host_state", **up) == 3
        assert page.value("checkerd_host_ordered", **up) == 0
        assert page.value("checkerd_host_failcount", **up) >= 3
        assert page.value("checkerd_pool_hosts_up", pool="web") == 1
        assert page.value("checkerd_transitions_total", pool="web",
                          to="down") == 1
        assert page.value("checkerd_probes_total", pool="web",
                          outcome="L7STS") >= 3

        backends[0].health = 200
        checkerd.wait_state("web/a", "up")
        page = metrics(checkerd)
        assert page.value("checkerd_host_failcount", **up) == 0
        assert page.value("checkerd_transitions_total", pool="web",
                          to="up") == 1
        # each probe has an outcome, and a duration if it counted
        judged = page.all("checkerd_probes_total", pool="web", upstream="www")
        assert len(judged) == 13
        assert sum(judged.values()) - page.value(
            "checkerd_probes_total", pool="web", outcome="INCONCL") == \
            page.value("checkerd_probe_duration_seconds_count", pool="web")
        assert page.value("checkerd_lateness_seconds_count") == \
            page.value("checkerd_probes_started_total")


def test_counters_go_on_across_reloads_and_some_across_restarts(folder):
    with Backends(2) as backends:
        ini = web(backends)
        with Checkerd(folder, ini) as checkerd:
            backends[0].health = 500
            checkerd.wait_state("web/a", "down")
            before = metrics(checkerd)
            checkerd.reload(ini.replace(
                "[pool web]", "[pool first]\nserver = 127.0.0.1:9 down\n"
                "[pool web]"))
            after = metrics(checkerd)
            assert after.value("checkerd_transitions_total", pool="web",
                               to="down") == 1
            assert after.sum("checkerd_transitions_total", pool="first") == 0
            for name in "checkerd_probes_total", "checkerd_probe_duration" \
                    "_seconds_sum", "checkerd_probe_duration_seconds_bucket":
                for labels, value in before.all(name, pool="web").items():
                    assert after.value(name, pool="web",
                                       **dict(labels)) >= value
            for name in "checkerd_probes_started_total", \
                    "checkerd_lateness_seconds_count":
                assert after.value(name) >= before.value(name)
            checkerd.stop()
            checkerd.start()
            restarted = metrics(checkerd)
            assert restarted.sum("checkerd_transitions_total") == 0
            assert restarted.value("checkerd_probes_started_total") >= \
                after.value("checkerd_probes_started_total")
            assert restarted.value("checkerd_generation") >= \
                after.value("checkerd_generation")
            assert restarted.value("checkerd_lateness_seconds_count") < \
                restarted.value("checkerd_probes_started_total")
            assert restarted.value("checkerd_start_time_seconds") > \
                after.value("checkerd_start_time_seconds")


def test_orders_weights_and_panic(folder):
    with Backends(3) as backends, \
            Checkerd(folder, web(backends).replace(
                "[pool web]", "panic = 60%\n[pool web]")) as checkerd, \
            checkerd.rest() as rest:
        rest.patch("/v1/pools/web/hosts/a", {"admin": "drain"})
        rest.patch("/v1/pools/web/hosts/b", {"weight": 7})
        page = page_of(rest)
        assert page.value("checkerd_host_state", host="a") == 4
        assert page.value("checkerd_host_ordered", host="a") == 1
        assert page.value("checkerd_host_ordered", host="b") == 0
        assert page.value("checkerd_host_weight", host="b") == 7
        assert page.value("checkerd_transitions_total", to="drain") == 1
        assert page.value("checkerd_pool_panic", pool="web") == 0
        backends[1].health = 500
        checkerd.wait_state("web/b", "down")
        assert page_of(rest).value("checkerd_pool_panic", pool="web") == 1


def test_certificates_end(folder):
    authority = Authority(folder)
    authority.certificate("web", "DNS:web.test", days=5)
    port = free_port()
    http = f"""server {{ listen 127.0.0.1:@PORT@; }}
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/web.pem;
    ssl_certificate_key {folder}/web.key;
}}"""
    ini = f"""[defaults]
interval = 50ms
[pool web]
check = tls
tls_ca = {folder}/ca.pem
sni = web.test
server = 127.0.0.1:{port} id=tls
[pool plain]
check = none
server = 127.0.0.1:{port}
"""
    with Nginx(folder / "nginx", http), \
            Checkerd(folder / "checkerd", ini) as checkerd:
        host = checkerd.wait_probes("web/tls", 1)
        page = metrics(checkerd)
        assert abs(page.value("checkerd_cert_expiry_seconds") -
                   timestamp(host["cert_expires_at"])) < 1
        assert set(page.all("checkerd_cert_expiry_seconds")) == {
            frozenset({("upstream", "web"), ("pool", "web"),
                       ("host", "tls")})}


def test_what_is_told_and_what_is_refused(folder):
    with Backends(1) as backends, \
            Checkerd(folder, web(backends) +
                     "[notify]\nexec = /bin/false\n") as checkerd:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for _ in range(3):
                sender.sendto(b"no report",
                              os.path.join(folder, "report.sock"))
        wait_for(lambda: metrics(checkerd).value(
            "checkerd_reports_refused_total") == 3, "3 refused datagrams")
        backends[0].health = 500
        wait_for(lambda: metrics(checkerd).value(
            "checkerd_notify_failed_total", receiver="exec") >= 1,
            "a program to fail")
        page = metrics(checkerd)
        assert page.value("checkerd_notify_delivered_total",
                          receiver="exec") == 0
        assert page.sum("checkerd_notify_delivered_total",
                        receiver="webhook") == 0


def test_hostile_names_and_reasons(folder):
    ids = ["back\\slash", "\\", "\\n", "}{", "a=1,b", "#", "%s"]
    ini = "[defaults]\ncheck = none\n[pool web]\nupstream = \\u{}\n" + "".join(
        f"server = 127.0.0.1:{9000 + i} id={name}\n"
        for i, name in enumerate(ids))
    with Checkerd(folder, ini) as checkerd, checkerd.rest() as rest:
        reason = 'he said "no" \\ \U0001f525 <b>'
        assert rest.patch("/v1/pools/web/hosts/%5C",
                          {"admin": "down", "reason": reason})[0] == 200
        page = page_of(rest)
        assert set(page.all("checkerd_host_up", pool="web",
                            upstream="\\u{}")) == {
            frozenset({("host", name)}) for name in ids}
        assert page.value("checkerd_host_ordered", host="\\") == 1
        # what has no bound is no label
        assert b"said" not in rest.get("/metrics")[1]


def test_a_large_fleet_is_written_while_it_is_probed(folder):
    hosts = 5000
    text = "[defaults]\ninterval = 20ms\n[pool web]\nserver = {}\n" \
        "[pool many]\ncheck = none\n" + "".join(
            f"server = 10.0.{i // 250}.{i % 250 + 1}:80\n"
            for i in range(hosts))
    with Backends(1) as backends, \
            Checkerd(folder, text.format(backends[0].address)) as checkerd:
        probes = checkerd.host(f"web/{backends[0].address}")["probes"] or 0
        for _ in range(3):
            page = metrics(checkerd)
            for name in "up", "state", "ordered", "failcount", "weight":
                assert len(page.all(f"checkerd_host_{name}",
                                    pool="many")) == hosts
        checkerd.wait_probes(f"web/{backends[0].address}", probes + 5)
