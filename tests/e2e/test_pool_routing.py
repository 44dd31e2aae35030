# SPDX-License-Identifier: BSD-2-Clause
"""Pool mode, who gets requests: tiers, shares, methods, orders of a person."""

import signal

import pytest

from backends import Backends
from nginx import Crowd, Nginx, free_port, wait_for
from pools import Request, pool, serves, upstream, worker_memory
from segment import Segment


def reached(crowd, backends, count=60, path="/"):
    """Which backends `count` requests reach, none of which fails."""
    backends.reset()
    assert crowd.get(count, path) == {200: count}
    return "".join(b.name for b in backends if b.requests)


def test_pools_fail_over_by_priority(folder):
    with Backends(5) as backends, Segment(folder / "health.shm") as segment:
        a, b, c, d, e = backends
        segment.pools({pool("last", 7): [e], pool("first", 0): [a, b],
                       pool("middle", 3): [c, d]})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            assert reached(crowd, backends) == "ab"
            segment.set("first/a", "down")
            assert reached(crowd, backends) == "b"
            segment.set("first/b", "down")
            assert reached(crowd, backends) == "cd"
            segment.set("middle/c", "down")
            segment.set("middle/d", "drain")
            assert reached(crowd, backends) == "e"
            segment.set("last/e", "down")
            assert crowd.get(20) == {502: 20}
            segment.set("middle/d", "up")
            assert reached(crowd, backends) == "d"
            segment.set("first/a", "up")
            assert reached(crowd, backends) == "a"


def test_equal_priorities_are_tiers_in_file_order(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        a, b, c = backends
        segment.pools({pool("z", 1): [b], pool("y", 1): [a], pool("x"): [c]})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            assert reached(crowd, backends) == "c"
            segment.set("x/c", "down")
            assert reached(crowd, backends) == "b"
            segment.set("z/b", "down")
            assert reached(crowd, backends) == "a"


def test_single_host_pools(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool(f"p{n}", n): [b] for n, b in enumerate(backends)})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            for n, b in enumerate(backends):
                assert reached(crowd, backends) == b.name
                segment.set(f"p{n}/{b.name}", "down")
            assert crowd.get(10) == {502: 10}
            for n, b in reversed(list(enumerate(backends))):
                segment.set(f"p{n}/{b.name}", "up")
                assert reached(crowd, backends) == b.name


def within_one(backends, shares):
    return all(abs(count - share) <= 1
               for count, share in zip(backends.counts(), shares))


@pytest.mark.parametrize("balance", ["round_robin", "least_conn"])
def test_shares_are_exact(folder, balance):
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, balance): [
            (b, f"weight={n + 1}") for n, b in enumerate(backends)]})
        with Nginx(folder, upstream(folder), workers=1) as nginx, \
                Crowd(nginx) as crowd:
            assert reached(crowd, backends, 1000) == "abcd"
            if balance == "round_robin":
                assert within_one(backends, [100, 200, 300, 400])
            segment.set("p/d", "down")
            reached(crowd, backends, 6)
            assert reached(crowd, backends, 600) == "abc"
            if balance == "round_robin":
                assert within_one(backends, [100, 200, 300, 0])
            segment.weigh("p/a", 4 * 256)
            reached(crowd, backends, 9)
            assert reached(crowd, backends, 900) == "abc"
            if balance == "round_robin":
                assert within_one(backends, [400, 200, 300, 0])


def test_two_workers_share_by_weights(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [(b, f"weight={n + 1}")
                                   for n, b in enumerate(backends)]})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            assert reached(crowd, backends, 600) == "abc"
            for count, share in zip(backends.counts(), [100, 200, 300]):
                assert abs(count - share) <= 2


@pytest.mark.parametrize("weight", [9999, 65535])
def test_great_weights(folder, weight):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [(backends[0], f"weight={weight}"),
                                   backends[1]]})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            reached(crowd, backends, 2000)
            assert backends[1].requests <= 2  # one of each worker
            segment.set("p/a", "down")
            assert reached(crowd, backends) == "b"


