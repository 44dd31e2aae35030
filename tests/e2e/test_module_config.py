# SPDX-License-Identifier: BSD-2-Clause
"""The directive: where it may stand, what it covers, and what is refused."""

import os
import re
import subprocess

import pytest

from backends import Backends
from nginx import MODULE, Crowd, Nginx, free_port, nginx_version
from segment import Segment

SERVER = "server 127.0.0.1:9;"
ETC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                   "etc")


@pytest.mark.parametrize("http, says", [
    ("upstream_health_shm a b;", 'parameter "b" is a second file'),
    ("upstream_health_shm a off;", 'parameter "off" must stand alone'),
    ("upstream_health_shm stale=;", 'empty value in parameter "stale="'),
    ("upstream_health_shm stale=x;", "must be a time from 1s to 1d"),
    ("upstream_health_shm stale=500ms;", "must be a time from 1s to 1d"),
    ("upstream_health_shm stale=2d;", "must be a time from 1s to 1d"),
    ("upstream_health_shm stale=1s stale=2s;", '"stale=2s" is duplicate'),
    ("upstream_health_shm upstream=x;", 'is allowed in "upstream" only'),
    ("upstream_health_shm wieght=3;", 'parameter "wieght=3" is unknown'),
    ('upstream_health_shm "";', 'empty value in parameter ""'),
    ("upstream_health_shm; upstream_health_shm;",
     '"upstream_health_shm" directive is duplicate'),
    ("upstream web { upstream_health_shm; upstream_health_shm off; %s }"
     % SERVER, '"upstream_health_shm" directive is duplicate'),
    ("upstream web { upstream_health_shm upstream=a upstream=b; %s }"
     % SERVER, '"upstream=b" is duplicate'),
    ("upstream web { upstream_health_shm key=$uri; %s }" % SERVER,
     '"key=" of "upstream_health_shm" is for upstreams without servers: '
     'use "hash" in upstream "web"'),
    ("upstream_health_shm key=$uri;", 'is allowed in "upstream" only'),
    ("upstream web { upstream_health_shm off; }", "no servers"),
    ("server { upstream_health_shm; }", "is not allowed here"),
    ("upstream_health_shm; upstream web { }", "no servers are inside"),
    ("upstream web { upstream_health_shm key=; }",
     'empty value in parameter "key="'),
    ("upstream web { upstream_health_shm key=$uri key=$uri; }",
     '"key=$uri" is duplicate'),
    ("upstream web { upstream_health_shm key=$nothing; }",
     'unknown "nothing" variable'),
    ("upstream web { upstream_health_shm; zone web 64k; }", 'remove "zone"'),
    ("upstream web { upstream_health_shm; server 127.0.0.1:9 backup; }",
     'no servers in upstream "web"'),
    *[("upstream web { %s }" % lines, 'use "balance" in checkerd.ini')
      for balancer in ("least_conn;", "hash $uri;", "hash $uri consistent;",
                       "ip_hash;", "random;", "random two;")
      for lines in (balancer + " upstream_health_shm;",
                    "upstream_health_shm; " + balancer,
                    "upstream_health_shm; %s keepalive 2;" % balancer)],
])
def test_refused(folder, http, says):
    status, output = Nginx(folder, http + " server { listen 127.0.0.1:@PORT@; }"
                           ).test()
    assert status == 1
    assert says in output


@pytest.mark.parametrize("http", [
    "upstream_health_shm;",
    "upstream_health_shm off;",
    "upstream_health_shm run/health.shm stale=1d;",
    "upstream web { %s keepalive 2; upstream_health_shm stale=1500ms; "
    "least_conn; }" % SERVER,
    "upstream web { %s upstream_health_shm a upstream=b; } "
    "upstream more { %s upstream_health_shm a upstream=b stale=1m; }"
    % (SERVER, SERVER),
    "upstream web { upstream_health_shm; }",
    "upstream web { upstream_health_shm; keepalive 2; }",
    'upstream web { upstream_health_shm a "key=$uri x" stale=1s upstream=x; '
    "keepalive 2; keepalive_timeout 3s; }",
    # servers make it an overlay, wherever they stand
    "upstream web { upstream_health_shm; least_conn; keepalive 2; %s "
    "zone web 64k; }" % SERVER,
])
def test_accepted(folder, http):
    status, output = Nginx(folder, http + " server { listen 127.0.0.1:@PORT@; }"
                           ).test()
    assert status == 0, output


