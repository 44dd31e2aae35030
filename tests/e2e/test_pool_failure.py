# SPDX-License-Identifier: BSD-2-Clause
"""Pool mode when something is wrong: no segment or a bad one, a silent writer,
hosts that fail, limits that are reached."""

import os
import resource
import shutil
import struct
import time

import pytest

from backends import Backends
from nginx import Crowd, Nginx, PRELOAD, free_port, settle, wait_for
from pools import Request, pool, serves, upstream
from reports import FAILURE, Reports
from segment import Segment


# --- the segment -----------------------------------------------------------

def test_cold_start(folder):
    with Backends(2) as backends, \
            Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
        assert crowd.get(20) == {502: 20}
        assert nginx.get().headers["X-Upstream"] == "web"
        settle()
        assert nginx.health_lines() == [
            f'upstream_health: segment "{folder}/health.shm" cannot be opened, '
            'health is ignored, upstreams without servers have no hosts '
            '(2: No such file or directory)']
        with Segment(folder / "health.shm") as segment:
            segment.pools({pool("p"): backends})
            appeared = time.monotonic()
            serves(nginx)
            wait_for(lambda: crowd.get(16) == {200: 16}, "both workers")
            assert time.monotonic() - appeared < 3  # 1 s, and a busy machine
            nginx.log.wait("is in use, health is enforced")


def up(crowd):
    return {client.get().headers["X-Up"] for client in crowd.clients}


def test_stale_means_all_that_no_person_took_out(folder):
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder, options="stale=1s")
                   + "add_header X-Up $upstream_health_up_web;") as nginx, \
                Crowd(nginx) as crowd:
            segment.set("p/a", "down")
            segment.set("p/b", "ordered-down")
            segment.set("p/c", "drain")
            backends.reset()
            assert crowd.get(40) == {200: 40}
            assert backends.counts() == [0, 0, 0, 40]
            segment.heart("stop")
            nginx.log.wait("is stale")
            wait_for(lambda: up(crowd) == {"2"}, "both workers")
            backends.reset()
            assert crowd.get(40) == {200: 40}
            assert [bool(n) for n in backends.counts()] == [1, 0, 0, 1]
            segment.heart("beat")
            nginx.log.wait("is alive again")
            wait_for(lambda: up(crowd) == {"1"}, "health to be enforced")
            backends.reset()
            assert crowd.get(40) == {200: 40}
            assert backends.counts() == [0, 0, 0, 40]
            assert len(nginx.health_lines("is stale")) == 1


def test_the_writer_dies_and_comes_back(folder):
    with Backends(2) as backends:
        segment = Segment(folder / "health.shm")
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            segment.set("p/a", "down")
            segment.kill()
            backends.reset()
            assert crowd.get(20) == {200: 20}
            assert backends.counts() == [0, 20]
            (folder / "health.shm").unlink()
            assert crowd.get(20) == {200: 20}
            with Segment(folder / "health.shm") as segment:
                segment.pools({pool("q"): backends[:1]})
                wait_for(lambda: nginx.get().body == "a", "the new hosts")
                wait_for(lambda: crowd.get(16) == {200: 16}, "both workers")


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1024, b"\0" * 8192])
def test_a_damaged_file_leaves_what_was(folder, content):
    path = folder / "health.shm"
    with Backends(2) as backends:
        with Segment(path) as segment:
            segment.pools({pool("p"): backends})
            with Nginx(folder, upstream(folder)) as nginx, \
                    Crowd(nginx) as crowd:
                assert crowd.get(16) == {200: 16}
                (folder / "bad").write_bytes(content)
                segment.kill()
                (folder / "bad").rename(path)
                nginx.log.wait("is not usable")
                assert crowd.get(16) == {200: 16}
                settle()
                assert len(nginx.health_lines("is not usable")) == 1


def test_a_damaged_file_at_start(folder):
    (folder / "health.shm").write_bytes(b"nonsense" * 1024)
    with Backends(1) as backends, Nginx(folder, upstream(folder)) as nginx, \
            Crowd(nginx) as crowd:
        assert crowd.get(8) == {502: 8}
        assert len(nginx.health_lines("is not usable")) == 1
        (folder / "health.shm").unlink()
        with Segment(folder / "health.shm") as segment:
            segment.pools({pool("p"): backends})
            serves(nginx)


