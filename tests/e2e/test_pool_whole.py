# SPDX-License-Identifier: BSD-2-Clause
"""Pool mode as a user has it: a real checkerd, told over REST what to do, and
nginx, which is never reloaded.

CHECKERD_CHURN_SECONDS=60 makes the last one longer, as for a build with
sanitizers.
"""

import os
import random
import re
import subprocess
import time

import pytest

from backends import Backends
from checkerd import Checkerd
from nginx import Crowd, Nginx, free_port, wait_for
from pools import Request, serves, upstream, worker_memory

FAST = """
[defaults]
interval = 50ms
path = /healthz
rise = 1
fall = 2
"""

SECONDS = int(os.environ.get("CHECKERD_CHURN_SECONDS", "8"))
METHODS = ["round_robin", "least_conn", "random", "hash"]


@pytest.fixture
def backends():
    with Backends(4) as four:
        yield four


@pytest.fixture
def checkerd(folder):
    """Without a pool."""
    with Checkerd(folder, FAST) as running:
        yield running


class Fleet:
    """Orders over REST, each of which is done."""

    def __init__(self, checkerd):
        self.checkerd = checkerd

    def order(self, method, path, body=None):
        with self.checkerd.rest() as rest:
            status, answer = rest.request(method, f"/v1/pools/{path}", body)
        assert 200 <= status < 300, f"{method} {path} {body}: {answer}"

    def pool(self, name, hosts=(), **keys):
        self.order("PUT", name, {"upstream": "web", **keys})
        for host in hosts:
            self.add(name, host)

    def add(self, pool, backend, **keys):
        self.order("PUT", f"{pool}/hosts/{backend.name}",
                   {"address": backend.address, **keys})

    def change(self, host, **keys):
        self.order("PATCH", host.replace("/", "/hosts/"), keys)

    def remove(self, host):
        self.order("DELETE", host.replace("/", "/hosts/"))


@pytest.fixture
def fleet(checkerd):
    return Fleet(checkerd)


def reached(crowd, backends, count=48, path="/"):
    """Whom `count` requests reach, none of which fails."""
    backends.reset()
    assert crowd.get(count, path) == {200: count}
    return "".join(b.name for b in backends if b.requests)


def wait_reached(crowd, backends, names):
    wait_for(lambda: reached(crowd, backends) == names, f"{names} to serve")


def test_nginx_first(folder, backends):
    servers = "".join(f"server = {b.address} id={b.name}\n" for b in backends)
    with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
        assert crowd.get(16) == {502: 16}
        with Checkerd(folder, FAST + "[pool web]\n" + servers):
            started = time.monotonic()
            serves(nginx)
            # a second, and a busy machine
            assert time.monotonic() - started < 2
            wait_for(lambda: crowd.get(16) == {200: 16}, "both workers")
            assert reached(crowd, backends) == "abcd"


def test_pools_of_priorities_fail_over_and_back(folder, backends, checkerd,
                                                fleet):
    a, b, c, d = backends
    with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
        fleet.pool("third", [d], priority=9)
        wait_for(lambda: crowd.get(16) == {200: 16}, "both workers")
        fleet.pool("first", [a, b])
        fleet.pool("second", [c], priority=1)
        wait_reached(crowd, backends, "ab")

        a.health = 503
        checkerd.wait_state("first/a", "down")
        assert reached(crowd, backends) == "b"
        b.health = 503
        checkerd.wait_state("first/b", "down")
        assert reached(crowd, backends) == "c"
        c.stop()
        checkerd.wait_state("second/c", "down")
        assert reached(crowd, backends) == "d"

        b.health = 200
        checkerd.wait_state("first/b", "up")
        assert reached(crowd, backends) == "b"
        c.start()
        a.health = 200
        checkerd.wait_state("first/a", "up")
        assert reached(crowd, backends) == "ab"

        fleet.order("PATCH", "third", {"priority": 0})
        fleet.order("DELETE", "first")
        wait_reached(crowd, backends, "d")


