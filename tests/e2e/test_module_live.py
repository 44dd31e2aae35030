# SPDX-License-Identifier: BSD-2-Clause
"""Live failures: which tries a worker tells checkerd of, and how often."""

import os
import socket
import struct
import threading
import time

import pytest

from backends import Backends
from nginx import Client, Crowd, Nginx, free_port, wait_for
from reports import FAILURE, HELLO, MAGIC, Reports
from segment import Segment

SERVER = """
server {
    listen 127.0.0.1:@PORT@ @LISTEN@;
    location / {
        proxy_pass http://web;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        %s
    }
}
"""


def upstream(servers, folder, more=""):
    """Neither max_fails nor a next try: each request is one try."""
    return f"""proxy_next_upstream off;
        upstream web {{
        upstream_health_shm {folder}/health.shm;
        {more}
        {servers}
    }}"""


def server(address, parameters="max_fails=0"):
    return f"server {address} {parameters};\n"


def nobody():
    return f"127.0.0.1:{free_port()}"


def identity(folder):
    """(stream, created_at_us) of the segment file."""
    with open(folder / "health.shm", "rb") as file:
        return struct.unpack("=QQ", file.read(40)[24:])


@pytest.mark.parametrize("zone", ["", "zone web 64k;"])
def test_a_refused_try_is_told_once(folder, zone):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        segment.observe("connect")
        segment.pools({"primary": backends})
        seq = segment.set("primary/a", "up")
        backends[1].stop()
        with Nginx(folder, f"""upstream web {{
                    upstream_health_shm {folder}/health.shm;
                    {zone}
                    {backends.servers({1: "fail_timeout=1h"})}
                }}""", workers=1) as nginx, Crowd(nginx, 4) as crowd:
            assert crowd.get(20) == {200: 20}
            report, = reports.wait(1)
            assert report.magic == MAGIC and report.version == 1
            assert (report.stream, report.created_at_us) == identity(folder)
            assert report.host == 1 and report.http_status == 0
            assert report.seq == seq
            assert report.reader_version // 1000 >= 1022
            assert report.reserved0 == report.reserved1 == 0
            assert [report.pid] == nginx.worker_pids()
            age_us = time.monotonic() * 1e6 - report.sent_mono_us
            assert 0 <= age_us < 10e6
            assert nginx.health_lines() == []


