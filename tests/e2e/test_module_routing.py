# SPDX-License-Identifier: BSD-2-Clause
"""Who gets requests: every balancer, with and without zone, keepalive and
backup, never sends one to a host that the segment holds down."""

import itertools

import pytest

from backends import Backends
from nginx import Client, Crowd, Nginx, wait_for
from segment import Segment

BALANCERS = ["", "least_conn;", "hash $arg_k;", "hash $arg_k consistent;",
             "ip_hash;", "random;", "random two;"]


def upstream(backends, folder, *directives, parameters=None, name="web"):
    return "\n".join([
        f"upstream {name} {{",
        f"    upstream_health_shm {folder}/health.shm;",
        *(f"    {directive}" for directive in directives if directive),
        backends.servers(parameters), "}"])


def applied(nginx, seq):
    """Both workers have acted on event `seq`."""
    wait_for(lambda: nginx.log.lines(rf"seq={seq}\b"), f"event {seq}")


def spread(crowd, count):
    """Requests with many different keys."""
    statuses = {}
    for number in range(count):
        for status, n in crowd.get(1, f"/?k={number}").items():
            statuses[status] = statuses.get(status, 0) + n
    return statuses


@pytest.mark.parametrize("balancer", BALANCERS)
@pytest.mark.parametrize("zone, keepalive", itertools.product([0, 1], [0, 1]))
def test_down_hosts_get_nothing(folder, balancer, zone, keepalive):
    backup = balancer in ("", "least_conn;")  # others refuse the parameter
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        http = upstream(
            backends, folder, balancer, zone and "zone web 128k;",
            keepalive and "keepalive 8;",
            parameters={3: "backup"} if backup else None)
        if keepalive:
            http += ('proxy_http_version 1.1;'
                     'proxy_set_header Connection "";')
        with Nginx(folder, http) as nginx, Crowd(nginx) as crowd:
            primaries = 3 if backup else 4

            assert spread(crowd, 200) == {200: 200}
            if balancer != "ip_hash;":
                assert all(backends.counts()[:primaries])

            segment.set("primary/b", "down", 3, "L7STS", 503)
            backends.reset()
            assert spread(crowd, 400) == {200: 400}
            assert backends[1].requests == 0

            segment.set("primary/b", "up")
            segment.set("primary/a", "drain")
            backends.reset()
            assert spread(crowd, 400) == {200: 400}
            assert backends[0].requests == 0
            if balancer != "ip_hash;":
                assert all(backends.counts()[1:primaries])

            for host in "abcd"[:primaries]:
                last = segment.set(f"primary/{host}", "down", 3, "L4CON")
            backends.reset()
            if backup:
                assert spread(crowd, 100) == {200: 100}
                assert backends.counts() == [0, 0, 0, 100]
                last = segment.set("primary/d", "down", 3, "L4CON")
                backends.reset()
            assert spread(crowd, 50) == {502: 50}
            assert backends.counts() == [0, 0, 0, 0]

            for host in "abcd":
                last = segment.set(f"primary/{host}", "up")
            assert spread(crowd, 200) == {200: 200}
            if balancer != "ip_hash;":
                assert all(backends.counts()[:primaries])
            applied(nginx, last)


def test_none_of_10000_requests_reaches_a_down_host(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx, 32) as crowd:
            crowd.get(64)
            segment.set("primary/b", "down", 3, "L7STS", 503)
            backends.reset()
            assert crowd.get(10000) == {200: 10000}
            assert backends[1].requests == 0
            assert len(nginx.health_lines("host_down")) == 1
            # shares of the others are kept
            assert abs(backends[0].requests - 5000) <= 2


def test_shares_follow_weights_while_a_host_is_down(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(
                backends, folder, "zone web 64k;",
                parameters={0: "weight=3", 2: "weight=1"})) as nginx, \
                Crowd(nginx) as crowd:
            segment.set("primary/b", "down")
            crowd.get(8)
            backends.reset()
            assert crowd.get(400) == {200: 400}
            assert backends.counts() == [300, 0, 100]