@pytest.mark.parametrize("balance", METHODS)
def test_drain_and_removal_let_requests_finish(folder, backends, fleet,
                                               balance):
    a, b, _, _ = backends
    fleet.pool("p", [a, b], balance=balance, check="none")
    with Nginx(folder, upstream(folder, options="key=$arg_k")) as nginx, \
            Crowd(nginx) as crowd:
        def hold(count):
            """Requests that take their time, some of which are at a."""
            backends.reset()
            a.delay = b.delay = 0.5
            requests = [Request(nginx, f"/?k={n}") for n in range(count)]
            wait_for(lambda: sum(backends.counts()) == count, "all of them")
            a.delay = b.delay = 0.0
            assert a.requests
            return requests

        requests = hold(12)
        fleet.change("p/a", admin="drain")
        before = a.requests
        for n in range(32):
            assert crowd.get(1, f"/?k={n}") == {200: 1}
        assert a.requests == before
        assert [request.status() for request in requests] == [200] * 12

        fleet.change("p/a", admin="auto")
        requests = hold(12)
        fleet.remove("p/a")
        wait_for(lambda: (backends.reset(), [
            crowd.get(1, f"/?k={n}") for n in range(32)],
            a.requests == 0)[2], "a to be gone")
        assert [request.status() for request in requests] == [200] * 12


def test_shares_follow_weights(folder, backends, fleet):
    a, b, _, _ = backends
    fleet.pool("p", [a, b], check="none")
    with Nginx(folder, upstream(folder), workers=1) as nginx, \
            Crowd(nginx) as crowd:
        for weight in (1, 3, 9, 1):
            fleet.change("p/a", weight=weight)
            reached(crowd, backends, 2)
            share = 400 * weight / (weight + 1)
            reached(crowd, backends, 400)
            assert abs(a.requests - share) <= 2


@pytest.mark.parametrize("balance", METHODS)
def test_slow_start(folder, backends, checkerd, fleet, balance):
    """A host that comes back gets more and more; hosts that are new do not
    wait."""
    a, b, _, _ = backends
    fleet.pool("p", [a, b], balance=balance, slow_start="2s")
    with Nginx(folder, upstream(folder, options="key=$request_id")) as nginx, \
            Crowd(nginx) as crowd:
        assert checkerd.host("p/b")["effective_weight"] == 1
        b.health = 503
        checkerd.wait_state("p/b", "down")
        assert reached(crowd, backends) == "a"
        b.health = 200
        checkerd.wait_state("p/b", "up")

        ramp = []  # of effective weight and share
        while not ramp or ramp[-1][0] < 1:
            low = checkerd.host("p/b")["effective_weight"]
            reached(crowd, backends, 100)
            high = checkerd.host("p/b")["effective_weight"]
            ramp.append((low, high, b.requests / 100))
        assert ramp == sorted(ramp, key=lambda step: step[0])
        assert len(ramp) > 2 and ramp[0][0] < 0.9
        for low, high, share in ramp:
            # random and hash by chance: four standard deviations
            assert low / (1 + low) - 0.2 < share < high / (1 + high) + 0.2
        # as a whole, closer
        least = sum(low / (1 + low) for low, _, _ in ramp)
        most = sum(high / (1 + high) for _, high, _ in ramp)
        shares = sum(share for _, _, share in ramp)
        assert least * 0.8 < shares < most * 1.2


def test_panic(folder, backends, checkerd, fleet):
    fleet.pool("p", backends, panic="50%")
    with Nginx(folder, upstream(folder)) as nginx, Crowd(nginx) as crowd:
        assert reached(crowd, backends) == "abcd"
        fleet.change("p/d", admin="down")
        backends[0].health = 503
        checkerd.wait_state("p/a", "down")
        assert reached(crowd, backends) == "bc"
        backends[1].health = 503
        checkerd.wait_state("p/b", "down")
        nginx.log.wait("panic_on")
        assert reached(crowd, backends) == "abc"  # d is out by order
        backends[1].health = 200
        checkerd.wait_state("p/b", "up")
        nginx.log.wait("panic_off")
        assert reached(crowd, backends) == "bc"


