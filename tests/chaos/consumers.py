# SPDX-License-Identifier: BSD-2-Clause
"""Who is told of events: each keeps what it heard, in order, as
(time, document).
"""

import http.client
import json
import os
import re
import subprocess
import threading
import time

from checkerd import CHECKERCTL
from receivers import Receiver, program
from rest import UnixConnection

# One line a time: what it is told is all that it knows.
CLERK = """#!/bin/sh
read -r document
echo "$PPID $document" >> {path}
"""


class Stream:
    """Server-sent events, resumed with Last-Event-ID as a browser does."""

    def __init__(self, path):
        self.path = path
        self.heard = []
        self.lost = 0
        self.last = None
        self.anew = False
        self.gone = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def begin_anew(self):
        """The sequence of numbers has ended, by our doing; what is on its way
        to us still belongs to it."""
        self.anew = True

    def follow(self):
        while not self.gone.wait(0.05):
            connection = UnixConnection(self.path, 20)
            try:
                self.listen(connection)
            except (OSError, http.client.HTTPException, ValueError):
                pass
            finally:
                connection.close()

    def listen(self, connection):
        connection.connect()
        if self.anew:
            self.anew, self.last = False, None
        headers = {"Accept": "text/event-stream"}
        if self.last is not None:
            headers["Last-Event-ID"] = str(self.last)
        connection.request("GET", "/v1/events", headers=headers)
        answer = connection.getresponse()
        name = None
        while not self.gone.is_set():
            line = answer.readline().decode()
            if not line:
                return
            if line.startswith("event: "):
                name = line[7:].strip()
            elif line.startswith("data: "):
                self.take(name, json.loads(line[6:]))

    def take(self, name, document):
        if name == "lost":
            self.lost += document["lost"]
            return
        self.heard.append((time.monotonic(), document))
        self.last = document["seq"]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gone.set()


class Follower:
    """`checkerctl events -f`, one process from the beginning to the end."""

    def __init__(self, segment):
        self.segment = segment
        self.heard = []

    def read(self):
        for line in self.process.stdout:
            self.heard.append((time.monotonic(), json.loads(line)))

    def __enter__(self):
        self.process = subprocess.Popen(
            [CHECKERCTL, "-s", self.segment, "--json", "events", "-f"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.said = self.process.communicate(timeout=10)[1]


class Hook(Receiver):
    """The webhook's receiver; faults put answers into `answers`."""

    @property
    def heard(self):
        return [(0.0, document) for _, document in list(self.posts)]


class Program:
    """What `exec` runs; the pid of its parent tells which checkerd ran it."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "told")
        self.program = program(folder, "clerk", CLERK.format(path=self.path))

    @property
    def heard(self):
        try:
            with open(self.path) as file:
                return [(int(line.split(" ", 1)[0]),
                         json.loads(line.split(" ", 1)[1])) for line in file]
        except FileNotFoundError:
            return []


LINE = re.compile(r'(\S+ \S+) \[\w+\] (\d+)#\d+: (?:\*\d+ )?'
                  r'upstream_health: (\w+) upstream="([^"]*)" pool="([^"]*)"'
                  r'(?: host="([^"]*)" addr=(\S+))?.* seq=(\d+)')


class ErrorLog:
    """nginx's lines; several instances write there while one replaces
    another."""

    def __init__(self, log):
        self.log = log

    @property
    def heard(self):
        found = []
        for line in self.log.lines(r"upstream_health: \w+ .* seq="):
            logged, pid, event, upstream, pool, host, _, seq = LINE.search(
                line).groups()
            found.append((int(pid), {
                "logged_s": time.mktime(time.strptime(logged,
                                                      "%Y/%m/%d %H:%M:%S")),
                "seq": int(seq), "event": event, "upstream": upstream,
                "pool": pool, "host": host}))
        return found
