# SPDX-License-Identifier: BSD-2-Clause
"""What nginx tells: one line per event and instance, the hook in every worker,
and the variables."""

import signal
import socket
import time

import pytest

from backends import Backends
from nginx import HOOK, Client, Crowd, Log, Nginx, settle, wait_for
from segment import Segment


def upstream(backends, folder, name="web"):
    return f"""upstream {name} {{
        upstream_health_shm {folder}/health.shm;
        {backends.servers()}
    }}"""


def test_the_line(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx:
            segment.set("primary/a", "down", 3, "L7STS", 503)
            segment.set("primary/a", "up", 0, "L7OK", 200)
            segment.set("primary/b", "down", 3, "L4CON")
            segment.set("primary/b", "drain", 0, "ADMIN")
            for kind in (4, 5, 6):
                segment.tell(f"tell {kind} primary")
            nginx.log.wait("seq=7")
            a, b = (backend.address for backend in backends)
            host = 'upstream="web" pool="primary" host='
            pool = 'upstream="primary" pool="primary"'
            assert nginx.health_lines() == ["upstream_health: " + line for
                                            line in (
                f'host_down {host}"a" addr={a} failcount=3 outcome=L7STS '
                'status=503 seq=1',
                f'host_up {host}"a" addr={a} failcount=0 outcome=L7OK '
                'status=200 seq=2',
                f'host_down {host}"b" addr={b} failcount=3 outcome=L4CON '
                'seq=3',
                f'host_drain {host}"b" addr={b} failcount=0 outcome=ADMIN '
                'seq=4',
                f'cert_expiring {pool} host="" addr= seq=5',
                f'panic_on {pool} seq=6',
                f'panic_off {pool} seq=7')]
            levels = [line.split("[")[1].split("]")[0]
                      for line in nginx.log.lines("upstream_health: ")]
            assert levels == ["warn", "notice", "warn", "notice", "warn",
                              "warn", "notice"]


def test_once_with_many_workers_traffic_or_not(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder), workers=4) as nginx:
            for traffic in (False, True):
                with Crowd(nginx, 8) as crowd:
                    for number in range(20):
                        last = segment.set("primary/a",
                                           "down" if number % 2 == 0 else "up")
                        if traffic:
                            crowd.get(8)
                nginx.log.wait(rf"seq={last}\b")
            settle()
            numbers = [int(line.split("seq=")[1])
                       for line in nginx.health_lines()]
            assert sorted(numbers) == list(range(1, 41))


def test_at_once_under_traffic(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder), workers=1) as nginx, \
                Client(nginx.port) as client:
            client.get()
            seen = 0
            for state in ("down", "up") * 5:
                last = segment.set("primary/a", state)
                client.get()
                seen += len(nginx.log.lines(rf"seq={last}\b"))
            assert seen >= 9  # the timer may have been first, never twice


