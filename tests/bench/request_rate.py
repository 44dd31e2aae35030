#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Requests a second through nginx with the module, beside stock nginx.

usage: request_rate.py [--pairs N] [--pool-pairs N] [--seconds S]

Two nginx of one binary and one configuration but for the module run beside each
other, with one worker each, on a processor of their own; wrk, on the other one
with the backend, asks them in turn for half a second each. The ratio is the
median of that of each pair, with the bounds between which the true median lies
at 95 %. Overlay mode is compared with the same servers, and pool mode with
stock round robin over as many. The processor time of a request, which depends
less on what else the machine does, is compared in the same way.
"""

import argparse
import math
import os
import statistics
import tempfile
import time

import rows
from nginx import Nginx, free_port, wait_for
from rows import row
from segment import Segment

OVERLAY_SIZES = [10]
POOL_SIZES = [1, 10, 100, 1000]
NGINX_CPU = 0
REST_CPUS = {1}


class Pinned(Nginx):
    """One worker, on a processor of its own."""

    def __init__(self, folder, http, module):
        super().__init__(folder, http, workers=1,
                         main=f"worker_cpu_affinity {1 << NGINX_CPU:b};")
        if not module:
            self.modules = []

    def load(self, seconds):
        """Requests a second, and microseconds of processor time for one; once
        more when a busy machine did not let wrk begin in time."""
        worker = self.worker_pids()[0]
        rate = 0
        while rate == 0:
            with rows.Traffic(self.port, cpus=REST_CPUS) as traffic:
                began, cpu = time.monotonic(), rows.cpu_us(worker)
                time.sleep(seconds)
                rate = traffic.end()
                cpu = rows.cpu_us(worker) - cpu
                elapsed = time.monotonic() - began
        return rate, cpu / (rate * elapsed)


def bounds(values):
    """Between which the median of where they come from lies, at 95 %."""
    ranked = sorted(values)
    n = len(ranked)
    reach = 0.98 * math.sqrt(n)
    return (ranked[max(0, math.floor(n / 2 - reach))],
            ranked[min(n - 1, math.ceil(n / 2 + reach))])


def compare(name, ours, stock, pairs, seconds):
    mine, theirs = rows.in_turn(pairs, lambda: ours.load(seconds),
                                lambda: stock.load(seconds))
    for n, (what, unit) in enumerate((("", "requests/s"), ("_cpu", "us"))):
        a, b = ([figures[n] for figures in side] for side in (mine, theirs))
        ratios = [x / y for x, y in zip(a, b)]
        low, high = bounds(ratios)
        row(f"{name}{what}", statistics.median(a), statistics.median(b), unit,
            statistics.median(ratios))
        row(f"{name}{what}_low", low)
        row(f"{name}{what}_high", high)


def run(name, folder, http, size, port, pairs, seconds):
    """`http` is the upstream's, with @SERVERS@ or without."""
    hosts = [f"{rows.host_address(n)}:{port}" for n in range(size)]
    servers = "".join(f"server {host};" for host in hosts)
    path = os.path.join(folder, f"{name}.shm")
    with Segment(path) as segment:
        segment.tell("pool p web 0 round_robin")
        segment.tell_all([f"host h{n} {host}" for n, host in enumerate(hosts)])
        segment.tell("activate")
        ours = Pinned(f"{folder}/{name}", "upstream web { %s }" % http.format(
            servers=servers, segment=path), True)
        stock = Pinned(f"{folder}/{name}-stock",
                       f"upstream web {{ {servers} }}", False)
        with ours, stock:
            for nginx in ours, stock:
                wait_for(lambda: nginx.get().status == 200, "an answer")
                rows.ran(" ".join(nginx.command()))
            compare(name, ours, stock, pairs, seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--pool-pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    rows.prepare()
    rows.need("wrk", "nginx")
    port = free_port()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
            rows.backend(port, cpus=REST_CPUS):
        os.chmod(folder, 0o755)
        for size in OVERLAY_SIZES:
            run(f"requests_overlay_{size}", folder,
                "{servers} upstream_health_shm {segment};", size, port,
                arguments.pairs, arguments.seconds)
        for size in POOL_SIZES:
            run(f"requests_pool_{size}", folder,
                "upstream_health_shm {segment};", size, port,
                arguments.pool_pairs, arguments.seconds)


if __name__ == "__main__":
    main()