def test_configured_down_survives(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        for zone in ("", "zone web 64k;"):
            with Nginx(folder, upstream(backends, folder, zone,
                                        parameters={1: "down"})) as nginx, \
                    Crowd(nginx) as crowd:
                for state in ("down", "up", "drain", "up"):
                    segment.set("primary/b", state)
                    segment.set("primary/c", state)
                    backends.reset()
                    assert crowd.get(50) == {200: 50}
                    assert backends[1].requests == 0
                    assert (backends[2].requests > 0) == (state == "up")


def test_the_last_live_peer_gives_its_answer(folder):
    """proxy_next_upstream counts live peers, as with a configured `down`."""
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        for zone in ("", "zone web 64k;"):
            with Nginx(folder, "proxy_next_upstream error http_503;"
                       + upstream(backends, folder, zone)) as nginx, \
                    Crowd(nginx) as crowd:
                segment.set("primary/a", "down")
                segment.set("primary/b", "down")
                backends[2].status = 503
                assert crowd.get(40) == {503: 40}
                backends[2].status = 200
                segment.set("primary/a", "up")
                segment.set("primary/b", "up")
                backends[2].status = 503
                assert crowd.get(60) == {200: 60}
                backends[2].status = 200


def test_addresses_of_all_families(folder):
    addresses = [f"unix:{folder}/a.sock", f"unix:{folder}/b.sock"]
    with Backends(addresses) as unix, Backends(1) as ipv4, \
            Segment(folder / "health.shm") as segment:
        ipv4[0].name = "c"
        segment.pools({"primary": [*unix, *ipv4]})
        with Nginx(folder, f"""upstream web {{
            upstream_health_shm {folder}/health.shm;
            {unix.servers()}
            {ipv4.servers()}
        }}""") as nginx, Crowd(nginx) as crowd:
            crowd.get(30)
            assert all(unix.counts() + ipv4.counts())
            assert not nginx.health_lines("does not know")
            segment.set("primary/a", "down")
            segment.set("primary/c", "down")
            unix.reset()
            ipv4.reset()
            assert crowd.get(60) == {200: 60}
            assert unix.counts() + ipv4.counts() == [0, 60, 0]


def test_an_address_in_two_pools_is_up_if_any_host_is(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"one": backends, "two": backends[:1],
                       ("other", "api"): backends})
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            segment.set("one/a", "down")
            segment.set("other/b", "down")  # of another upstream
            crowd.get(20)
            assert all(backends.counts())
            segment.set("two/a", "down")
            backends.reset()
            crowd.get(40)
            assert backends.counts() == [0, 40]
            segment.set("one/a", "up")
            backends.reset()
            crowd.get(40)
            assert all(backends.counts())


def test_an_address_of_very_many_hosts(folder):
    """More than are looked at: it is not taken out on a part of them."""
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        a, b = backends
        segment.pools({"primary": [a.address] * 300, "other": [b]})
        for number in range(299):
            segment.set(f"primary/h{number}", "down")
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            assert crowd.get(20) == {200: 20}
            assert a.requests > 0


def test_a_server_listed_twice_goes_as_one(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, f"""upstream web {{
            upstream_health_shm {folder}/health.shm;
            {backends.servers()}
            server {backends[0].address} backup;
            server {backends[0].address};
        }}""") as nginx, Crowd(nginx) as crowd:
            segment.set("primary/a", "down")
            assert crowd.get(50) == {200: 50}
            assert backends.counts() == [0, 50]
            segment.set("primary/b", "down")
            assert crowd.get(20) == {502: 20}


def test_retries_of_one_request_see_a_change_in_between(folder):
    """peer.get looks again: a host that goes down while a try is under way
    is not tried next."""
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, "proxy_next_upstream http_500;"
                   + upstream(backends, folder), workers=1) as nginx, \
                Client(nginx.port) as client:
            for backend in backends:
                backend.status, backend.delay = 500, 0.3
            client.connection.request("GET", "/")
            first = wait_for(lambda: [n for n, b in enumerate(backends)
                                      if b.requests], "the first try")[0]
            following = backends[(first + 1) % 3]
            other = backends[(first + 2) % 3]
            other.status, other.delay = 200, 0.0
            segment.set(f"primary/{following.name}", "down")
            answer = client.connection.getresponse()
            assert answer.status == 200
            assert following.requests == 0


def test_ten_thousand_hosts_are_matched(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        many = [f"127.{1 + n // 65536}.{n // 256 % 256}.{n % 256}:9"
                for n in range(10000)]
        segment.pools({"primary": [*backends, *many]})
        servers = "\n".join(f"server {address} down;" for address in many)
        with Nginx(folder, f"""upstream web {{
            upstream_health_shm {folder}/health.shm;
            zone web 8m;
            {backends.servers()} {servers}
        }}""") as nginx, Crowd(nginx) as crowd:
            assert not nginx.health_lines("does not know")
            segment.set("primary/a", "down")
            assert crowd.get(50) == {200: 50}
            assert backends.counts() == [0, 50]
