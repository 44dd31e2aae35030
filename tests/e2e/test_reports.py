# SPDX-License-Identifier: BSD-2-Clause
"""What live traffic tells checkerd: datagrams of all kinds, and what becomes of
the hosts."""

import os
import socket
import struct
import subprocess
import sys
import time

import pytest

from backends import Backends
from checkerd import Checkerd
from nginx import wait_for
from reports import FAILURE, HELLO, LAYOUT, MAGIC
from rest import Rest

VERSION = 1

SETTINGS = """
[defaults]
path = /healthz
interval = 60s
observe = connect
"""


class Reporter:
    def __init__(self, checkerd):
        self.path = os.path.join(checkerd.folder, "report.sock")
        with open(checkerd.segment, "rb") as file:
            head = file.read(64)
        self.stream, self.created = struct.unpack_from("=QQ", head, 24)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def pack(self, host=0, failures=1, status=0, kind=FAILURE, magic=MAGIC,
             version=VERSION, stream=None, created=None, age=0):
        return LAYOUT.pack(
            magic, version, kind,
            self.stream if stream is None else stream,
            self.created if created is None else created,
            int((time.monotonic() - age) * 1e6), 0, host, failures, status, 0,
            1022001, 0)

    def send(self, data=None, **fields):
        self.socket.sendto(self.pack(**fields) if data is None else data,
                           self.path)


@pytest.fixture
def backends():
    with Backends(2) as two:
        yield two


def ini(backends, more=""):
    servers = "".join(f"server = {b.address} id={b.name}\n" for b in backends)
    return f"{SETTINGS}\n{more}\n[pool web]\n{servers}"


def start(folder, backends, more=""):
    return Checkerd(folder, ini(backends, more))


def test_a_report_is_followed_by_probes_until_it_is_clear(folder, backends):
    with start(folder, backends) as checkerd:
        reporter = Reporter(checkerd)
        backends[0].stop()
        began = time.monotonic()
        reporter.send(host=0)
        host = checkerd.wait_state("web/a", "down")
        assert time.monotonic() - began < 1
        assert host["outcome"] == "L4CON"
        assert host["failcount"] == 3
        assert checkerd.host("web/b")["probes"] <= 2

        # a false alarm costs one probe
        probes = checkerd.host("web/b")["probes"]
        reporter.send(host=1)
        checkerd.wait_probes("web/b", probes + 1)
        assert checkerd.host("web/b")["state"] in ("up", "unknown")


def test_failures_count(folder, backends):
    with start(folder, backends, "on_error = fail") as checkerd:
        reporter = Reporter(checkerd)
        reporter.send(host=0)
        wait_for(lambda: checkerd.host("web/a")["failcount"] == 1, "a failure")
        reporter.send(host=0, failures=2)
        host = checkerd.wait_state("web/a", "down")
        assert (host["outcome"], host["failcount"]) == ("PASSIVE", 3)
        assert host["history"][0]["outcome"] == "PASSIVE"
        event = checkerd.events()[-1]
        assert (event["event"], event["outcome"]) == ("host_down", "PASSIVE")


def test_one_failure_is_enough(folder, backends):
    with start(folder, backends, "on_error = down") as checkerd:
        Reporter(checkerd).send(host=1)
        checkerd.wait_state("web/b", "down")
        assert checkerd.host("web/a")["failcount"] == 0


def test_hosts_without_probes_are_forgiven(folder, backends):
    more = "check = none\non_error = fail\nfall = 2\nfailed_timeout = 700ms"
    text = ini(backends, more).replace("path = /healthz\n", "").replace(
        "interval = 60s\n", "")
    with Checkerd(folder, text) as checkerd:
        assert checkerd.host("web/a")["state"] == "up"
        reporter = Reporter(checkerd)
        reporter.send(host=0, failures=2)
        checkerd.wait_state("web/a", "down")
        began = time.monotonic()
        checkerd.wait_state("web/a", "up")
        assert 0.5 < time.monotonic() - began < 2
        assert checkerd.host("web/a")["failcount"] == 0
        assert sum(b.probes for b in backends) == 0
        # counted failures that were too few are forgotten as well
        reporter.send(host=1)
        wait_for(lambda: checkerd.host("web/b")["failcount"] == 1, "a failure")
        wait_for(lambda: checkerd.host("web/b")["failcount"] == 0, "none")


def test_statuses_count_where_they_are_observed(folder, backends):
    more = "observe = status\nfail_status = 5xx\non_error = down"
    text = ini(backends, more).replace("observe = connect\n", "")
    with Checkerd(folder, text) as checkerd:
        reporter = Reporter(checkerd)
        reporter.send(host=0, status=404)
        reporter.send(host=1, status=503)
        checkerd.wait_state("web/b", "down")
        assert checkerd.host("web/a")["failcount"] == 0


def test_nonsense_changes_nothing(folder, backends):
    """Forged, short, long, stale, foreign, out of range."""
    with start(folder, backends, "on_error = down") as checkerd:
        reporter = Reporter(checkerd)
        good = reporter.pack(host=0)
        for data in (b"", good[:-1], good + b"x", b"\0" * len(good),
                     os.urandom(len(good)), os.urandom(60000)):
            reporter.send(data)
        for fields in (dict(magic=1), dict(version=2), dict(kind=0),
                       dict(kind=9), dict(stream=1), dict(created=1),
                       dict(age=5), dict(age=-5), dict(host=2),
                       dict(host=0xffffffff), dict(failures=0),
                       dict(status=500), dict(status=65535)):
            reporter.send(**fields)
        # as another user, word for word
        code = ("import os,socket,sys;os.setuid(12345);"
                "socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)"
                ".sendto(sys.stdin.buffer.read(),sys.argv[1])")
        subprocess.run([sys.executable, "-c", code, reporter.path],
                       input=reporter.pack(host=0), check=True)
        # and then one that counts: all before it has been looked at
        reporter.send(host=1)
        checkerd.wait_state("web/b", "down")
        assert checkerd.host("web/a")["failcount"] == 0
        assert len(checkerd.events()) == 1
        checkerd.log.wait("reports refused")


def test_history_is_not_refused(folder, backends):
    """Late, or of a segment before: no worker can help sending some."""
    with start(folder, backends, "on_error = down") as checkerd:
        reporter = Reporter(checkerd)
        for fields in (dict(stream=1), dict(created=1), dict(age=5)):
            reporter.send(host=0, **fields)
        reporter.send(host=1)
        checkerd.wait_state("web/b", "down")
        assert checkerd.host("web/a")["failcount"] == 0
        with Rest(checkerd.status_socket) as rest:
            status, text = rest.get("/metrics")
        assert status == 200
        assert b"checkerd_reports_refused_total 0\n" in text


def test_where_nobody_observes_reports_are_ignored(folder, backends):
    text = ini(backends, "on_error = down\nobserve = off").replace(
        "observe = connect\n", "").replace("on_error = down\n", "")
    with Checkerd(folder, text) as checkerd:
        reporter = Reporter(checkerd)
        reporter.send(host=0)
        reporter.send(kind=HELLO)
        probes = checkerd.host("web/a")["probes"]
        checkerd.reload()
        assert checkerd.host("web/a")["probes"] == probes


def test_without_its_socket_checkerd_goes_on(folder, backends):
    checkerd = start(folder, backends)
    with open(checkerd.path) as file:
        text = file.read().replace(f"report = {folder}/",
                                   f"report = {folder}/none/")
    with open(checkerd.path, "w") as file:
        file.write(text)
    with checkerd:
        assert checkerd.log.lines("report socket .*No such file")