MISSING = r'has no hosts for upstream "web" as "web"'


@pytest.mark.parametrize("pools", [
    {},
    {pool("p"): []},
    {pool("p"): [], pool("q", 1): []},
    {pool("p", of="other"): ["127.0.0.1:9"]},
])
def test_nobody_to_send_to_is_said_once(folder, pools):
    with Segment(folder / "health.shm") as segment:
        segment.pools(pools)
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            assert crowd.get(8) == {502: 8}
            nginx.log.wait(MISSING)
            settle()
            nginx.reload()
            settle()
            assert len(nginx.health_lines(MISSING)) == 1


def test_hosts_without_an_address_are_said_once(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with open(folder / "health.shm", "r+b") as file:
            file.seek(64)
            hosts_at, = struct.unpack("=Q", file.read(8))
            for number, family in ((0, 99), (1, 1)):  # 1: unix, with no path
                file.seek(hosts_at + 128 * number + 14)
                file.write(bytes([family]))
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            assert crowd.get(20) == {200: 20}
            assert backends.counts() == [0, 0, 20]
            nginx.log.wait("have no usable address")
            settle()
            assert nginx.health_lines() == [
                'upstream_health: 2 hosts of upstream "web" in segment '
                f'"{folder}/health.shm" have no usable address']


def test_hosts_without_an_address_are_handed_on(folder):
    """... to the next topology, where they have none either."""
    path = folder / "health.shm"
    with Backends(2) as backends, Segment(path) as segment:
        segment.pools({pool("p"): backends})
        with open(path, "r+b") as file:
            file.seek(64)
            hosts_at, = struct.unpack("=Q", file.read(8))
            file.seek(hosts_at + 14)
            file.write(bytes([99]))
        with Nginx(folder, upstream(folder), workers=1) as nginx:
            nginx.log.wait("have no usable address")
            segment.kill()
            shutil.copyfile(path, folder / "next")
            os.rename(folder / "next", path)
            nginx.log.wait("have no usable address", 2)
            serves(nginx)
            assert backends.counts()[0] == 0


def test_an_empty_tier_is_passed_over(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        a, b = backends
        segment.pools({pool("p"): [], pool("q", 1): [a], pool("r", 2): [],
                       pool("s", 3): [b]})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            assert crowd.get(16) == {200: 16}
            assert backends.counts() == [16, 0]
            segment.set("q/a", "down")
            assert crowd.get(16) == {200: 16}
            assert backends.counts() == [16, 16]
            assert nginx.health_lines(MISSING) == []


def test_a_host_in_two_pools_and_twice_in_one(folder):
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        address = backends[0].address
        segment.pools({pool("p"): [address, address],
                       pool("q", 1): [address]})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            for host in ("p/h0", "p/h1"):
                assert crowd.get(8) == {200: 8}
                segment.set(host, "down")
            assert crowd.get(8) == {200: 8}
            segment.set("q/h0", "down")
            assert crowd.get(8) == {502: 8}


@pytest.mark.parametrize("balance", ["round_robin", "least_conn", "random",
                                     "hash"])
def test_65536_hosts(folder, balance):
    """Nobody listens but at one.  Until a worker has taken them over, which
    takes many turns of its event loop, those before them serve, also if they
    have been replaced meanwhile."""
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        def many():
            segment.tell(f"pool many web 0 {balance}")
            segment.tell_all([f"host h{n} 127.1.{n // 256}.{n % 256}:9"
                              for n in range(65535)])
            segment.tell(f"pool one web 1 {balance}")
            segment.tell(f"host a {backends[0].address}")
            segment.tell("activate")

        segment.pools({pool("p", 0, balance): backends})
        with Nginx(folder, upstream(folder) + "proxy_next_upstream off;") \
                as nginx, Crowd(nginx) as crowd:
            assert crowd.get(8) == {200: 8}
            many()
            answers = []
            wait_for(lambda: (answers.append(nginx.get()), "127.1." in
                              answers[-1].headers["X-Upstream"])[1],
                     "the many")
            assert {answer.status for answer in answers[:-1]} <= {200}
            segment.pools({pool("p"): backends})
            wait_for(lambda: crowd.get(8) == {200: 8}, "the one")

            many()
            nginx.get()
            segment.pools({pool("q"): backends})
            wait_for(lambda: crowd.get(8) == {200: 8}, "the one again")


def many_beside(segment, backend, count=65536):
    """The next topology: hosts where nobody listens, and one more."""
    segment.tell("pool p web 0 hash")
    segment.tell(f"host {backend.name} {backend.address}")
    segment.tell_all([f"host h{n} 127.1.{n // 256}.{n % 256}:9"
                      for n in range(count)])
    segment.tell("activate")


def test_what_was_not_acted_on_is_not_claimed(folder):
    """While the next hosts are taken over, those before them serve, whatever
    has happened to them since: $upstream_health_seq tells."""
    with Backends(1) as (a,), Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): [a]})
        with Nginx(folder, upstream(folder)
                   + "add_header X-Seq $upstream_health_seq always;"
                   + "proxy_next_upstream off;", workers=1) as nginx:
            assert nginx.get().status == 200
            many_beside(segment, a)
            seq = segment.set("p/a", "down")
            answers = []
            wait_for(lambda: (answers.append(nginx.get()), "127.1." in
                              answers[-1].headers["X-Upstream"])[1],
                     "the many")
            assert len(answers) > 1
            for answer in answers[:-1]:
                assert int(answer.headers["X-Seq"] or 0) < seq
            wait_for(lambda: int(nginx.get().headers["X-Seq"] or 0) == seq,
                     "the event")