def test_a_great_many_come_in_at_once(folder):
    """A worker brings in some of them at a time, and all in the end."""
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.tell("pool p web 0 round_robin")
        segment.tell_all([f"host h{n} {backends[0].address}"
                          for n in range(40000)])
        segment.tell(f"host last {backends[1].address} weight=10000")
        segment.tell("activate")
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            wait_for(lambda: reached(crowd, backends) == "ab", "all hosts")
            segment.tell("sweep p down")
            assert crowd.get(10) == {502: 10}
            segment.tell("sweep p up")
            assert crowd.get(10) == {200: 10}
            wait_for(lambda: reached(crowd, backends) == "ab", "the last")


def test_weight_0_takes_no_requests(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            segment.weigh("p/a", 0)
            assert reached(crowd, backends) == "b"
            segment.weigh("p/b", 0)
            assert crowd.get(10) == {502: 10}
            segment.weigh("p/a", 1)  # the smallest step of a ramp
            assert reached(crowd, backends) == "a"


def by_key(crowd, count=64, path="/?k="):
    return [crowd.clients[n % 16].get(f"{path}{n}").body
            for n in range(count)]


def test_hash_fails_over_and_returns(folder):
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): backends})
        with Nginx(folder, upstream(folder, options="key=$arg_k")) as nginx, \
                Crowd(nginx) as crowd:
            before = by_key(crowd)
            assert set(before) == set("abcd")
            assert before == by_key(crowd)  # whatever the worker
            segment.set("p/b", "down")
            without = by_key(crowd)
            assert "b" not in without
            assert [(x, y) for x, y in zip(before, without)
                    if x != "b" and x != y] == []
            segment.set("p/b", "up")
            assert by_key(crowd) == before
            # workers of the next configuration agree with them
            nginx.reload()
            assert [nginx.get(f"/?k={n}").body for n in range(64)] == before


@pytest.mark.parametrize("weight", [50, 300])
def test_hash_follows_configured_weights(folder, weight):
    """In place, and as workers see it that start later."""
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): [(b, "weight=3")
                                              for b in backends]})
        with Nginx(folder, upstream(folder, options="key=$arg_k")) as nginx:
            for configured in (weight, 1):
                with Crowd(nginx) as crowd:
                    segment.weigh("p/a", 256 * configured, configured)
                    by_key(crowd, 16)  # in each worker
                    here = by_key(crowd, 200)
                    assert (here.count("a") > 70) == (configured == weight)
                nginx.reload()
                with Crowd(nginx) as crowd:
                    assert by_key(crowd, 200) == here


def test_hash_is_by_client_address_unless_told(folder):
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): backends})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            first = reached(crowd, backends)
            assert len(first) == 1
            segment.set(f"p/{first}", "drain")
            second = reached(crowd, backends)
            assert len(second) == 1 and second != first
            segment.set(f"p/{first}", "up")
            assert reached(crowd, backends) == first


def test_keys_take_expressions(folder):
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "hash"): backends})
        with Nginx(folder, upstream(folder, options='"key=x$arg_k$arg_l"')) \
                as nginx, Crowd(nginx) as crowd:
            one = [crowd.clients[0].get(f"/?k={n}&l=z").body
                   for n in range(32)]
            two = [crowd.clients[1].get(f"/?l={n}z").body for n in range(32)]
            assert one == two and len(set(one)) > 1


def test_random_reaches_all(folder):
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "random"): backends})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            assert reached(crowd, backends, 200) == "abcd"
            segment.set("p/c", "ordered-down")
            assert reached(crowd, backends, 200) == "abd"


def test_least_conn_avoids_the_busy(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, "least_conn"): backends})
        with Nginx(folder, upstream(folder), workers=1) as nginx:
            backends[0].delay = backends[1].delay = 60.0
            with Crowd(nginx, 1) as crowd:
                crowd.clients[0].connection.request("GET", "/")
                wait_for(lambda: sum(backends.counts()) == 1, "the first")
                busy = 0 if backends[0].requests else 1
                backends[1 - busy].delay = 0.0
                for _ in range(10):
                    assert nginx.get().status == 200
                assert backends[busy].requests == 1


