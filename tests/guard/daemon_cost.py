# SPDX-License-Identifier: BSD-2-Clause
"""What checkerd does for each check, in the steady state, counted.

One backend answers for all hosts.  Nothing here looks at the time: on a busy
machine fewer checks are made, and what each of them takes is the same, but for
what is shared by all checks of one turn of the event loop.  That is counted
apart, and less on a busy machine.
"""

import collections
import mmap
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

from nginx import BUILD, free_port, wait_for

HOSTS = 300
CHECKS = 1200  # are looked at,
WINDOWS = 3  # and of instructions the median of so many parts
# What the event loop does, however many checks there are in a turn: libsystemd
# asks who it is, waits, reads and sets its timer.
OF_THE_TURN = {"epoll_wait", "gettid", "timerfd_settime", "read"}

INI = """
[checkerd]
segment = {folder}/health.shm
[defaults]
interval = 1s
keepalive = {keepalive}
[pool guard]
"""


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Checkerd:
    """One that has made all its checks a few times, as wide as it gets."""

    def __init__(self, keepalive, wrapper=(), environment=()):
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.port = free_port()
        self.keepalive = keepalive
        self.wrapper = wrapper
        self.environment = {**os.environ, **dict(environment)}

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def __enter__(self):
        self.backend = subprocess.Popen(
            [f"{BUILD}/tests/bench/bench_backend", str(self.port)],
            stdout=subprocess.PIPE, text=True)
        wait_for(lambda: listens(self.port), "the backend")
        with open(self.path("checkerd.ini"), "w") as file:
            file.write(INI.format(folder=self.folder.name,
                                  keepalive=self.keepalive))
            file.writelines(f"server = 127.0.{i // 250}.{1 + i % 250}:"
                            f"{self.port}\n" for i in range(HOSTS))
        self.process = subprocess.Popen(
            [*(part.replace("FOLDER", self.folder.name)
               for part in self.wrapper),
             f"{BUILD}/checkerd/checkerd", "-c", self.path("checkerd.ini")],
            env=self.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        self.wait_for_checks(HOSTS)
        # all are due at once: the most memory that it will ever need
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(1.2)
        self.process.send_signal(signal.SIGCONT)
        self.wait_for_checks(2 * HOSTS)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        _, log = self.process.communicate()
        self.backend.kill()
        self.backend.communicate()
        self.folder.cleanup()
        assert self.process.returncode == 0, log

    def checks(self):
        """So far, as the backend saw them."""
        self.backend.send_signal(signal.SIGUSR1)
        return int(self.backend.stdout.readline().split()[0])

    def wait_for_checks(self, number):
        """As many more."""
        until = self.checks() + number
        wait_for(lambda: self.checks() >= until, f"{number} checks",
                 timeout=60)


def instructions(keepalive):
    """Per check, without libsystemd's."""
    with Checkerd(keepalive, ["valgrind", "-q", "--tool=callgrind",
                              "--instr-atstart=no",
                              "--callgrind-out-file=FOLDER/callgrind"]) as it:
        pid = str(it.process.pid)
        control(pid, "--instr=on")
        figures = []
        for window in range(1, WINDOWS + 1):
            it.wait_for_checks(CHECKS // WINDOWS)
            control(pid, "--dump")
            path = it.path(f"callgrind.{window}")
            wait_for(lambda: os.path.exists(path), "callgrind's figures")
            figures.append(callgrind_figures(path))
    return statistics.median(sum(cost for name, cost in objects.items()
                                 if "libsystemd" not in name) / checks
                             for checks, objects in figures)


def control(pid, order):
    subprocess.run(["callgrind_control", order, pid], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def callgrind_figures(path):
    """Checks, and instructions by object file.  Half of a check is its start and
    half its end: the mean, for those that began before or end later."""
    names, objects = {}, {}
    costs = collections.Counter()
    calls, called, inside, skip = 0, "", "", False

    def name_of(known, text):
        number, _, name = text.partition(" ")
        return known.setdefault(number, name) if name else known[number]

    with open(path) as file:
        for line in map(str.rstrip, file):
            key, _, value = line.partition("=")
            if key == "ob":
                inside = name_of(objects, value)
            elif key == "cob":
                name_of(objects, value)
            elif key == "fn":
                name_of(names, value)
            elif key == "cfn":
                called = name_of(names, value)
            elif key == "calls":
                if called in ("probe_start", "probe_judge"):
                    calls += int(value.split()[0])
                skip = True  # the next line is the callee's, counted there
            elif re.match(r"[-+*\d]", line):
                if not skip:
                    costs[inside] += int(line.split()[1])
                skip = False
    return calls / 2, costs


def calls_and_allocations(keepalive):
    """Per check: system calls by name, allocations."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as counter:
        counter.write(bytes(8))
        counter.flush()
        with mmap.mmap(counter.fileno(), 8) as shared, Checkerd(
                keepalive, environment={
                    "LD_PRELOAD": f"{BUILD}/tests/guard/count_allocations.so",
                    "COUNT_ALLOCATIONS": counter.name}) as it:
            def allocations():
                return struct.unpack("Q", shared)[0]

            assert allocations() > HOSTS, "nothing is counted"
            trace = it.path("strace")
            tracer = subprocess.Popen(
                ["strace", "-f", "-s", "8", "-o", trace, "-p",
                 str(it.process.pid)], stderr=subprocess.DEVNULL)
            wait_for(lambda: os.path.exists(trace) and os.path.getsize(trace),
                     "strace")
            before = allocations()
            it.wait_for_checks(CHECKS)
            after = allocations()
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            with open(trace) as file:
                text = file.read()
    checks = len(re.findall(r'"GET / ', text))
    calls = collections.Counter(re.findall(r"^\d+ +(\w+)\(", text, re.M))
    return ({name: number / checks for name, number in calls.items()},
            (after - before) / checks)


def cost(name, keepalive):
    """What limits.py has limits for."""
    calls, allocations = calls_and_allocations(keepalive)
    return {
        f"check_{name}_instructions": instructions(keepalive),
        f"check_{name}_calls": sum(number for call, number in calls.items()
                                   if call not in OF_THE_TURN),
        f"check_{name}_turn_calls": sum(calls.get(call, 0)
                                        for call in OF_THE_TURN),
        f"check_{name}_allocations": allocations,
    }