def test_a_coarse_clock(folder):
    """Turns of the event loop go on between its ticks."""
    with Backends(1) as (a,), Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): [a]})
        with Nginx(folder, upstream(folder) + "proxy_next_upstream off;",
                   workers=1, main="timer_resolution 500ms;") as nginx:
            assert nginx.get().status == 200
            many_beside(segment, a)
            wait_for(lambda: "127.1." in nginx.get().headers["X-Upstream"],
                     "the many", timeout=4)


@pytest.mark.skipif(bool(PRELOAD), reason="sanitizers have memory of their own")
def test_no_memory_for_the_next_hosts(folder):
    """Those before them serve.  A worker asks for more once a second and gives
    back what it got in vain: neither its memory nor its log fills up."""
    count = 65536
    size = count * 1024 + (8 << 20)  # of the file, roughly
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): backends})
        with Nginx(folder, upstream(folder) + "proxy_next_upstream off;",
                   workers=1, level="emerg",
                   main="user root;") as nginx:  # as we are: prlimit
            nginx.expect("(malloc|posix_memalign).*failed")
            assert nginx.get().status == 200
            pid = nginx.worker_pids()[0]
            _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
            with open(f"/proc/{pid}/statm") as file:
                used = int(file.read().split()[0]) * resource.getpagesize()
            resource.prlimit(pid, resource.RLIMIT_AS,
                             (used + size + (20 << 20), hard))

            segment.tell("pool many web 0 hash")
            segment.tell_all([f"host h{n} 127.1.{n // 256}.{n % 256}:9"
                              for n in range(count)])
            segment.tell("activate")
            nginx.log.wait("emerg")
            for _ in range(3):
                settle()
                assert nginx.get().status == 200
            assert len(nginx.log.lines("emerg")) < 40

            resource.prlimit(pid, resource.RLIMIT_AS, (hard, hard))
            wait_for(lambda: "127.1." in nginx.get().headers["X-Upstream"],
                     "the many")


# --- hosts -----------------------------------------------------------------

def addresses(answer):
    return answer.headers["X-Upstream"].split(", ")