@pytest.mark.parametrize("balance",
                         ["round_robin", "least_conn", "random", "hash"])
def test_drain_lets_requests_finish(folder, balance):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, balance): backends})
        with Nginx(folder, upstream(folder, options="key=$arg_k")) as nginx, \
                Crowd(nginx) as crowd:
            for b in backends:
                b.delay = 0.5
            requests = [Request(nginx, f"/?k={n}") for n in range(12)]
            wait_for(lambda: sum(backends.counts()) == 12, "all of them")
            segment.set("p/a", "drain")
            for b in backends:
                b.delay = 0.0
            at_a = backends[0].requests
            for n in range(40):
                assert crowd.get(1, f"/?k={n}") == {200: 1}
            assert backends[0].requests == at_a
            assert [r.status() for r in requests] == [200] * 12


def test_removed_hosts_finish_what_they_began(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        a, b, c = backends
        segment.pools({pool("p"): [a, b]})
        with Nginx(folder, upstream(folder) + f"""
                log_format a '$upstream_addr $status';
                server {{
                    listen 127.0.0.1:@PORT@ @LISTEN@;
                    access_log {folder}/access.log a;
                    location / {{ proxy_pass http://web; }}
                }}""") as nginx, \
                Crowd(nginx) as crowd:
            a.delay = b.delay = 0.5
            requests = [Request(nginx) for _ in range(12)]
            wait_for(lambda: sum(backends.counts()) == 12, "all of them")
            at_a = a.requests
            assert at_a
            a.delay = b.delay = 0.0
            segment.pools({pool("q"): [c, b]})
            wait_for(lambda: reached(crowd, backends) == "bc", "all workers")
            assert [r.status() for r in requests] == [200] * 12
            wait_for(lambda: sum(
                1 for line in open(folder / "access.log")
                if line == f"{a.address} 200\n") >= at_a, "lines about a")


def test_the_next_try_goes_to_a_host_that_is_there_now(folder):
    """What was there when a request began may all be gone when its host
    fails."""
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        a, b, c, d = backends
        segment.pools({pool("p"): [a, b]})
        with Nginx(folder, upstream(folder)) as nginx:
            a.delay = b.delay = 30
            requests = [Request(nginx) for _ in range(6)]
            wait_for(lambda: sum(backends.counts()) == 6, "all of them")
            a.delay = b.delay = 0
            segment.pools({pool("q"): [c, d]})
            with Crowd(nginx) as crowd:
                wait_for(lambda: reached(crowd, backends) == "cd", "both")
            backends.reset()
            a.stop()
            b.stop()
            assert [r.status() for r in requests] == [200] * 6
            assert c.requests + d.requests == 6


def test_requests_hold_their_hosts_and_no_more(folder):
    """Long ones, while topologies of many hosts come and go."""
    with Backends(2) as backends, Segment(folder / "health.shm") as segment, \
            Nginx(folder, upstream(folder), workers=1) as nginx:
        requests, sizes = [], []
        for n in range(12):
            b = backends[n % 2]
            segment.tell("pool first web 0 round_robin")
            segment.tell(f"host {b.name} {b.address}")
            segment.tell("pool many web 1 hash")
            segment.tell_all([f"host h{i} 127.1.{i >> 8}.{i & 255}:9"
                              for i in range(20000)])
            segment.tell("activate")
            wait_for(lambda: nginx.get().body == b.name, "its hosts")
            b.delay = 30
            backends.reset()
            requests.append(Request(nginx))
            wait_for(lambda: b.requests == 1, "the request")
            b.delay = 0
            sizes += worker_memory(nginx)
        for b in backends:
            b.stop()
        assert max(sizes[6:]) < max(sizes[:6]) + 20000


def test_a_topology_may_come_again_and_again(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends[:1]})
        with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
            for n in range(30):
                segment.pools({pool("p"): backends[n % 2:n % 2 + 2]})
                assert crowd.get(8) == {200: 8}
            wait_for(lambda: reached(crowd, backends) == "bc", "the last one")