class Bad:
    """A backend with one trick: an answer for each request of a connection,
    and then it hangs up, or says nothing more."""

    def __init__(self, *answers, hangs_up=False):
        self.answers = answers
        self.hangs_up = hangs_up
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        with connection:
            for answer in self.answers:
                if not connection.recv(65536):
                    return
                connection.sendall(answer)
            if not self.hangs_up:
                connection.recv(65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("observe", ["connect", "status"])
@pytest.mark.parametrize("answer, hangs_up", [
    (b"", False),
    (b"", True),
    (b"HTTP/1.1 200 OK\r\nX-Half: ", False),
    (b"HTTP/1.1 200 OK\r\nX-Half: ", True),
    (b"HTTP/1.1 200 OK\r\n\x01: invalid\r\n\r\n", False),
])
def test_no_answer_is_a_failure(folder, answer, hangs_up, observe):
    with Bad(answer, hangs_up=hangs_up) as bad, \
            Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        segment.observe(observe)
        segment.pools({"primary": [bad.address]})
        http = upstream(server(bad.address), folder) + (
            SERVER % "proxy_read_timeout 50ms;")
        with Nginx(folder, http, workers=1) as nginx:
            assert nginx.get().status in (502, 504)
            report, = reports.wait(1)
            assert report.http_status == 0


@pytest.mark.parametrize("observe", ["connect", "status 404"])
def test_what_is_no_failure_of_the_host(folder, observe):
    """A kept connection that turns out closed, a client that leaves, an
    answer that breaks off in its body, a status that nobody asked for."""
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"
    with Backends(1) as backends, Bad(OK, b"", hangs_up=True) as closing, \
            Bad(half, hangs_up=True) as breaking, \
            Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        slow = backends[0]
        gone = nobody()
        segment.observe(*observe.split())
        segment.pools({"primary": [closing.address, slow.address, gone,
                                   breaking.address]})
        upstreams = "".join(f"""upstream {name} {{
                upstream_health_shm {folder}/health.shm upstream=web;
                {server(address)}
                {"keepalive 4;" if name == "closing" else ""}
            }}""" for name, address in (
                ("closing", closing.address), ("slow", slow.address),
                ("gone", gone), ("breaking", breaking.address)))
        locations = "".join(f"""location /{name}/ {{
                proxy_pass http://{name};
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_read_timeout 300ms;
            }}""" for name in ("closing", "slow", "gone", "breaking"))
        with Nginx(folder, f"""{upstreams}
                server {{ listen 127.0.0.1:@PORT@; {locations} }}""",
                   workers=1, level="info") as nginx:
            for _ in range(4):
                assert nginx.get("/closing/").status == 200
            assert closing.connections > 1
            slow.status = 500
            assert nginx.get("/slow/").status == 500
            slow.delay = 0.2
            with socket.create_connection(("127.0.0.1", nginx.port)) as client:
                before = slow.requests
                client.sendall(b"GET /slow/ HTTP/1.1\r\nHost: a\r\n\r\n")
                wait_for(lambda: slow.requests > before, "the request")
            nginx.log.wait("client prematurely closed connection")
            with socket.create_connection(("127.0.0.1", nginx.port)) as client:
                client.sendall(b"GET /breaking/ HTTP/1.1\r\nHost: a\r\n\r\n")
                nginx.log.wait("prematurely closed connection while reading "
                               "upstream")
            assert nginx.get("/gone/").status == 502
            report, = reports.wait(1)
            assert report.host == 2


@pytest.mark.parametrize("following", ["off", "http_500 http_403 http_404"])
def test_statuses_that_the_mask_holds(folder, following):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        a, b = backends
        segment.observe("status", "5xx,403")
        segment.pools({"primary": [a]})
        http = upstream(server(a.address) + server(b.address, "backup"),
                        folder) + SERVER % ""
        http = http.replace("proxy_next_upstream off",
                            f"proxy_next_upstream {following}")
        with Nginx(folder, http, workers=1) as nginx, \
                Client(nginx.port) as client:
            count = 0
            for status in [200, 404, 500, 301, 599, 403, 404, 200, 503]:
                a.status = status
                answer = client.get()
                if following == "off":
                    assert answer.status == status
                if status in (500, 599, 403, 503):
                    count += 1
                    report = reports.wait(count)[-1]
                    assert (report.host, report.http_status) == (0, status)
            assert count == reports.failures() == 4


def test_the_status_behind_a_stale_answer(folder):
    """nginx answers from its cache, which holds another status."""
    with Backends(1) as backends, Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        segment.observe("status", "5xx")
        segment.pools({"primary": backends})
        http = f"""proxy_cache_path {folder}/cache keys_zone=cache:1m;
            """ + upstream(server(backends[0].address), folder) + SERVER % """
            proxy_cache cache;
            proxy_cache_valid 200 1s;
            proxy_cache_use_stale http_500;"""
        with Nginx(folder, http, workers=1) as nginx, \
                Client(nginx.port) as client:
            assert client.get().status == 200
            backends[0].status = 500
            backends.reset()
            wait_for(lambda: client.get().status == 200
                     and backends[0].requests, "the cache to ask")
            assert reports.wait(1)[0].http_status == 500


def test_nobody_asked(folder):
    """a is not observed, b is: only b's failures are told."""
    with Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        a, b = nobody(), nobody()
        segment.tell("pool primary web")
        segment.tell(f"host a {a}")
        segment.observe("connect")
        segment.tell(f"host b {b}")
        segment.tell("activate")
        with Nginx(folder, upstream(server(a) + server(b), folder),
                   workers=1) as nginx, Crowd(nginx, 4) as crowd:
            assert crowd.get(10) == {502: 10}
            reports.wait(5, host=1)
            assert reports.failures() == 5

            segment.tell("pool primary web")
            segment.observe("off")
            segment.tell(f"host b {b}")
            segment.observe("connect")
            segment.tell(f"host a {a}")
            segment.tell("activate")
            wait_for(lambda: len(reports.of(HELLO)) == 2, "the new segment")
            assert crowd.get(10) == {502: 10}
            reports.wait(10)
            assert {(report.host, report.created_at_us == identity(folder)[1])
                    for report in reports.of(FAILURE)[-1:]} == {(1, True)}


def test_each_host_of_an_address(folder):
    with Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        address, other = nobody(), nobody()
        for pool, mode in (("one", "connect"), ("two", "off"),
                           ("three", "status 5xx")):
            segment.tell(f"pool {pool} web")
            segment.tell("observe " + mode)
            segment.tell(f"host a {address}")
            segment.tell(f"host b {other}")
        segment.tell("activate")
        with Nginx(folder, upstream(server(address), folder),
                   workers=1) as nginx:
            assert nginx.get().status == 502
            told = reports.wait(2)
            assert sorted(report.host for report in told) == [0, 4]


def test_one_datagram_speaks_for_many_failures(folder):
    with Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        addresses = [nobody() for _ in range(3)]
        segment.observe("connect")
        segment.pools({"primary": addresses})
        with Nginx(folder, upstream("".join(map(server, addresses)), folder),
                   workers=2) as nginx, Crowd(nginx) as crowd:
            started = time.monotonic()
            count = 0
            while time.monotonic() < started + 0.5:
                crowd.get(60)
                count += 60
            told = reports.wait(count)
            taken = reports.received[-1].sent_mono_us / 1e6 - started
            streams = {}
            for report in told:
                streams.setdefault((report.pid, report.host), []).append(
                    report.sent_mono_us)
            assert len(streams) == 6
            for times in streams.values():
                assert len(times) <= taken / 0.1 + 2
                # nginx's clock is that of the event loop's turn
                assert all(later - earlier > 80000 for earlier, later
                           in zip(times, times[1:])), times
            assert max(report.failures for report in told) > 1


def test_more_hosts_than_a_worker_remembers(folder):
    port = free_port()
    addresses = [f"127.0.{n // 250}.{n % 250 + 1}:{port}" for n in range(1500)]
    with Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        segment.observe("connect")
        segment.pools({"primary": addresses})
        http = upstream("".join(map(server, addresses)), folder).replace(
            "proxy_next_upstream off", "proxy_next_upstream error")
        with Nginx(folder, http, workers=1, level="crit") as nginx:
            assert nginx.get().status == 502  # after 1500 tries
            wait_for(lambda: reports.failures() >= 5, "some to be told")
            assert nginx.get().status == 502
            hosts = {report.host for report in reports.of(FAILURE)}
            assert hosts <= set(range(1500))


@pytest.mark.parametrize("what", ["absent", "file", "folder", "stream",
                                  "closed", "forbidden"])
def test_without_a_listener_nothing_changes(folder, what):
    path = folder / "report.sock"
    other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM
                          if what == "stream" else socket.SOCK_DGRAM)
    if what == "file":
        path.write_text("")
    elif what == "folder":
        path.mkdir()
    elif what != "absent":
        other.bind(str(path))
        path.chmod(0 if what == "forbidden" else 0o666)
        if what == "stream":
            other.listen()
        if what == "closed":
            other.close()
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.observe("connect")
        segment.pools({"primary": backends})
        backends[1].stop()
        with Nginx(folder, upstream(backends.servers({1: "max_fails=0"}),
                                    folder).replace("upstream off",
                                                    "upstream error"),
                   level="info") as nginx, Crowd(nginx) as crowd:
            assert crowd.get(200) == {200: 200}
            assert nginx.health_lines() == []
            assert not nginx.log.lines("report.sock")
            if what == "absent":
                # it may come later
                with Reports(path) as reports:
                    crowd.get(20)
                    wait_for(lambda: reports.failures() >= 5, "reports")
                os.unlink(path)
                assert crowd.get(20) == {200: 20}
    other.close()


