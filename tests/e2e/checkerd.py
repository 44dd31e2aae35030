# SPDX-License-Identifier: BSD-2-Clause
"""A real checkerd in a folder of its own, for tests.

    with Checkerd(folder, ini) as checkerd:
        checkerd.wait_state("web/a", "down")

`ini` needs no [checkerd] section: the segment's place is added.  A crash, a
sanitizer's report or an exit status other than 0 fails the test.
"""

import datetime
import json
import os
import re
import signal
import subprocess

from nginx import BUILD, Log, wait_for
from rest import Rest

CHECKERD = os.path.join(BUILD, "checkerd", "checkerd")
CHECKERCTL = os.path.join(BUILD, "checkerd", "checkerctl")

NGINX_USER = "nobody"

ALARMING = re.compile(r"Sanitizer|runtime error:|Assertion")


def timestamp(text):
    """Seconds since the epoch, of a time in checkerctl's JSON."""
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")).timestamp()


class Checkerd:
    def __init__(self, folder, ini="", prefix=()):
        """`prefix` is the command that runs it, such as ip netns exec."""
        self.prefix = list(prefix)
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.segment = os.path.join(self.folder, "health.shm")
        self.control = os.path.join(self.folder, "control.sock")
        self.status_socket = os.path.join(self.folder, "status.sock")
        self.state_dir = os.path.join(self.folder, "state")
        os.makedirs(self.state_dir, exist_ok=True)
        self.path = os.path.join(self.folder, "checkerd.ini")
        self.log = Log(os.path.join(self.folder, "checkerd.log"))
        self.process = None
        self.write(ini)

    def write(self, ini):
        with open(self.path, "w") as file:
            file.write(self.head() + ini)

    def head(self):
        """What stands in the file before the test's own text."""
        return (f"[checkerd]\nsegment = {self.segment}\n"
                f"control = {self.control}\n"
                f"status = {self.status_socket}\n"
                f"report = {self.folder}/report.sock\n"
                f"state_dir = {self.state_dir}\n"
                # as whom nginx's workers run when it is tested
                f"report_users = www-data {NGINX_USER}\n")

    def line(self, number):
        """Where in the file that line of the test's own text is."""
        return self.head().count("\n") + number

    def run(self, *arguments):
        """Runs to the end: (exit status, standard output, standard error)."""
        done = subprocess.run([CHECKERD, "-c", self.path, *arguments],
                              stdin=subprocess.DEVNULL, timeout=60,
                              capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def start(self):
        before = len(self.log.lines("checks .* hosts"))
        with open(self.log.path, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, CHECKERD, "-c",
                                             self.path],
                                            stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        wait_for(lambda: self.process.poll() is not None or
                 len(self.log.lines("checks .* hosts")) > before,
                 "checkerd to start")
        assert self.process.poll() is None, "\n".join(self.log.lines())
        return self

    def kill(self):
        """As a crash would: nothing is tidied up."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        status = self.process.wait(10)
        self.process = None
        assert status == 0, f"checkerd ended with {status}: " + \
            "\n".join(self.log.lines()[-50:])
        bad = self.log.lines(ALARMING.pattern)
        assert not bad, "\n".join(bad)

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, ini=None, outcome="reloaded"):
        """Returns when the log says so; `outcome` is the word to wait for."""
        if ini is not None:
            self.write(ini)
        before = len(self.log.lines(f"checkerd.ini {outcome}"))
        self.signal(signal.SIGHUP)
        self.log.wait(f"checkerd.ini {outcome}", before + 1)

    def ctl(self, *arguments):
        """checkerctl: (exit status, what it printed)."""
        done = subprocess.run([CHECKERCTL, "-s", self.segment,
                               "-S", self.control, *arguments],
                              stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout

    def rest(self):
        return Rest(self.control)

    def status(self):
        return json.loads(self.ctl("status", "--json")[1])

    def host(self, name):
        pool_name, host_id = name.split("/", 1)
        for pool in self.status()["pools"]:
            for host in pool["hosts"]:
                if (pool["name"], host["id"]) == (pool_name, host_id):
                    return host
        return None

    def events(self):
        return json.loads(self.ctl("events", "--json")[1])["events"]

    def wait_state(self, name, state, timeout=10.0):
        return wait_for(
            lambda: (lambda host: host if host and host["state"] == state
                     else None)(self.host(name)),
            f"{name} to be {state}", timeout)

    def wait_probes(self, name, count, timeout=10.0):
        return wait_for(
            # null while the writer is in it
            lambda: (lambda host: host if host and
                     (host["probes"] or 0) >= count else None)(
                         self.host(name)),
            f"{count} probes of {name}", timeout)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.stop()
            return
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        print("\n".join(self.log.lines()[-100:]))
