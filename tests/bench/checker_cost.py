#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a check costs, with fresh and with kept connections, beside HAProxy's
and beside the floor, in one run.

usage: checker_cost.py [BUILD_DIR] [--hosts N] [--interval S] [--rounds N]
                       [--seconds S]

All check the same hosts (addresses of 127.0.0.0/8 on one port) of one local
backend, in turn, `rounds` times; figures are medians.  CPU is user plus system
time of the checker's processes; checks are counted at the backend.  The floor
is epoll_floor.c: a request written and an answer read, and nothing else.
"""
import argparse
import math
import mmap
import statistics
import struct
import subprocess
import tempfile
import time

import rows
from nginx import BUILD, free_port
from rows import row

CHECKERD = """
[checkerd]
segment = {directory}/{name}.shm
report = {directory}/{name}.sock
control = {directory}/{name}-control.sock
status = {directory}/{name}-status.sock
state_dir = {directory}
[defaults]
interval = {interval_ms}ms
keepalive = {keepalive}
[pool bench]
"""


def lateness(path):
    """The percentiles that checkerd publishes of itself, in microseconds."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ)
    counts = struct.unpack_from("128Q", data, 544)
    return counts


def percentile(counts, share):
    total, seen = sum(counts), 0
    for bucket, count in enumerate(counts):
        seen += count
        if total and seen >= total * share:
            upper = bucket + 1
            return upper if upper < 4 else (4 + upper % 4) << (upper // 4 - 1)
    return 0


class Checker:
    def __init__(self, name, command, segment=None):
        self.name, self.command, self.segment = name, command, segment
        self.costs, self.shares, self.memory, self.late = [], [], [], []
        self.connections = []

    def measure(self, backend, arguments):
        rows.rest(backend)
        with rows.quiet(self.command) as process:
            # the first interval is no measure: memory grows, connections open
            rows.requested(backend, 100, 60)
            time.sleep(arguments.interval + 2)
            cpu, count = rows.cpu_us(process.pid), rows.counts(backend)
            before = lateness(self.segment) if self.segment else None
            start = time.monotonic()
            time.sleep(arguments.seconds)
            made, opened = (b - a for a, b in zip(count,
                                                  rows.counts(backend)))
            elapsed = time.monotonic() - start
            cpu = rows.cpu_us(process.pid) - cpu
            self.memory.append(rows.resident_kb(process.pid))
            if self.segment:
                late = [b - a for a, b in zip(before, lateness(self.segment))]
                self.late.append(percentile(late, 0.99))
            process.terminate()
            process.wait()
        self.costs.append(cpu / made if made else math.inf)
        self.shares.append(
            made / (arguments.hosts * elapsed / arguments.interval))
        self.connections.append(opened / made if made else 0)


class Floor:
    def __init__(self, name, port, arguments):
        self.name = name
        self.command = [rows.built("tests", "bench", "epoll_floor"),
                        str(arguments.hosts),
                        str(round(arguments.interval * 1000)),
                        str(math.ceil(arguments.seconds)), str(port), name]
        self.costs = []

    def measure(self, backend, _arguments):
        rows.rest(backend)
        done = subprocess.run(self.command, stdout=subprocess.PIPE, text=True,
                              check=True)
        self.costs.append(float(done.stdout.split()[0]))


def write_haproxy(directory, port, arguments):
    return Checker("haproxy", rows.haproxy_checks(
        f"{directory}/haproxy.cfg", round(arguments.interval * 1000),
        [f"{rows.host_address(n)}:{port}" for n in range(arguments.hosts)]))


def write_checkerd(directory, name, keepalive, port, arguments):
    path = f"{directory}/{name}.ini"
    with open(path, "w") as file:
        file.write(CHECKERD.format(
            directory=directory, name=name, keepalive=keepalive,
            interval_ms=round(arguments.interval * 1000)))
        file.writelines(f"server = {rows.host_address(n)}:{port}\n"
                        for n in range(arguments.hosts))
    return Checker(name, [f"{arguments.build}/checkerd/checkerd", "-c", path],
                   f"{directory}/{name}.shm")


def print_rows(ours, peer, floor, arguments):
    def compare(name, pick, unit):
        row(f"{name}_{ours.name}", *(statistics.median(pick(c))
                                     for c in (ours, peer)), unit)

    compare("cpu_per_check", lambda c: c.costs, "us")
    row(f"cpu_per_check_{ours.name}_to_floor", statistics.median(ours.costs),
        statistics.median(floor.costs), "us")
    compare("checks_made_of_due", lambda c: [100 * s for s in c.shares], "%")
    compare("connections_per_check", lambda c: c.connections, "1")
    compare("memory_per_host",
            lambda c: [kb / arguments.hosts for kb in c.memory], "KB")
    row(f"lateness_p99_{ours.name}", statistics.median(ours.late) / 1000,
        unit="ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", default=BUILD)
    parser.add_argument("--hosts", type=int, default=10000)
    parser.add_argument("--interval", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    rows.prepare()
    rows.need("haproxy")

    port = free_port()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory, \
            rows.backend(port) as backend:
        fresh, kept = (
            write_checkerd(directory, name, keepalive, port, arguments)
            for name, keepalive in (("fresh", "off"), ("kept", "on")))
        peer = write_haproxy(directory, port, arguments)
        floors = [Floor(name, port, arguments) for name in ("fresh", "kept")]
        for checker in (fresh, kept, peer, *floors):
            rows.ran(*checker.command)
        rows.in_turn(arguments.rounds, *(
            lambda checker=checker: checker.measure(backend, arguments)
            for checker in (fresh, kept, peer, *floors)))
        for ours, floor in zip((fresh, kept), floors):
            print_rows(ours, peer, floor, arguments)


if __name__ == "__main__":
    main()