def test_each_host_is_tried_once(folder):
    with Backends(5) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends[:3], pool("q", 1): backends[3:]})
        with Nginx(folder, upstream(folder)) as nginx:
            for b in backends:
                b.stop()
            answer = nginx.get()
            assert answer.status == 502
            tried = addresses(answer)
            assert set(tried[:3]) == {b.address for b in backends[:3]}
            assert set(tried[3:]) == {b.address for b in backends[3:]}
            assert len(tried) == 5
            # all had max_fails=1 failures
            assert addresses(nginx.get())[-1] == "web" or len(
                addresses(nginx.get())) < 5


def test_many_hosts_are_tried_once(folder):
    """More than a word has bits."""
    with Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, balance): [
            (f"127.0.{t}.{n}:{port}", "max_fails=0") for n in range(1, 81)]
            for port in [free_port()]
            for t, balance in enumerate(["round_robin"])})
        with Nginx(folder, upstream(folder)
                   + "proxy_connect_timeout 2s; "
                     "error_page 502 = @none;") as nginx:
            for _ in range(2):
                tried = addresses(nginx.get())
                assert len(tried) == len(set(tried)) == 80


def test_of_very_many_hosts_some_are_tried(folder):
    """All that fail at once are tried before anybody else is served."""
    with Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): [
            (f"127.1.{n >> 8}.{n & 255}:{port}", "max_fails=0")
            for port in [free_port()] for n in range(1000)]})
        with Nginx(folder, upstream(folder)
                   + "error_page 502 = @none;") as nginx:
            tried = addresses(nginx.get())
            assert len(tried) == len(set(tried)) == 256


@pytest.mark.parametrize("tries", [1, 2])
def test_proxy_next_upstream_tries(folder, tries):
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder)
                   + f"proxy_next_upstream_tries {tries};") as nginx:
            for b in backends:
                b.stop()
            assert len(addresses(nginx.get())) == tries


def test_a_failed_try_goes_to_another_host(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder)
                   + "proxy_next_upstream error http_500 http_404;") as nginx, \
                Crowd(nginx) as crowd:
            backends[0].status = 500
            assert crowd.get(40) == {200: 40}
            backends[0].status = 404
            assert crowd.get(40) == {200: 40}
            backends[0].stop()
            assert crowd.get(40) == {200: 40}


def test_max_fails_and_fail_timeout(folder):
    keys = "max_fails=2 fail_timeout=3000"
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [(b, keys) for b in backends]})
        with Nginx(folder, upstream(folder) + "proxy_next_upstream http_500;",
                   workers=1) as nginx, Crowd(nginx) as crowd:
            backends[0].status = 500
            assert crowd.get(20) == {200: 20}
            assert backends[0].requests == 2
            nginx.log.wait("upstream server temporarily disabled")
            # one request has a try after fail_timeout
            wait_for(lambda: crowd.get(1) == {200: 1}
                     and backends[0].requests == 3, "the next try")
            assert crowd.get(20) == {200: 20}
            assert backends[0].requests == 3
            backends[0].status = 200
            wait_for(lambda: crowd.get(1) == {200: 1}
                     and backends[0].requests == 4, "the one that passes")
            assert crowd.get(20) == {200: 20}
            assert backends[0].requests >= 12


def test_max_fails_0_and_single_hosts_are_never_out(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [(b, "max_fails=0") for b in backends],
                       pool("q", of="single"): backends[:1]})
        with Nginx(folder, upstream(folder)
                   + upstream(folder, name="single")
                   + "proxy_next_upstream http_500;"
                     "server { listen 127.0.0.1:@PORT@ @LISTEN@;"
                     " location / { proxy_pass http://web; }"
                     " location /s { proxy_pass http://single; } }",
                   workers=1) as nginx, Crowd(nginx) as crowd:
            backends[0].status = 500
            assert crowd.get(20) == {200: 20}
            assert backends[0].requests >= 9
            backends.reset()
            assert crowd.get(20, "/s") == {500: 20}
            assert backends[0].requests == 20


def test_failures_survive_another_topology(folder):
    keys = "max_fails=1 fail_timeout=60000"
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        a, b, c = backends
        segment.pools({pool("p"): [(a, keys), (b, keys)]})
        with Nginx(folder, upstream(folder) + "proxy_next_upstream http_500;",
                   workers=1) as nginx, Crowd(nginx) as crowd:
            a.status = 500
            assert crowd.get(20) == {200: 20}
            assert a.requests == 1
            segment.pools({pool("p"): [(c, keys), (a, keys), (b, keys)]})
            assert crowd.get(40) == {200: 40}
            assert c.requests > 0 and a.requests == 1


