# SPDX-License-Identifier: BSD-2-Clause
"""checkerd with a disk and a tmpfs of its own, on a clock of its own, and
somebody who starts it again as systemd does.
"""

import math
import os
import re
import resource
import signal
import struct
import subprocess
import threading
import time

from actions import ANCHORS, POOLS, SHELF, UPSTREAMS
from checkerd import ALARMING, CHECKERD, Checkerd
from nginx import BUILD, PRELOAD, wait_for

SHIM = os.path.join(BUILD, "tests", "chaos", "clock_shim.so")

# Some segments: nginx holds the ones before until it looks again.
SEGMENT_SPACE = "40m"
STATE_SPACE = "256k"
RESTART_S = 0.1

FIRST_INI = {"interval": "250ms", "fall": 2, "rise": 1, "keepalive": "off",
             "check": "http", "shelf": list(POOLS[SHELF])[:2]}


class Life:
    """One process: when it began, and where the events stood when it was
    dead."""

    def __init__(self):
        self.start = time.monotonic()
        self.end = None


class Daemon(Checkerd):
    def __init__(self, folder, ports, notify, findings):
        self.run_folder = os.path.join(folder, "run")
        self.ports = ports
        self.notify = notify
        self.findings = findings
        self.clock = os.path.join(folder, "clock")
        self.jump(0)
        super().__init__(folder)
        for path, space in ((self.run_folder, SEGMENT_SPACE),
                            (self.state_dir, STATE_SPACE)):
            os.makedirs(path, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o",
                            f"size={space},mode=0755", "chaos", path],
                           check=True)
        self.segment = os.path.join(self.run_folder, "health.shm")
        self.control = os.path.join(self.run_folder, "control.sock")
        self.status_socket = os.path.join(self.run_folder, "status.sock")
        self.write(self.ini(FIRST_INI))
        self.lives = []
        self.observer = None
        self.killed = False     # by us: its end is no surprise
        self.may_fail = False   # to start: there is no space
        self.starves = False    # of files
        self.starved = -math.inf  # until when it did
        # over what it keeps, and what we expect of that
        self.state_lock = threading.RLock()
        self.held = threading.Event()
        self.launched = threading.Event()
        self.ready = threading.Event()
        self.gone = threading.Event()
        self.supervisor = threading.Thread(target=self.supervise, daemon=True)

    def head(self):
        return (f"[checkerd]\nsegment = {self.run_folder}/health.shm\n"
                f"control = {self.run_folder}/control.sock\n"
                f"status = {self.run_folder}/status.sock\n"
                f"report = {self.run_folder}/report.sock\n"
                f"state_dir = {self.state_dir}\n"
                "report_users = www-data nobody\n")

    def address(self, number):
        return f"127.0.0.1:{self.ports[number]}"

    def ini(self, edit):
        text = f"""
[defaults]
path = /healthz
interval = {edit["interval"]}
fall = {edit["fall"]}
rise = {edit["rise"]}
keepalive = {edit["keepalive"]}
connect_timeout = 1s
read_timeout = 1s
observe = connect
"""
        for pool, members in POOLS.items():
            if pool == SHELF:
                members = edit["shelf"]
            text += (f"[pool {pool}]\nupstream = {UPSTREAMS[pool]}\n"
                     f"priority = {int(pool == 'back')}\n")
            if pool == SHELF:
                text += f"check = {edit['check']}\n"
            for n in members:
                text += f"server = {self.address(n)} id=h{n}"
                text += " max_fails=0\n" if n in ANCHORS else "\n"
        # a machine that is behind is not to take them out
        for pool, members in POOLS.items():
            for n in set(members) & set(ANCHORS):
                text += (f"[host {pool}/h{n}]\nread_timeout = 10s\n"
                         "connect_timeout = 10s\nfall = 10\n")
        return text + "[notify]\n" + self.notify

    def may_lack_files(self):
        """Also in an answer that is on its way still."""
        return self.starves or time.monotonic() < self.starved + 10

    def jump(self, seconds):
        """Its real-time clock is so far off from here on."""
        flags = os.O_RDWR | os.O_CREAT
        fd = os.open(self.clock, flags, 0o644)
        os.pwrite(fd, struct.pack("=q", int(seconds * 1e6)), 0)
        os.close(fd)
        self.offset_s = seconds

    # --- life and death

    def launch(self):
        """Returns whether it got ready."""
        # ended in the midst of a change, it leaves the thread that is at it,
        # and what that works on, to the end of the process
        environment = dict(os.environ, CHAOS_CLOCK=self.clock,
                           ASAN_OPTIONS="detect_leaks=0",
                           LD_PRELOAD=f"{PRELOAD} {SHIM}", no_proxy="*")
        before = len(self.log.lines("checks .* hosts"))
        with open(self.log.path, "ab") as log:
            self.process = subprocess.Popen(
                [CHECKERD, "-c", self.path], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=environment)
        self.lives.append(Life())
        self.launched.set()
        # it is as ready when its socket answers, as systemd would be told
        wait_for(lambda: self.process.poll() is not None or
                 len(self.log.lines("checks .* hosts")) > before,
                 "checkerd to start", 60)
        return self.process.poll() is None

    def supervise(self):
        try:
            self.start_again_and_again()
        except (OSError, AssertionError) as error:
            self.findings.add(f"checkerd cannot be started: {error}")

    def start_again_and_again(self):
        while not self.gone.is_set():
            if self.launch():
                self.ready.set()
            status = self.process.wait()
            self.ready.clear()
            self.observer.look()
            self.lives[-1].end = self.observer.place()
            if not (self.killed and status in (-signal.SIGKILL, 0)) and \
                    not (self.may_fail and status == 1):
                self.findings.add(f"checkerd ended with {status}")
            self.killed = False
            self.held.set()
            self.resume.wait()
            self.gone.wait(RESTART_S)

    def begin(self, observer):
        self.observer = observer
        self.resume = threading.Event()
        self.resume.set()
        self.supervisor.start()
        self.wait_ready()

    def wait_ready(self, timeout=60):
        assert self.ready.wait(timeout), "checkerd did not come up"

    def hold(self, how=signal.SIGKILL):
        """Ends it; it stays dead until release()."""
        self.launched.wait()
        self.held.clear()
        self.resume.clear()
        self.killed = True
        self.process.send_signal(how)
        assert self.held.wait(60), "checkerd did not end"

    def release(self):
        self.ready.clear()
        self.launched.clear()
        self.resume.set()

    def end(self):
        """For good, as it should be ended."""
        self.wait_ready()
        self.gone.set()
        self.killed = True
        self.process.terminate()
        self.supervisor.join(30)
        if self.supervisor.is_alive():
            self.findings.add("checkerd does not end on SIGTERM")
            self.process.kill()
        for line in self.log.lines(ALARMING.pattern):
            self.findings.add(f"checkerd said: {line}")

    def give_up(self):
        """As it is, and nobody starts another."""
        self.gone.set()
        if self.process and self.process.poll() is None:
            self.killed = True
            self.process.kill()
        if self.supervisor.is_alive():
            self.resume.set()
            self.supervisor.join(5)

    # --- what it has

    def limit_files(self, spare):
        """Returns what undoes it."""
        pid = self.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE,
                         (used + 1 + spare, limits[1]))
        return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

    def memory_kb(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Fill:
    """A file that leaves `left` bytes of a small file system."""

    def __init__(self, folder, left=0):
        self.path = os.path.join(folder, "fill")
        self.left = left

    def __enter__(self):
        with open(self.path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
            file.truncate(max(0, file.tell() - self.left))

    def __exit__(self, *_):
        os.unlink(self.path)
