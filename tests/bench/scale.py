#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Very many hosts on one core: what they cost, and how late a check gets when
the fleet changes under way.

usage: scale.py [--seconds S] [--rounds N] [HOSTS:INTERVAL ...]

For each fleet (100000:10 and 10000:1 unless said otherwise) a daemon is started
that checks so many hosts every so many seconds, all of them addresses of one
local backend, and restarted. Then, `rounds` times: a while in which nothing
happens; a reload by signal and one over REST; a host that is added and one that
is removed; a scrape of the metrics and the document of all hosts.

`lateness_max` is how long after it was due a check was begun, at worst, as the
daemon counts it (in steps of a quarter), and means something on a machine that
has nothing else to do; `loop_cpu`, the processor time that the loop's thread
spent on a change beyond what the checks cost meanwhile, does on any.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import struct
import tempfile
import threading
import time

import rows
from nginx import free_port
from rows import row

INI = """
[checkerd]
segment = {folder}/health.shm
control = {folder}/control.sock
status = {folder}/status.sock
report = {folder}/report.sock
state_dir = {folder}
[defaults]
interval = {interval}s
[pool bench]
"""

BUCKETS = struct.Struct("128Q")
BUCKETS_AT = 544  # stats_lateness in include/health_shm.h


class Rest(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def bound_us(bucket):
    return bucket if bucket < 4 else (4 + bucket % 4) << (bucket // 4 - 1)


class Lateness:
    """Of the checks begun between two looks at the segment."""

    def __init__(self, before, after):
        self.counts = [b - a for a, b in zip(before, after)]
        self.total = sum(self.counts)

    def ms(self, share):
        seen = 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if seen and seen >= self.total * share:
                return bound_us(bucket + 1) / 1000
        return 0


class Daemon:
    def __init__(self, folder, ini, backend):
        self.folder, self.backend = folder, backend
        self.command = [rows.built("checkerd", "checkerd"), "-c", ini]
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"{folder}/notify.sock")
        self.is_ready = threading.Event()
        self.process = None
        threading.Thread(target=self.listen, daemon=True).start()

    def start(self):
        """Seconds until it was ready, and until a check had arrived."""
        before = rows.counts(self.backend)[0]
        began = time.monotonic()
        self.process = rows.quiet(self.command, env={
            **os.environ, "NOTIFY_SOCKET": f"{self.folder}/notify.sock"})
        self.ready()
        ready = time.monotonic() - began
        while rows.counts(self.backend)[0] == before:
            pass
        return ready, time.monotonic() - began

    def listen(self):
        """All the time: to be told of what nobody reads stops the daemon."""
        while True:
            if b"READY=1" in self.notify.recv(65536):
                self.is_ready.set()

    def ready(self):
        if not self.is_ready.wait(120):
            raise RuntimeError("checkerd is not ready after 120 s")
        self.is_ready.clear()

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def ask(self, method, path, body=None):
        rest = Rest(f"{self.folder}/control.sock")
        rest.request(method, path, body and json.dumps(body),
                     {"Content-Type": "application/json"})
        answer = rest.getresponse()
        answer.read()
        rest.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status}")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)
        self.ready()

    def lateness(self):
        with open(f"{self.folder}/health.shm", "rb") as file:
            return BUCKETS.unpack_from(file.read(4096), BUCKETS_AT)

    def loop_ms(self):
        """Processor time of the thread that probes."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e6

    def memory(self):
        """Megabytes: all, of its own, of the segment; and the most so far."""
        with open(f"/proc/{self.process.pid}/status") as file:
            text = dict(line.split(":", 1) for line in file)
        return [int(text[name].split()[0]) / 1000
                for name in ("VmRSS", "RssAnon", "RssShmem", "VmHWM")]


class Span:
    """What happened while something was done, and for a second after it."""

    def __init__(self, daemon, action, after=1.0):
        late, loop = daemon.lateness(), daemon.loop_ms()
        began = time.monotonic()
        action()
        self.took_ms = (time.monotonic() - began) * 1000
        time.sleep(after)
        self.seconds = time.monotonic() - began
        self.loop_ms = daemon.loop_ms() - loop
        self.late = Lateness(late, daemon.lateness())


def actions(daemon, port):
    """Those that must not make a check late."""
    host = "/v1/pools/bench/hosts/new"
    address = {"address": f"127.200.0.1:{port}"}
    return {
        "reload_by_signal": daemon.reload,
        "reload_over_rest": lambda: daemon.ask("POST", "/v1/reload"),
        "add_host": lambda: daemon.ask("PUT", host, address),
        "remove_host": lambda: daemon.ask("DELETE", host),
        "metrics": lambda: daemon.ask("GET", "/metrics"),
        "all_hosts": lambda: daemon.ask("GET", "/v1/pools"),
        "pool_document": lambda: daemon.ask("GET", "/v1/pools/bench"),
    }


def report_memory(name, daemon, when):
    for what, mb in zip(("", "_anon", "_segment", "_peak"), daemon.memory()):
        row(f"{name}_rss{what}_{when}", mb, unit="MB")


def rest_of(daemon, seconds):
    """A while in which nothing happens, and the share of checks that were
    made of those due."""
    before = rows.counts(daemon.backend)[0]
    span = Span(daemon, lambda: time.sleep(seconds), after=0)
    return span, (rows.counts(daemon.backend)[0] - before) / span.seconds


def measure(arguments, hosts, interval, folder):
    name, port = f"hosts_{hosts}", free_port()
    ini = f"{folder}/checkerd.ini"
    with open(ini, "w") as file:
        file.write(INI.format(folder=folder, interval=interval))
        for i in range(hosts):
            file.write(f"server = {rows.host_address(i)}:{port}\n")
    with rows.backend(port) as backend:
        daemon = Daemon(folder, ini, backend)
        rows.ran(*daemon.command)
        for how in "first", "again":
            ready, probing = daemon.start()
            row(f"{name}_ready_{how}", ready, unit="s")
            row(f"{name}_probing_{how}", probing, unit="s")
            if how == "first":
                time.sleep(interval)
                daemon.stop()
        start = Span(daemon, lambda: None)
        row(f"{name}_lateness_max_start", start.late.ms(1), unit="ms")
        time.sleep(interval)  # each host has been checked
        report_memory(name, daemon, "started")

        quiet, spans = [], {}
        for _ in range(arguments.rounds):
            quiet.append(rest_of(daemon, arguments.seconds))
            for what, action in actions(daemon, port).items():
                spans.setdefault(what, []).append(Span(daemon, action))
        report_memory(name, daemon, "changed")
        daemon.stop()

    def median(pick, values):
        return statistics.median(pick(value) for value in values)

    share = median(lambda q: q[0].loop_ms / q[0].seconds / 1000, quiet)
    row(f"{name}_share_of_core", share)
    row(f"{name}_checks_of_due",
        median(lambda q: q[1], quiet) * interval / hosts)
    row(f"{name}_cpu_per_check",
        median(lambda q: q[0].loop_ms * 1000 / max(q[0].late.total, 1), quiet),
        unit="us")
    for part, text in (0.5, "p50"), (0.99, "p99"), (1, "max"):
        row(f"{name}_lateness_{text}",
            median(lambda q: q[0].late.ms(part), quiet), unit="ms")
    for what, of in spans.items():
        row(f"{name}_{what}_took", median(lambda s: s.took_ms, of), unit="ms")
        row(f"{name}_{what}_lateness_max",
            median(lambda s: s.late.ms(1), of), unit="ms")
        row(f"{name}_{what}_loop_cpu",
            median(lambda s: s.loop_ms - share * s.seconds * 1000, of),
            unit="ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fleets", nargs="*", metavar="HOSTS:INTERVAL",
                        default=["100000:10", "10000:1"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows.prepare()
    for fleet in arguments.fleets:
        hosts, interval = (int(word) for word in fleet.split(":"))
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            measure(arguments, hosts, interval, folder)


if __name__ == "__main__":
    main()