def test_failures_of_hosts_of_one_address_survive(folder):
    """However many they are."""
    host = f"127.0.0.1:{free_port()}", "max_fails=1 fail_timeout=600000"
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [host] * 100})
        with Nginx(folder, upstream(folder), workers=1) as nginx:
            tries = nginx.get().headers["X-Upstream"].split(", ")
            assert tries == [host[0]] * 100
            segment.pools({pool("p"): [host] * 100, pool("q", 1): backends})
            answer = wait_for(
                lambda: (lambda a: a if a.status == 200 else None)(nginx.get()),
                "the other pool")
            assert answer.headers["X-Upstream"] == backends[0].address


def test_max_conns(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        a, b = backends
        tiers = {pool("p"): [(a, "max_conns=2")],
                 pool("q", 1): [(b, "max_conns=1")]}
        segment.pools(tiers)
        with Nginx(folder, upstream(folder), workers=1) as nginx:
            a.delay = b.delay = 60.0
            with Crowd(nginx, 3) as crowd:
                for client in crowd.clients:
                    client.connection.request("GET", "/")
                wait_for(lambda: backends.counts() == [2, 1], "three of them")
                assert nginx.get().status == 502
                # those in flight count in the next topology, too
                tiers[pool("r", of="other")] = ["127.0.0.1:9"]
                segment.pools(tiers)
                last = segment.set("r/h0", "down")
                nginx.log.wait(f"seq={last}")
                assert nginx.get().status == 502
            a.delay = b.delay = 0.0
            serves(nginx)


def test_a_retry_goes_to_nobody_who_has_left(folder):
    """The request keeps its snapshot, in which b is next."""
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        a, b, c = backends
        segment.pools({pool("p"): [a], pool("q", 1): [b], pool("r", 2): [c]})
        with Nginx(folder, upstream(folder) + "proxy_next_upstream http_500;",
                   workers=1) as nginx:
            a.status, a.delay = 500, 3.0
            request = Request(nginx)
            wait_for(lambda: a.requests, "the request")
            segment.pools({pool("p"): [a], pool("r", 2): [c]})
            last = segment.set("p/a", "down")
            nginx.log.wait(f"seq={last}")
            assert request.status() == 200
            assert addresses(request.answer) == [a.address, c.address]
            assert b.requests == 0


def test_failures_are_told(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment, \
            Reports(folder / "report.sock") as reports:
        a, b = backends
        segment.observe("status", "5xx")
        segment.pools({pool("other", of="other"): ["127.0.0.1:9"],
                       pool("q", 1): [(b, "max_fails=0")],
                       pool("p"): [(a, "max_fails=0")]})
        with Nginx(folder, upstream(folder) + "proxy_next_upstream error;",
                   workers=1) as nginx:
            last = segment.set("other/h0", "down")
            nginx.log.wait(f"seq={last}")
            assert nginx.get().body == "a"
            a.stop()
            assert nginx.get().body == "b"
            refused, = reports.wait(1)
            assert (refused.host, refused.http_status) == (2, 0)
            assert (refused.seq, refused.failures) == (last, 1)
            b.status = 503
            assert nginx.get().status == 503
            reports.wait(1, host=1)
            assert {(r.host, r.http_status)
                    for r in reports.of(FAILURE)} == {(2, 0), (1, 503)}


def test_a_client_that_leaves_gives_its_place_back(folder):
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [(backends[0], "max_conns=1")]})
        with Nginx(folder, upstream(folder), workers=1) as nginx:
            backends[0].delay = 30.0
            with Crowd(nginx, 1) as crowd:
                crowd.clients[0].connection.request("GET", "/")
                wait_for(lambda: backends[0].requests == 1, "the request")
                assert nginx.get().status == 502
            backends[0].delay = 0.0
            serves(nginx)