def test_killed_and_restarted_then_stopped(folder, backends, checkerd, fleet):
    a, b, c, d = backends
    fleet.pool("p", [a, b])
    fleet.pool("q", [c, d], priority=1)
    with Nginx(folder, upstream(folder, options="stale=2s")) as nginx, \
            Crowd(nginx) as crowd:
        a.health = 503
        checkerd.wait_state("p/a", "down")
        fleet.change("p/b", admin="down")
        assert reached(crowd, backends) == "cd"

        checkerd.kill()
        assert reached(crowd, backends) == "cd"
        checkerd.start()
        assert reached(crowd, backends) == "cd"
        fleet.change("p/b", admin="auto")
        assert reached(crowd, backends) == "b"
        fleet.change("p/b", admin="down")

        # silence: who is sick serves again, who is out by order does not
        checkerd.stop()
        nginx.log.wait("is stale")
        wait_reached(crowd, backends, "a")
        checkerd.start()
        nginx.log.wait("is alive again")
        wait_reached(crowd, backends, "cd")


class Churn:
    """Orders at random that always leave the first host of pool one alone."""

    def __init__(self, checkerd, addresses, seed):
        self.rest = checkerd.rest()
        self.addresses = addresses
        self.random = random.Random(seed)
        self.count = dict.fromkeys(["add", "remove", "weigh", "order"], 0)
        self.there = {"one": set(), "two": set()}
        for name, balance in zip(self.there, self.random.sample(METHODS, 2)):
            self.ask("PUT", name, {"upstream": "web", "balance": balance,
                                   "priority": int(name == "two"),
                                   "check": "none"})
            self.add(name, 0)

    def ask(self, method, path, body=None):
        status, answer = self.rest.request(method, f"/v1/pools/{path}", body)
        assert 200 <= status < 300, f"{method} {path} {body}: {answer}"

    def add(self, pool, host):
        self.count["add"] += 1
        self.ask("PUT", f"{pool}/hosts/h{host}", {
            "address": self.addresses[host],
            "weight": self.random.choice([1, 2, 9, 9999])})
        self.there[pool].add(host)

    def change(self):
        pool = self.random.choice(list(self.there))
        host = self.random.randrange(1, len(self.addresses))
        path = f"{pool}/hosts/h{host}"
        if host not in self.there[pool]:
            self.add(pool, host)
        elif self.random.random() < 0.2:
            self.count["remove"] += 1
            self.ask("DELETE", path)
            self.there[pool].discard(host)
        elif self.random.random() < 0.4:
            self.count["weigh"] += 1
            self.ask("PATCH", path, {"weight": self.random.choice(
                [1, 3, 100, 65535])})
        else:
            self.count["order"] += 1
            self.ask("PATCH", path, {"admin": self.random.choice(
                ["up", "auto", "down", "drain"])})


def test_orders_at_random_under_load(folder, checkerd):
    """No request fails, and no memory is lost."""
    ports = [free_port() for _ in range(10)]
    listen = "\n".join(f"listen 127.0.0.1:{port};" for port in ports)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    with Nginx(folder / "backend", f"""
                server {{ {listen} keepalive_requests 1000000;
                          location / {{ return 200 "x"; }} }}
                server {{ listen 127.0.0.1:@PORT@; }}""", workers=1):
        churn = Churn(checkerd, [f"127.0.0.1:{port}" for port in ports], seed)
        with Nginx(folder, upstream(folder, "keepalive 16;",
                                    options="key=$request_id")
                   + """proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        keepalive_requests 1000000;""",
                   level="warn") as nginx:
            serves(nginx)
            wrk = subprocess.Popen(
                ["wrk", "-t1", "-c16", f"-d{SECONDS}s",
                 f"http://127.0.0.1:{nginx.port}/"],
                stdout=subprocess.PIPE, text=True)
            sizes = []
            while wrk.poll() is None:
                for _ in range(20):
                    churn.change()
                sizes.append(sum(worker_memory(nginx)))
            output = wrk.stdout.read()
            print(output, churn.count, "kB:", sizes[::len(sizes) // 20 + 1])
            assert "requests in" in output
            assert not re.search(r"Non-2xx|Socket errors", output)
            assert nginx.log.lines(r"\[error\]") == []
            assert sum(churn.count.values()) > SECONDS * 10
            # after a while, it grows no more
            third = len(sizes) // 3
            assert max(sizes[-third:]) \
                < max(sizes[third:2 * third]) * 1.05 + 512