def test_keepalive_comes_after(folder):
    """As with every balancer; from 1.29.7 on the order does not matter."""
    status, output = Nginx(folder, "upstream web { keepalive 2; "
                           "upstream_health_shm; } "
                           "server { listen 127.0.0.1:@PORT@; }").test()
    if nginx_version() < (1, 29, 7):
        assert status == 1
        assert '"keepalive" after "upstream_health_shm" only' in output
    else:
        assert status == 0, output


def test_nothing_is_warned_of(folder):
    """An overlay that stands before its balancer, as it always could."""
    for balancer in ("least_conn;", "hash $uri;", "random;"):
        status, output = Nginx(folder, "upstream web { upstream_health_shm; "
                               "%s %s %s } server { listen 127.0.0.1:@PORT@; }"
                               % (balancer, SERVER, SERVER)).test()
        assert status == 0 and "[warn]" not in output, output


@pytest.mark.parametrize("sample", ["nginx-http.conf", "nginx-upstream.conf",
                                    "nginx-pool.conf"])
def test_samples(folder, sample):
    with open(os.path.join(ETC, sample)) as file:
        text = file.read()
    for pattern, own in (
            (r"load_module \S+;", f"load_module {MODULE};" if MODULE else ""),
            (r"error_log \S+ ", f"error_log {folder}/error.log "),
            (r"listen 80;", f"listen 127.0.0.1:{free_port()};")):
        text, count = re.subn(pattern, own, text)
        assert count == 1, pattern
    (folder / "nginx.conf").write_text(text)
    (folder / "logs").mkdir()  # of an nginx that was not packaged
    nginx = Nginx(folder)
    done = subprocess.run(
        nginx.command("-t", "-g", f"pid {folder}/nginx.pid;"),
        env=nginx.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("http, says", [
    ("upstream_health_shm; upstream a.b { %s } upstream A_b { %s }"
     % (SERVER, SERVER),
     'share the variable $upstream_health_up_a_b, which is that of one'),
    ("upstream web { %s upstream_health_shm /%s/health.shm; }"
     % (SERVER, "x" * 100),
     'the path of "report.sock" beside segment'),
])
def test_warned_of(folder, http, says):
    status, output = Nginx(folder, http + " server { listen 127.0.0.1:@PORT@; }"
                           ).test()
    assert status == 0, output
    assert len([line for line in output.splitlines()
                if "[warn]" in line and says in line]) == 1, output


def test_levels(folder):
    """http covers all, upstream overrides, off excludes, upstream= renames."""
    with Backends(2) as backends, \
            Segment(folder / "one.shm") as one, \
            Segment(folder / "two.shm") as two:
        one.pools({("p1", "inherits"): backends, ("p2", "excluded"): backends,
                   ("p3", "other"): backends})
        two.pools({("p1", "renamed"): backends})
        for host in ("p1", "p2"):
            one.set(f"{host}/a", "down")
        two.set("p1/b", "down")
        upstreams = {
            "inherits": "",
            "excluded": "upstream_health_shm off;",
            "alias": "upstream_health_shm upstream=inherits;",
            "own": f"upstream_health_shm {folder}/two.shm upstream=renamed;",
            "other": "",
        }
        expected = {"inherits": [0, 1], "excluded": [1, 1], "alias": [0, 1],
                    "own": [1, 0], "other": [1, 1]}
        http = f"upstream_health_shm {folder}/one.shm;\n" + "\n".join(
            f"upstream {name} {{ {directive} {backends.servers()} }}"
            for name, directive in upstreams.items())
        locations = "\n".join(
            f"location /{name}/ {{ proxy_pass http://{name}; }}"
            for name in upstreams)
        with Nginx(folder, f"""{http}
                server {{ listen 127.0.0.1:@PORT@ reuseport;
                    {locations}
                    location /implicit/ {{
                        proxy_pass http://{backends[0].address};
                    }}
                }}""") as nginx, Crowd(nginx) as crowd:
            for name, reached in expected.items():
                backends.reset()
                assert crowd.get(40, f"/{name}/") == {200: 40}
                assert [int(n > 0) for n in backends.counts()] == reached, name
            assert crowd.get(8, "/implicit/") == {200: 8}
