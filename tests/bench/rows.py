# SPDX-License-Identifier: BSD-2-Clause
"""What the benches share: rows, commands, children that end with them.

A bench prints what it ran, a line for each command that begins with `#`, and
rows of five words, `name ours peer ratio unit`, with `-` where nobody is
compared with.  What is compared is measured in turn, in one run; the ratio is
of medians, or the median of pairs where a bench says so.  Nothing fails by a
figure.
"""

import ctypes
import os
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

BENCH = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(BENCH, "..", "e2e"))

from nginx import BUILD, free_port, wait_for  # noqa: E402

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


HAPROXY = """
global
  maxconn 100
  nbthread 1
  no strict-limits
defaults
  mode http
  timeout connect 1s
  timeout check 2s
  timeout client 5s
  timeout server 5s
  option httpchk
  http-check send meth GET uri / ver HTTP/1.1 hdr host x
  default-server check inter {interval_ms}ms fastinter {interval_ms}ms
frontend f
  bind 127.0.0.1:{port}
  default_backend b0
"""
BACKEND_SERVERS = 1000


def number(value):
    """Four digits that count, and no exponent."""
    if value is None:
        return "-"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.4g}"


def row(name, ours, peer=None, unit="1", ratio=None):
    if ratio is None and peer:
        ratio = ours / peer
    print(f"{name:36} {number(ours):>10} {number(peer):>10} "
          f"{number(ratio):>8} {unit}", flush=True)


def ran(*command):
    print("#", *command, flush=True)


def percentile(values, share):
    """The smallest value that `share` of them do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -int(-len(ranked) * share // 1) - 1)]


def spread(name, values, unit="us"):
    """Three rows: the median, the 99th percentile and the greatest."""
    row(f"{name}_p50", statistics.median(values), unit=unit)
    row(f"{name}_p99", percentile(values, 0.99), unit=unit)
    row(f"{name}_max", max(values), unit=unit)


def in_turn(rounds, *measures):
    """Calls each once in every round, and each first in as many rounds as the
    others: who comes first has the caches cold and the clock low.  Returns a
    list for each of what it returned."""
    results = [[] for _ in measures]
    for turn in range(rounds):
        for n in range(len(measures)):
            which = (turn + n) % len(measures)
            results[which].append(measures[which]())
    return results


def need(*programs):
    """The programs of others that a bench compares with."""
    packages = {"haproxy": "haproxy", "wrk": "wrk", "valgrind": "valgrind",
                "nginx": "nginx-core"}
    missing = [name for name in programs if shutil.which(
        name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None]
    if missing:
        sys.exit("missing: " + " ".join(missing) + "; apt-get install "
                 + " ".join(packages.get(name, name) for name in missing))


def built(*path):
    """A program of the build folder, $CHECKERD_BUILD or build."""
    program = os.path.join(BUILD, *path)
    if not os.path.exists(program):
        sys.exit(f"missing: {program}; build it, or set CHECKERD_BUILD")
    return program


def prepare():
    """As many descriptors as allowed, and an end that is tidy: whoever ends
    the bench ends what it started too."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit(1))
    return hard


class Child(subprocess.Popen):
    """A process that gets the signal `end` when the `with` or this process
    ends, and runs on `cpus` only."""

    def __init__(self, command, cpus=None, end=signal.SIGKILL, **options):
        self.end_signal = end

        def before_exec():
            libc.prctl(PR_SET_PDEATHSIG, end)
            if cpus is not None:
                os.sched_setaffinity(0, cpus)

        super().__init__([str(word) for word in command],
                         preexec_fn=before_exec, **options)

    def __exit__(self, *error):
        self.send_signal(self.end_signal)
        super().__exit__(*error)


def quiet(command, **options):
    return Child(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL, **options)


def listening(port):
    """Waits until something does."""
    def connects():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_for(connects, f"somebody to listen on port {port}")


class Witness(Child):
    """A backend that says when; see witness.c."""

    def __init__(self, port=None):
        self.port = port or free_port()
        super().__init__([built("tests", "bench", "witness"), self.port],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True, bufsize=1)

    def tell(self, line):
        self.stdin.write(line + "\n")
        self.stdin.flush()

    def answer(self, timeout_s=20):
        if not select.select([self.stdout], [], [], timeout_s)[0]:
            raise RuntimeError(f"no traffic reached port {self.port}, or no "
                               f"health check, for {timeout_s} s")
        return [int(word) for word in self.stdout.readline().split()]


def backend(port, **options):
    """Answers 200 on every address of `port`, and counts."""
    child = Child([built("tests", "bench", "bench_backend"), port],
                  stdout=subprocess.PIPE, text=True, **options)
    listening(port)
    return child


def counts(backend):
    """Requests and connections so far."""
    backend.send_signal(signal.SIGUSR1)
    return [int(word) for word in backend.stdout.readline().split()]


def rest(backend):
    """Waits until nobody asks it any more."""
    seen = [None]

    def silent():
        time.sleep(0.1)
        seen.append(counts(backend)[0])
        return seen[-1] == seen[-2]
    wait_for(silent, "the backend to have nothing to do")


def requested(backend, count, timeout_s=20):
    """Waits until so many requests more have come."""
    before = counts(backend)[0]
    wait_for(lambda: counts(backend)[0] - before >= count,
             f"{count} requests", timeout_s)


class Traffic(Child):
    """wrk for as long as the `with` lasts."""

    def __init__(self, port, connections=16, **options):
        self.port = port
        super().__init__(["wrk", "-t1", f"-c{connections}", "-d3600s",
                          f"http://127.0.0.1:{port}/"],
                         stdout=subprocess.PIPE, text=True, **options)

    def end(self):
        """How many requests a second it made."""
        self.send_signal(signal.SIGINT)
        return rate(self.communicate(timeout=30)[0])


def rate(text):
    """Requests a second, as wrk prints it."""
    for line in text.splitlines():
        if line.startswith("Requests/sec:"):
            return float(line.split()[1])
    raise RuntimeError("wrk said: " + text)


def cpu_us(*pids):
    """What the processes have used, of all their threads, in microseconds."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
    return total / 1000


def resident_kb(pid):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmRSS"):
                return int(line.split()[1])
    return 0


def haproxy_checks(path, interval_ms, hosts):
    """The command of a HAProxy that does nothing but check these. They are in
    many backends: reading one of n servers takes it n squared."""
    with open(path, "w") as file:
        file.write(HAPROXY.format(port=free_port(), interval_ms=interval_ms))
        for n, host in enumerate(hosts):
            if n % BACKEND_SERVERS == 0:
                file.write(f"backend b{n // BACKEND_SERVERS}\n")
            file.write(f"  server s{n} {host}\n")
    return ["haproxy", "-db", "-q", "-f", path]


def now_us():
    """The clock of witness.c."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def host_address(index):
    """10 000 hosts on one port, or a million."""
    return f"127.{1 + index // 62500}.{index // 250 % 250}.{1 + index % 250}"