def test_nobody_reads(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock", reading=False) as reports:
        segment.observe("connect")
        segment.pools({"primary": backends})
        backends[1].stop()
        assert reports.fill() > 0
        with Nginx(folder, upstream(backends.servers({1: "max_fails=0"}),
                                    folder).replace("upstream off",
                                                    "upstream error"),
                   workers=1) as nginx, Client(nginx.port) as client:
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                assert client.get().status == 200
            assert nginx.health_lines() == []
            reports.drain()
            for _ in range(4):
                assert client.get().status == 200
            wait_for(reports.failures, "reports")
            # older ones were let go rather than told late
            assert reports.failures() < backends[0].requests / 3


def test_waiting_failures_go_with_their_segment(folder):
    with Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        address = nobody()
        segment.observe("connect")
        segment.pools({"primary": [address]})
        with Nginx(folder, upstream(server(address), folder),
                   workers=1) as nginx, Client(nginx.port) as client:
            first = identity(folder)
            for _ in range(3):
                client.get()
            segment.pools({"spare": [nobody()], "primary": [address]})
            second = identity(folder)
            assert first[0] == second[0] and first[1] != second[1]
            client.get()  # notices
            wait_for(lambda: len(reports.of(HELLO)) == 2, "the new segment")
            for _ in range(3):
                client.get()
            wait_for(lambda: sum(report.failures for report
                                 in reports.of(FAILURE)
                                 if report.created_at_us == second[1]) == 4,
                     "what came after")
            for report in reports.of(FAILURE):
                assert (report.host, report.created_at_us) in (
                    (0, first[1]), (1, second[1]))
            assert {report.host for report in reports.of(FAILURE)} == {0, 1}


def test_each_worker_says_hello(folder):
    with Backends(1) as backends, Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends.servers(), folder)) as nginx:
            def greeters(count):
                pids = [report.pid for report in reports.of(HELLO)]
                return all(pids.count(pid) == count
                           for pid in nginx.worker_pids())
            wait_for(lambda: greeters(1), "all workers to say hello")
            seq = segment.set("primary/a", "down")
            wait_for(lambda: greeters(2), "it again", 13)
            hellos = reports.of(HELLO)
            for pid in nginx.worker_pids():
                early, late = [r for r in hellos if r.pid == pid]
                assert 9e6 < late.sent_mono_us - early.sent_mono_us < 12e6
                assert (early.seq, late.seq) == (0, seq)
                assert (late.stream, late.created_at_us) == identity(folder)
                assert late.host == late.failures == late.http_status == 0
            # at once after a reload, too
            nginx.reload()
            wait_for(lambda: greeters(1), "the new workers to say hello")
