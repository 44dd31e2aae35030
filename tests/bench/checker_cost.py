#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a check costs, with fresh and with kept connections, beside HAProxy's, in
one run.

usage: checker_cost.py BUILD_DIR [--hosts N] [--interval S] [--rounds N]

Both check the same hosts (addresses of 127.0.0.0/8 on one port) of one local
backend, in turn, `rounds` times; figures are medians.  CPU is user plus system
time of the checker's processes; checks are counted at the backend.
"""
import argparse
import mmap
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERTZ = os.sysconf("SC_CLK_TCK")
PORT = 15080  # below what the kernel hands out

HAPROXY = """
global
  maxconn 100
  nbthread 1
defaults
  mode http
  timeout connect 1s
  timeout check 2s
  timeout client 5s
  timeout server 5s
frontend f
  bind 127.0.0.1:15081
  default_backend b
backend b
  option httpchk
  http-check send meth GET uri / ver HTTP/1.1 hdr host x
  default-server check inter {interval}s fastinter {interval}s
"""

CHECKERD = """
[checkerd]
segment = {directory}/{name}.shm
report = {directory}/{name}.sock
[defaults]
interval = {interval}s
keepalive = {keepalive}
[pool bench]
"""


def address(index):
    return f"127.{1 + index // 62500}.{index // 250 % 250}.{1 + index % 250}"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1])


class Backend:
    def __init__(self, build):
        self.process = subprocess.Popen(
            [f"{build}/tests/bench/bench_backend", str(PORT)],
            stdout=subprocess.PIPE, text=True)

    def counts(self):
        """Requests and connections so far."""
        self.process.send_signal(signal.SIGUSR1)
        return [int(n) for n in self.process.stdout.readline().split()]


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
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(2 * arguments.interval + 2)  # one full interval, at least
        cpu, count = cpu_seconds(process.pid), backend.counts()
        before = lateness(self.segment) if self.segment else None
        start = time.monotonic()
        time.sleep(arguments.seconds)
        elapsed = time.monotonic() - start
        made, opened = (b - a for a, b in zip(count, backend.counts()))
        cpu = cpu_seconds(process.pid) - cpu
        self.memory.append(resident_kb(process.pid) / arguments.hosts)
        if self.segment:
            late = [b - a for a, b in zip(before, lateness(self.segment))]
            self.late.append(percentile(late, 0.99))
        process.terminate()
        process.wait()
        self.costs.append(cpu / made * 1e6 if made else float("inf"))
        self.shares.append(
            made / (arguments.hosts * elapsed / arguments.interval))
        self.connections.append(opened / made if made else 0)
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--hosts", type=int, default=10000)
    parser.add_argument("--interval", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        values = {"interval": arguments.interval, "directory": directory}
        with open(f"{directory}/haproxy.cfg", "w") as file:
            file.write(HAPROXY.format(**values))
            for i in range(arguments.hosts):
                file.write(f"  server s{i} {address(i)}:{PORT}\n")
        checkers = []
        for name, keepalive in (("fresh", "off"), ("kept", "on")):
            with open(f"{directory}/{name}.ini", "w") as file:
                file.write(CHECKERD.format(name=name, keepalive=keepalive,
                                           **values))
                for i in range(arguments.hosts):
                    file.write(f"server = {address(i)}:{PORT}\n")
            checkers.append(Checker(
                name, [f"{arguments.build}/checkerd/checkerd", "-c",
                       f"{directory}/{name}.ini"], f"{directory}/{name}.shm"))
        fresh, kept = checkers
        peer = Checker("haproxy", ["haproxy", "-db", "-q", "-f",
                                   f"{directory}/haproxy.cfg"])
        backend = Backend(arguments.build)
        try:
            for _ in range(arguments.rounds):
                for checker in (fresh, kept, peer):
                    checker.measure(backend, arguments)
        finally:
            backend.process.kill()

    print(f"# {' '.join(sys.argv)}")
    for checker in (fresh, kept, peer):
        print(f"# {' '.join(checker.command)}")
    print(f"{'name':28} {'ours':>10} {'haproxy':>10} {'ratio':>8} unit")

    def row(name, ours, pick, unit):
        a, b = (statistics.median(pick(c)) for c in (ours, peer))
        print(f"{name:28} {a:10.2f} {b:10.2f} {a / b:8.3f} {unit}")

    for ours in (fresh, kept):
        row(f"cpu_per_check_{ours.name}", ours, lambda c: c.costs, "us")
        row(f"checks_made_of_due_{ours.name}", ours, lambda c: c.shares, "1")
        row(f"connections_per_check_{ours.name}", ours,
            lambda c: c.connections, "1")
        row(f"memory_per_host_{ours.name}", ours, lambda c: c.memory, "KB")
        print(f"{'lateness_p99_' + ours.name:28} "
              f"{statistics.median(ours.late):10.0f} {'-':>10} {'-':>8} us")


if __name__ == "__main__":
    main()