def test_what_happened_before_the_start_is_not_news(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        segment.set("primary/a", "down")
        with Nginx(folder, upstream(backends, folder)) as nginx:
            segment.set("primary/b", "down")
            nginx.log.wait("seq=2")
            nginx.reload()
            nginx.reload()
            settle()
            assert len(nginx.health_lines()) == 1
            # another topology goes on with the numbers
            segment.pools({"primary": backends[:1]})
            segment.set("primary/a", "up")
            nginx.log.wait("seq=3")
            nginx.reload()
            settle()
            assert len(nginx.health_lines("host_")) == 2


def test_more_events_than_a_turn_and_than_the_ring(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx:
            segment.tell("flip 1000 primary/a")
            nginx.log.wait(r"seq=1000\b")
            lines = nginx.health_lines()
            assert len(lines) == len(set(lines)) == 1000

            segment.tell("flip 6000 primary/a")
            nginx.log.wait(r"seq=7000\b")
            settle()
            lines = nginx.health_lines("host_")
            assert len(lines) == len(set(lines))
            lost = sum(int(line.split()[1])
                       for line in nginx.health_lines("are lost"))
            assert lost > 0 and len(lines) + lost == 7000


def test_a_worker_that_leaves_has_no_say(folder):
    """After a reload the lines go where the new configuration wants them."""
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        backends[0].delay = 5
        with Nginx(folder, upstream(backends, folder)) as nginx:
            with socket.create_connection(("127.0.0.1", nginx.port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                wait_for(lambda: backends[0].requests, "the request")
                nginx.main = f"error_log {folder}/second.log notice;"
                nginx.level = "emerg"
                nginx.reload()
                for state in ("down", "up") * 10:
                    last = segment.set("primary/a", state)
                    time.sleep(0.05)
                Log(folder / "second.log").wait(rf"seq={last}\b")
                lines = Log(folder / "second.log").lines("host_")
                assert len(lines) == 20


@pytest.mark.parametrize("master", [True, False])
@pytest.mark.parametrize("end", [signal.SIGQUIT, signal.SIGTERM])
def test_the_last_events_are_told_at_the_end(folder, master, end):
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder), master=master,
                   listen="") as nginx:
            segment.set("primary/a", "down")
            nginx.log.wait("seq=1")
            # another topology, and more than is told at a time
            segment.pools({"primary": backends, "other": backends})
            last = int(segment.tell("flip 200 primary/a"))
            nginx.process.send_signal(end)
            nginx.process.wait(10)
            lines = nginx.health_lines("host_")
            assert len(lines) == len(set(lines)) == last


def test_the_last_events_of_another_file_are_told_at_the_end(folder):
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx:
            segment.set("primary/a", "down")
            nginx.log.wait("seq=1")
            # nobody marks the file before, and its heart beat just now
            segment.kill()
            (folder / "health.shm").unlink()
            with Segment(folder / "health.shm") as segment:
                segment.pools({"primary": backends})
                segment.set("primary/a", "down")
                nginx.process.send_signal(signal.SIGQUIT)
                nginx.process.wait(10)
            assert len(nginx.health_lines("host_down .*seq=1")) == 2


def test_text_cannot_forge_a_line(folder):
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx:
            segment.tell('tell 5 evil"\\\x1b[31m\t\x85')
            nginx.log.wait("panic_on")
            assert nginx.health_lines()[0] == (
                'upstream_health: panic_on '
                + ' '.join(f'{key}="evil\\x22\\x5C\\x1B[31m\\x09\\xC2\\x85"'
                           for key in ("upstream", "pool")) + ' seq=1')


def test_the_hook(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder), workers=3,
                   modules=[HOOK]) as nginx:
            for _ in range(2):
                before = len(nginx.log.lines("health_log: "))
                segment.set("primary/a", "down")
                segment.set("primary/a", "up")
                nginx.log.wait("health_log: ", before + 6)
                settle()
                lines = nginx.log.lines("health_log: ")[before:]
                for kind in ("host_down", "host_up"):
                    told = [line for line in lines
                            if f"bound {kind} pool=primary host=a" in line]
                    assert len(told) == 3
                    assert len([line for line in told
                                if "first=1" in line]) == 1
                    assert len({line.split("#")[0].split()[-1]
                                for line in told}) == 3
                nginx.reload()


VARIABLES = """
server {
    listen 127.0.0.1:@PORT@ reuseport;
    add_header X-Up $upstream_health_up_web_1 always;
    add_header X-Other $upstream_health_up_other always;
    location / {
        if ($upstream_health_up_web_1 = 0) { return 503; }
        add_header X-Seq $upstream_health_seq always;
        add_header X-Up $upstream_health_up_web_1 always;
        add_header X-Nobody "<$upstream_health_up_nobody>" always;
        proxy_pass http://Web-1;
    }
    location /plain { return 200 "<$upstream_health_seq>"; }
}
"""


def test_variables(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({("primary", "Web-1"): backends[:2],
                       ("spare", "Web-1"): backends[2:]})
        with Nginx(folder, f"""
                upstream_health_shm {folder}/health.shm;
                upstream Web-1 {{
                    {backends.servers({1: "down"})}
                }}
                upstream other {{
                    upstream_health_shm {folder}/none.shm;
                    {backends.servers({1: "down"})}
                }}
                {VARIABLES}""") as nginx, Crowd(nginx) as crowd:
            client = crowd.clients[0]
            answer = client.get()
            assert answer.headers["X-Up"] == "3"
            assert answer.headers["X-Nobody"] == "<>"
            assert answer.headers["X-Seq"] is None
            assert client.get("/plain").body == "<>"
            assert client.get("/plain").headers["X-Other"] == "2"

            for number, host in enumerate(("primary/a", "spare/c"), 1):
                seq = segment.set(host, "down")
                for client in crowd.clients:
                    answer = client.get()
                    if number < 2:
                        assert answer.status == 200
                        assert answer.headers["X-Seq"] == str(seq)
                    assert answer.headers["X-Up"] == str(3 - number)
            assert crowd.get(16) == {502: 16}  # b is `down` by configuration
            segment.set("primary/b", "down")
            assert crowd.get(16) == {503: 16}
            segment.set("spare/c", "drain")
            assert crowd.get(16) == {503: 16}
            segment.set("spare/c", "up")
            assert crowd.get(16) == {200: 16}


def test_variable_counts_all_servers_while_health_is_ignored(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends}, upstream="web_1")
        segment.set("primary/a", "down")
        with Nginx(folder, f"""
                upstream web_1 {{
                    upstream_health_shm {folder}/health.shm stale=1s;
                    {backends.servers()}
                }}
                {VARIABLES.replace("Web-1", "web_1").replace(
                    "add_header X-Other $upstream_health_up_other always;",
                    "")}""") as nginx, Client(nginx.port) as client:
            assert client.get("/plain").headers["X-Up"] == "2"
            segment.heart("stop")
            nginx.log.wait("is stale")
            wait_for(lambda: client.get("/plain").headers["X-Up"] == "3",
                     "all servers to count")