def test_one_segment_many_upstreams(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        a, b, c = backends
        segment.pools({pool("p"): [a], pool("q", of="other"): [b],
                       pool("r", of="third"): [c]})
        with Nginx(folder, upstream(folder)
                   + upstream(folder, options="upstream=other", name="alias")
                   + f"upstream third {{ server {c.address}; }}"
                     f"upstream_health_shm {folder}/health.shm;"
                     "server { listen 127.0.0.1:@PORT@ @LISTEN@;"
                     " location /web { proxy_pass http://web; }"
                     " location /alias { proxy_pass http://alias; }"
                     " location /third { proxy_pass http://third; }"
                     " location /var { proxy_pass http://$arg_u; }"
                     " location /up { return 200 $upstream_health_up_web-"
                     "$upstream_health_up_alias-$upstream_health_up_third; } }"
                   ) as nginx, Crowd(nginx) as crowd:
            assert reached(crowd, backends, 20, "/web") == "a"
            assert reached(crowd, backends, 20, "/alias") == "b"
            assert reached(crowd, backends, 20, "/third") == "c"
            assert reached(crowd, backends, 20, "/var?u=alias") == "b"
            segment.set("q/b", "down")
            assert crowd.get(8, "/alias") == {502: 8}
            assert nginx.get("/up").body == "1-0-1"


def test_variables_and_lines(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [backends[0]], pool("q", 1): [backends[1]]})
        with Nginx(folder, upstream(folder)
                   + "add_header X-Up $upstream_health_up_web;"
                     "add_header X-Seq $upstream_health_seq;") as nginx:
            answer = nginx.get()
            assert answer.headers["X-Upstream"] == backends[0].address
            assert answer.headers["X-Up"] == "2"
            assert answer.headers["X-Seq"] is None
            seq = segment.set("p/a", "down", 3, "L7STS", 503)
            answer = nginx.get()
            assert answer.headers["X-Upstream"] == backends[1].address
            assert answer.headers["X-Up"] == "1"
            assert answer.headers["X-Seq"] == str(seq)
            nginx.log.wait(
                r'\[warn\].*upstream_health: host_down upstream="web" '
                rf'pool="p" host="a" addr={backends[0].address} failcount=3 '
                rf'outcome=L7STS status=503 seq={seq}$')


def test_reload_with_requests_in_flight(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder)) as nginx:
            for b in backends:
                b.delay = 1.0
            requests = [Request(nginx) for _ in range(8)]
            wait_for(lambda: sum(backends.counts()) == 8, "all of them")
            nginx.reload()
            segment.pools({pool("p"): backends[:1]})
            for b in backends:
                b.delay = 0.0
            backends.reset()
            with Crowd(nginx) as crowd:
                wait_for(lambda: reached(crowd, backends) == "a", "only a")
            assert [r.status() for r in requests] == [200] * 8


def test_without_a_master_process(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder), workers=1, master=False,
                   listen="") as nginx:
            serves(nginx)
            nginx.process.send_signal(signal.SIGHUP)
            nginx.log.wait("reconfiguring")
            # such an nginx does not serve any more, but follows the segment
            segment.pools({pool("p"): backends[1:]})
            last = segment.set("p/b", "down")
            nginx.log.wait(f"seq={last}")
            assert nginx.process.poll() is None


def test_every_family(folder):
    addresses = [f"unix:{folder}/a.sock", f"[::1]:{free_port()}",
                 f"127.0.0.1:{free_port()}"]
    with Backends(addresses) as backends, \
            Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder), workers=1) as nginx:
            answers = [nginx.get() for _ in range(3)]
            assert {a.headers["X-Upstream"] for a in answers} == set(addresses)
