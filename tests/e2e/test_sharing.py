# SPDX-License-Identifier: BSD-2-Clause
"""One probe, many readers: who asks the same of the same address."""

import time

from backends import Backends
from checkerd import Checkerd

SETTINGS = """
[defaults]
path = /healthz
jitter = 0
"""


def pool(name, backend, more=""):
    return f"\n[pool {name}]\nserver = {backend.address} id=x\n{more}\n"


def probes_in(backends, seconds):
    before = sum(b.probes for b in backends)
    time.sleep(seconds)  # what is measured is the time itself
    return sum(b.probes for b in backends) - before


def test_a_thousand_pools_of_ten_addresses_are_ten_probes(folder):
    with Backends(10) as backends:
        text = SETTINGS + "interval = 500ms\n" + "".join(
            pool(f"p{n}", backends[n % 10]) for n in range(1000))
        with Checkerd(folder, text) as checkerd:
            checkerd.wait_probes("p999/x", 2)
            assert 35 <= probes_in(backends, 2) <= 45
            host = checkerd.host("p7/x")
            assert host["shared"] == 100
            assert host["state"] == "up"


def test_each_judges_by_its_own_settings(folder):
    with Backends(1) as backends:
        text = SETTINGS + "interval = 50ms\n" + \
            pool("strict", backends[0], "fail_status = 5xx, 404\nfall = 2") + \
            pool("lenient", backends[0], "fail_status = 5xx\nfall = 9") + \
            pool("header", backends[0], "expect_status = 1xx-5xx\n"
                 "expect_header = X-Backend: ^b$".replace("1xx-5xx",
                                                          "100-599")) + \
            pool("body", backends[0], "expect_body = ^a$")
        with Checkerd(folder, text) as checkerd:
            checkerd.wait_state("strict/x", "up")
            checkerd.wait_state("lenient/x", "up")
            checkerd.wait_state("body/x", "up")
            wrong = checkerd.wait_state("header/x", "down")
            assert wrong["outcome"] == "L7HDR"
            assert {checkerd.host(f"{p}/x")["shared"]
                    for p in ("strict", "lenient", "header", "body")} == {4}
            backends[0].health = 404
            checkerd.wait_state("strict/x", "down")
            assert checkerd.host("lenient/x")["state"] == "up"
            backends[0].health = 500
            checkerd.wait_state("lenient/x", "down")


def test_the_shortest_interval_serves_all(folder):
    with Backends(1) as backends:
        text = SETTINGS + pool("often", backends[0], "interval = 100ms") + \
            pool("seldom", backends[0], "interval = 10s")
        with Checkerd(folder, text) as checkerd:
            checkerd.wait_probes("seldom/x", 5, timeout=3)
            assert 8 <= probes_in(backends, 1) <= 12


def test_another_request_is_another_probe(folder):
    with Backends(1) as backends:
        text = SETTINGS + "interval = 100ms\n" + pool("one", backends[0]) + \
            pool("two", backends[0], "path = /healthz?deep") + \
            pool("three", backends[0], "header = X-Deep: yes") + \
            pool("four", backends[0], "read_timeout = 1s")
        with Checkerd(folder, text) as checkerd:
            checkerd.wait_probes("four/x", 2)
            assert 34 <= probes_in(backends, 1) <= 46
            assert checkerd.host("one/x")["shared"] == 1


def test_who_shares_may_come_and_go(folder):
    with Backends(1) as backends:
        one, two = pool("one", backends[0]), pool("two", backends[0])
        text = SETTINGS + "interval = 50ms\n"
        with Checkerd(folder, text + one) as checkerd:
            checkerd.wait_state("one/x", "up")
            checkerd.reload(text + one + two)
            checkerd.wait_state("two/x", "up")
            assert checkerd.host("one/x")["shared"] == 2
            checkerd.reload(text + two)
            probes = checkerd.host("two/x")["probes"]
            checkerd.wait_probes("two/x", probes + 3)
            assert checkerd.host("two/x")["shared"] == 1
