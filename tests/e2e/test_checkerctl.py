# SPDX-License-Identifier: BSD-2-Clause
"""checkerctl against segments written by hand: whole, stale, absent, damaged
and hostile ones. No daemon runs here; that is the point of it."""
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import termios
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import health_segment as hs

CHECKERCTL = str(Path(os.environ["CHECKERD_BUILD"]) / "checkerd/checkerctl")
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm",
               "NO_COLOR": ""}
NOW_US = int(time.time() * 1e6)


def run(path, *arguments, timeout=20):
    return subprocess.run([CHECKERCTL, "-s", str(path), *arguments],
                          capture_output=True, timeout=timeout,
                          env=ENVIRONMENT)


def ok_host(name=b"a", address=b"10.0.0.1:8080"):
    return (name, address, hs.word(hs.UP, outcome="L7OK"),
            hs.detail(checked=NOW_US, changed=NOW_US - 192_500_000, probes=123,
                      failures=1, passcount=9, history=[
                          hs.record(NOW_US, "L7OK", 200, 0, 90, 0, 700, 812)]))


def sick_host(name=b"b", address=b"10.0.0.2:8080",
              message=b"status 503 is in fail_status"):
    history = [hs.record(NOW_US + i, "L7STS", 500 + i, 0, 90, 0, 700, 1812 + i)
               for i in range(11)]
    return (name, address, hs.word(hs.DOWN, outcome="L7STS", failcount=3),
            hs.detail(checked=NOW_US, changed=NOW_US - 12_500_000, probes=11,
                      failures=3, message=message, history=history))


def drained_host(reason="im Umbau".encode()):
    return (b"c", b"[2001:db8::1]:8080",
            hs.word(hs.UP, admin=hs.ADMIN_DRAIN, outcome="L7OK", weight=128),
            hs.detail(reason=reason, until=4_102_444_800_000_000))


def two_pools(**options):
    return hs.Segment([(b"primary", b"web", [ok_host(), sick_host()]),
                       (b"reserve", b"web", [drained_host()])], **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "health.shm"


def rows(output):
    """The table's lines, by POOL/HOST."""
    lines = output.decode().splitlines()
    start = next(i for i, line in enumerate(lines)
                 if line.startswith("POOL/HOST"))
    return {line.split()[0]: line for line in lines[start + 1:-1]}


# --- status -----------------------------------------------------------------

def test_status_shows_each_host(path):
    two_pools().save(path)
    result = run(path, "status")
    assert result.returncode == 1
    table = rows(result.stdout)
    assert list(table) == ["primary/a", "primary/b", "reserve/c"]
    well = table["primary/a"].split()
    assert re.fullmatch(r"3m[1-5]\ds", well.pop(3))
    assert well == ["primary/a", "10.0.0.1:8080", "up", "0/3", "L7OK", "200",
                    "812us"]
    assert re.search(r"down +1\ds +3/3 +L7STS 510 1\.82ms +status 503 is in "
                     "fail_status$", table["primary/b"])
    assert table["reserve/c"].endswith(
        "ordered: im Umbau, until 2100-01-01T00:00:00.000Z")
    assert re.match(rf"generation 57, heartbeat [\d.]+ms ago, writer 812, {path}\n",
                    result.stdout.decode())
    assert result.stdout.endswith(b"\n1 of 3 up\n")


@pytest.mark.parametrize("name, hosts, status", [
    ("primary", ["primary/a", "primary/b"], 1),
    ("primary/a", ["primary/a"], 0),
    ("reserve/c", ["reserve/c"], 1),
])
def test_status_of_some(path, name, hosts, status):
    two_pools().save(path)
    result = run(path, "status", name)
    assert (list(rows(result.stdout)), result.returncode) == (hosts, status)


def test_status_json_is_the_document(path):
    segment = two_pools(panic=(b"reserve",))
    segment.save(path)
    result = run(path, "status", "--json")
    assert result.returncode == 1
    document = json.loads(result.stdout)
    assert 0 <= document["segment"].pop("heartbeat_age_ms") < 5000
    assert document["segment"] == {
        "path": str(path), "generation": 57, "stale": False,
        "writer_pid": 812, "started_at": "2023-11-14T22:13:20.000Z"}
    primary, reserve = document["pools"]
    sick = primary["hosts"][1]
    assert {**primary, "hosts": None} == {
        "name": "primary", "upstream": "web", "priority": 0,
        "balance": "round_robin", "up": 1, "total": 2, "panic": False,
        "hosts": None}
    assert reserve["panic"] is True
    at = (datetime(1970, 1, 1, tzinfo=timezone.utc) +
          timedelta(milliseconds=NOW_US // 1000))
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
    well = primary["hosts"][0]
    assert well.pop("changed_at").endswith("Z")
    assert well == {
        "id": "a", "address": "10.0.0.1:8080", "state": "up", "verdict": "up",
        "admin": "auto", "reason": None, "until": None, "failcount": 0,
        "passcount": 9, "rise": 2, "fall": 3, "weight": 1, "effective_weight": 1, "agent": None,
        "outcome": "L7OK", "http_status": 200, "detail": "check passed", "tls_verify": True,
        "shared": 1, "latency_us": 812, "checked_at": stamp, "probes": 123,
        "failures": 1, "inconclusive": 0, "cert_expires_at": None,
        "history": [{"at": stamp, "outcome": "L7OK", "http_status": 200,
                     "dns_us": 0, "connect_us": 90, "tls_us": 0,
                     "first_byte_us": 700, "total_us": 812}]}
    # the last eight of eleven, newest first
    assert [r["http_status"] for r in sick["history"]] == list(
        range(510, 502, -1))
    drained = reserve["hosts"][0]
    assert drained["effective_weight"] == 0.5
    assert (drained["admin"], drained["reason"], drained["until"]) == (
        "drain", "im Umbau", "2100-01-01T00:00:00.000Z")
    assert drained["latency_us"] is drained["checked_at"] is None


def test_panic_is_said(path):
    hurt = (b"a", b"10.0.0.1:80", hs.word(hs.DOWN, routable=True,
                                          outcome="L4CON", failcount=3),
            hs.detail())
    hs.Segment([(b"p", b"web", [hurt])], panic=(b"p",)).save(path)
    assert rows(run(path, "status").stdout)["p/a"].endswith(
        "panic, takes traffic: connection refused or unreachable")


def test_stale_shows_the_last_known_and_exits_2(path):
    segment = hs.Segment([(b"p", b"web", [ok_host()])], beat_age_s=60)
    segment.save(path)
    result = run(path, "status")
    assert result.returncode == 2
    assert b"\nSTALE: " in result.stdout and b"p/a" in result.stdout
    document = json.loads(run(path, "status", "--json").stdout)
    assert document["segment"]["stale"] is True
    # a clock that has not come so far: written before a reboot
    segment.beat(-1e6)
    segment.save(path)
    result = run(path, "status", "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout)["segment"]["heartbeat_age_ms"] is None
    # the other commands answer all the same
    assert run(path, "why", "p/a").returncode == 0
    assert run(path, "events").returncode == 0


def test_live_and_all_up_is_0(path):
    hs.Segment([(b"p", b"web", [ok_host()])]).save(path)
    assert run(path, "status").returncode == 0


def test_torn_detail_leaves_the_word(path):
    """The writer was killed inside: the lock is odd for good."""
    torn = (b"a", b"10.0.0.1:80", hs.word(hs.DOWN, outcome="L4CON",
                                          failcount=4), hs.detail(lock=3))
    hs.Segment([(b"p", b"web", [torn])]).save(path)
    assert "down" in rows(run(path, "status").stdout)["p/a"]
    host = json.loads(run(path, "status", "--json").stdout)[
        "pools"][0]["hosts"][0]
    assert (host["state"], host["failcount"], host["probes"]) == (
        "down", 4, None)
    assert b"no more is known" in run(path, "why", "p/a").stdout


def test_agents_are_shown(path):
    host = (b"a", b"10.0.0.1:80",
            hs.word(hs.UP, outcome="L7OK", agent="drain", weight=64),
            hs.detail(flags=2, agent_at=NOW_US, agent_silent=3,
                      agent_outcome="L4CON", agent_percent=25,
                      agent_order="drain", agent_said=b"drain 25% \x1b[1m"))
    hs.Segment([(b"p", b"p", [host])]).save(path)
    document = json.loads(run(path, "status", "--json").stdout)
    shown = document["pools"][0]["hosts"][0]
    assert shown["agent"].pop("said_at").endswith("Z")
    assert shown["agent"] == {
        "weight_percent": 25, "order": "drain", "said": "drain 25% \x1b[1m",
        "missed": 3, "problem": "L4CON"}
    assert (shown["state"], shown["verdict"], shown["admin"],
            shown["effective_weight"]) == ("drain", "up", "auto", 0.25)
    text = run(path, "status").stdout.decode()
    assert "agent: drain 25%" in text and "\x1b" not in text
    text = run(path, "why", "p/a").stdout.decode()
    assert "its agent says drain, which no check undoes" in text
    assert "weight 25%, order drain; 3 answers missed since, L4CON" in text
    assert "\x1b" not in text


# --- why --------------------------------------------------------------------

def test_why_names_rule_and_last_probes(path):
    two_pools().save(path)
    text = run(path, "why", "primary/b").stdout.decode()
    assert text.startswith("primary/b  10.0.0.2:8080  down\n")
    assert "3 consecutive failures reached fall = 3" in text
    table = text[text.index("ENDED"):].splitlines()[1:]
    assert [line.split()[2] for line in table] == [
        str(status) for status in range(510, 502, -1)]
    assert table[0].split()[3:] == ["90us", "-", "700us", "1.82ms"]
    document = json.loads(run(path, "--json", "why", "primary/b").stdout)
    assert document["why"] == "3 consecutive failures reached fall = 3"
    assert document["state"] == "down"


def test_why_shows_the_order(path):
    two_pools().save(path)
    text = run(path, "why", "reserve/c").stdout.decode()
    assert "drain: im Umbau, until 2100-01-01T00:00:00.000Z\n" in text
    assert "weight       1, effective 0.5\n" in text


# --- refusals ---------------------------------------------------------------

@pytest.mark.parametrize("arguments, says", [
    ([], "no command"),
    (["statsu"], 'no command "statsu"; did you mean "status"? '
                 "`checkerctl help` lists them"),
    (["status", "primry"], 'no pool "primry"; did you mean "primary"?'),
    (["status", "primary/bb"], 'no host "primary/bb"; did you mean '
                               '"primary/b"?'),
    (["status", "zzzzzzzz"], 'no pool "zzzzzzzz"\n'),
    (["status", "primary/"], 'no host "primary/"'),
    (["status", "a", "b"], "usage: checkerctl status [POOL[/HOST]]"),
    (["why"], "usage: checkerctl why POOL/HOST"),
    (["why", "primary"], "needs POOL/HOST"),
    (["status", "-f"], "--follow goes with `events` only"),
    (["events", "--since", "x"], '--since: "x" is no number'),
    (["events", "--since", "-1"], '--since: "-1" is no number'),
    (["events", "--since", "18446744073709551615"],
     '--since: "18446744073709551615" is no number'),
    (["--frobnicate"], "unrecognized option"),
])
def test_refused_with_1_and_a_sentence(path, arguments, says):
    two_pools().save(path)
    result = run(path, *arguments)
    assert result.returncode == 1
    assert says in result.stderr.decode()
    assert result.stdout == b""


def test_help_and_version():
    result = subprocess.run([CHECKERCTL, "-h"], capture_output=True)
    assert result.returncode == 0 and b"why POOL/HOST" in result.stdout
    result = subprocess.run([CHECKERCTL, "-V"], capture_output=True)
    assert re.fullmatch(rb"checkerctl \d+\.\d+\.\d+\n", result.stdout)


def test_a_full_disk_is_no_success(path):
    hs.Segment([(b"p", b"web", [ok_host()])]).save(path)
    with open("/dev/full", "wb") as full:
        result = subprocess.run([CHECKERCTL, "-s", path, "status"],
                                stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1 and b"standard output" in result.stderr


# --- events -----------------------------------------------------------------

def fill(segment, first, last):
    for number in range(first, last + 1):
        segment.put_event(number, "host_down", pool=b"primary", host=b"b",
                          upstream=b"web", address=b"10.0.0.2:8080",
                          outcome="L7STS", status=503, failcount=3,
                          at=1_700_000_000_123_000)


def test_events_document(path):
    segment = two_pools()
    fill(segment, 1, 2)
    segment.put_event(3, "panic_on", pool=b"primary", upstream=b"web", at=1)
    segment.save(path)
    document = json.loads(run(path, "events", "--json").stdout)
    assert document["lost"] == 0
    assert document["events"][1] == {
        "seq": 2, "at": "2023-11-14T22:13:20.123Z", "event": "host_down",
        "upstream": "web", "pool": "primary", "host": "b",
        "address": "10.0.0.2:8080", "from": "up", "to": "down",
        "outcome": "L7STS", "http_status": 503, "failcount": 3, "reason": None}
    panic = document["events"][2]
    assert (panic["event"], panic["pool"]) == ("panic_on", "primary")
    assert all(panic[key] is None for key in (
        "host", "address", "from", "to", "outcome", "http_status", "failcount"))
    text = run(path, "events", "--since", "1").stdout.decode().splitlines()
    assert text[0] == ("2  2023-11-14T22:13:20.123Z  host_down  primary/b  "
                       "10.0.0.2:8080  up -> down  L7STS 503 failcount=3")
    assert len(text) == 2 and text[1].endswith("panic_on  primary")


@pytest.mark.parametrize("since, first, lost", [
    (None, 26, 0),  # all that there is: nothing was asked for before it
    (0, 26, 25),  # a ring of 16 keeps 15 for sure
    (20, 26, 5),
    (25, 26, 0),
    (30, 31, 0),
    (40, None, 0),
    (10**18, None, 0),
])
def test_events_lost(path, since, first, lost):
    segment = two_pools(event_capacity=16)
    fill(segment, 1, 40)
    segment.save(path)
    arguments = [] if since is None else ["--since", str(since)]
    document = json.loads(run(path, "--json", "events", *arguments).stdout)
    assert document["lost"] == lost
    assert [e["seq"] for e in document["events"]] == (
        list(range(first, 41)) if first else [])
    result = run(path, "events", *arguments)
    assert (b"%d events lost" % lost in result.stderr) == (lost > 0)


class Follower:
    def __init__(self, *command, **options):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE,
                                        env=ENVIRONMENT, **options)
        self.streams = {self.process.stdout: b"", self.process.stderr: b""}

    def expect(self, stream, text, seconds=10):
        """Reads until `text` has come; returns what came before it."""
        end = time.monotonic() + seconds
        while text not in self.streams[stream]:
            ready = select.select([stream], [], [], end - time.monotonic())[0]
            data = os.read(stream.fileno(), 65536) if ready else b""
            assert data, f"no {text} after {self.streams[stream]}"
            self.streams[stream] += data
        before, _, self.streams[stream] = self.streams[stream].partition(text)
        return before

    def out(self, text):
        return self.expect(self.process.stdout, text)

    def err(self, text):
        return self.expect(self.process.stderr, text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def test_events_follow_across_segments(path):
    with Follower(CHECKERCTL, "-s", path, "--json", "events", "-f") as follower:
        follower.err(b"waiting: no segment")
        segment = two_pools()
        fill(segment, 1, 2)
        segment.save(path)
        for number in (1, 2):
            assert json.loads(follower.out(b"\n"))["seq"] == number
        fill(segment, 3, 3)
        segment.store(path)  # in place
        assert json.loads(follower.out(b"\n"))["seq"] == 3
        successor = two_pools(event_capacity=32)
        fill(successor, 2, 5)
        successor.save(path)  # superseded; the numbers go on
        for number in (4, 5):
            assert json.loads(follower.out(b"\n"))["seq"] == number
        fill(successor, 6, 45)
        successor.store(path)  # 9 more than it keeps
        assert json.loads(follower.out(b"\n"))["seq"] == 15
        follower.out(b'"seq":45,')
        follower.out(b"\n")
        follower.err(b"9 events lost")
        other = two_pools(stream=2)
        fill(other, 1, 1)
        other.save(path)  # begun from nothing: so do the numbers
        assert json.loads(follower.out(b"\n"))["seq"] == 1


# --- watch ------------------------------------------------------------------

def test_watch_waits_and_goes_on_across_segments(path):
    with Follower(CHECKERCTL, "-s", path, "watch") as follower:
        follower.out(b"waiting: no segment at")
        hs.Segment([(b"p", b"web", [ok_host()])]).save(path)
        follower.out(b"1 of 1 up")
        two_pools().save(path)
        follower.out(b"1 of 3 up")
        path.unlink()
        follower.out(b"waiting: no segment at")
        follower.out(b"1 of 3 up")
        follower.process.send_signal(signal.SIGINT)
        assert follower.process.wait(5) == 0


def test_watch_json_is_one_document_a_line(path):
    two_pools().save(path)
    with Follower(CHECKERCTL, "-s", path, "--json", "watch", "reserve") as f:
        for _ in range(2):
            assert json.loads(f.out(b"\n"))["pools"][0]["name"] == "reserve"


def without_escapes(text):
    return re.sub(rb"\x1b\[[\d;?]*[a-zA-Z]", b"", text).decode()


class Screen:
    """checkerctl on a terminal of its own."""

    def __init__(self, columns, lines, *command, **environment):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            time.sleep(0.1)  # until the size is set
            os.execve(command[0], [os.fspath(c) for c in command],
                      {**ENVIRONMENT, **environment})
        self.resize(columns, lines)
        self.text = b""

    def resize(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("=HHHH", lines, columns, 0, 0))

    def until(self, text):
        end = time.monotonic() + 10
        while text not in self.text:
            ready = select.select([self.fd], [], [], end - time.monotonic())[0]
            assert ready, f"no {text} in {self.text[-2000:]}"
            try:
                self.text += os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                assert text in self.text
        return self.text

    def close(self):
        # a terminal that is closed first would end it
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_gets_cut_lines(path):
    long = sick_host(b"h" * 100, b"unix:/" + b"s" * 100, b"m" * 120)
    hs.Segment([(b"p" * 63, b"web", [long])]).save(path)
    screen = Screen(80, 24, CHECKERCTL, "-s", path, "status")
    lines = without_escapes(screen.until(b"0 of 1 up\r\n")).splitlines()
    screen.close()
    assert lines[1].startswith("POOL/HOST") and "…" in lines[2]
    assert all(len(line) <= 80 for line in lines)


def test_watch_draws_in_place_and_restores_the_terminal(path):
    segment = hs.Segment([(b"p", b"web", [
        ok_host(b"h%d" % i) for i in range(40)])])
    segment.save(path)
    screen = Screen(80, 24, CHECKERCTL, "-s", path, "watch")
    first = screen.until(b"40 of 40 up, 22 not shown\x1b[K\r\n\x1b[J")
    assert first.startswith(b"\x1b[?1049h") and first.count(b"\n") <= 23
    segment.put_word(0, hs.word(hs.DOWN, outcome="L4CON", failcount=3))
    segment.beat()
    segment.store(path)
    second = screen.until(b"39 of 40 up")
    assert second.count(b"\x1b[H") >= 2
    os.kill(screen.pid, signal.SIGINT)
    assert screen.until(b"\x1b[?1049l").endswith(b"\x1b[?1049l")
    assert screen.close() == 0


RESTORED = b"\x1b[?7h\x1b[?25h\x1b[?1049l"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM,
                                    signal.SIGHUP, signal.SIGQUIT])
def test_watch_gives_the_terminal_back(path, number):
    two_pools().save(path)
    screen = Screen(80, 24, CHECKERCTL, "-s", path, "watch")
    screen.until(b"1 of 3 up")
    os.kill(screen.pid, number)
    assert screen.until(RESTORED).endswith(RESTORED)
    assert screen.close() == 0


def test_watch_stops_and_goes_on(path):
    """Ctrl-Z, and fg: as a shell does it, with a job of its own."""
    two_pools().save(path)
    screen = Screen(80, 24, "/bin/sh", "-c", "set -m; \"$0\" -s \"$1\" watch; "
                    "echo stopped with $?; read line; fg; echo over $?",
                    CHECKERCTL, path)
    screen.until(b"1 of 3 up")
    os.write(screen.fd, b"\x1a")
    text = screen.until(b"stopped with 148")
    assert text.count(b"\x1b[?1049h") == text.count(RESTORED) == 1
    screen.text = b""
    os.write(screen.fd, b"\n")
    screen.until(b"1 of 3 up")
    assert b"\x1b[?1049h" in screen.text
    os.write(screen.fd, b"\x03")
    text = screen.until(b"over 0")
    assert text.count(RESTORED) == 1
    assert screen.close() == 0


def test_watch_is_silent_in_the_background(path):
    two_pools().save(path)
    screen = Screen(80, 24, "/bin/sh", "-c", "set -m; \"$0\" -s \"$1\" watch & "
                    "sleep 1.5; echo nothing yet; fg", CHECKERCTL, path)
    before, _ = screen.until(b"nothing yet").split(b"nothing yet")
    assert before == b""
    screen.until(b"1 of 3 up")
    os.write(screen.fd, b"\x03")
    screen.until(RESTORED)
    screen.close()


def test_watch_follows_the_size_of_its_window(path):
    hs.Segment([(b"p", b"web", [ok_host(b"h%d" % i) for i in range(40)])]) \
        .save(path)
    screen = Screen(80, 24, CHECKERCTL, "-s", path, "watch")
    screen.until(b"40 of 40 up, 22 not shown")
    screen.resize(100, 50)
    screen.until(b"40 of 40 up\x1b[K")
    screen.resize(30, 10)
    text = screen.until(b"40 of 40 up, 36 not shown")
    last = without_escapes(text[text.rindex(b"\x1b[H"):])
    assert all(len(line) <= 30 for line in last.splitlines()), last
    os.kill(screen.pid, signal.SIGINT)
    screen.close()


def test_watch_ends_though_nobody_reads(path):
    """A connection that is stuck takes no byte more."""
    hs.Segment([(b"p", b"web", [ok_host(b"h" * 100 + b"%d" % i)
                                for i in range(900)])]).save(path)
    screen = Screen(400, 999, CHECKERCTL, "-s", path, "watch")
    screen.until(b"\x1b[?1049h")
    end = time.monotonic() + 20
    ended = 0, 0
    while ended[0] == 0 and time.monotonic() < end:
        os.kill(screen.pid, signal.SIGTERM)
        time.sleep(0.05)
        ended = os.waitpid(screen.pid, os.WNOHANG)
    os.close(screen.fd)
    assert ended[0] == screen.pid


STATES = [("up", b"\x1b[32mup\x1b[m"), ("down", b"\x1b[1;31mdown\x1b[m"),
          ("drain", b"\x1b[33mdrain\x1b[m")]


@pytest.mark.parametrize("command", ["status", "watch"])
@pytest.mark.parametrize("environment, coloured", [
    ({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_is_for_terminals(path, command, environment, coloured):
    two_pools().save(path)
    screen = Screen(80, 24, CHECKERCTL, "-s", path, command, **environment)
    text = screen.until(b"1 of 3 up")
    os.kill(screen.pid, signal.SIGINT)
    screen.close()
    for word, sequence in STATES:
        assert (sequence in text) == coloured
        assert word.encode() in text
    if environment.get("TERM") == "dumb":
        assert b"\x1b" not in text
    # columns stay where they are
    rows = without_escapes(text).splitlines()
    assert rows[2].index("up ") == rows[1].index("STATE")


def test_nothing_is_coloured_elsewhere(path):
    two_pools().save(path)
    assert b"\x1b" not in run(path, "status").stdout


def test_watch_shows_hostile_text_as_text(path):
    reason = "\U0001f525 \"quoted\" \\ \x1b[2J\n\u202e".encode()
    hs.Segment([(b"p", b"web", [(
        b"a", b"1.2.3.4:5", hs.word(hs.UP, admin=hs.ADMIN_DOWN),
        hs.detail(reason=reason))])]).save(path)
    screen = Screen(160, 24, CHECKERCTL, "-s", path, "watch")
    text = screen.until(b"0 of 1 up")
    os.kill(screen.pid, signal.SIGINT)
    screen.close()
    assert "ordered: \U0001f525 \"quoted\" \\ \\x1b[2J\\x0a" \
        "\\xe2\\x80\\xae".encode() in text
    assert b"\x1b[2J" not in text and "\u202e".encode() not in text


# --- hostile and damaged ----------------------------------------------------

HOSTILE = ["\x1b[2J\x1b]0;title\x07".encode(), b"\x9b2J", b"\xff\xfe\xc3(",
           "\u202egnp.exe".encode(), b"line\r\nforged line",
           "\u009b31m".encode()]


@pytest.mark.parametrize("bytes_", HOSTILE)
def test_no_byte_reaches_the_terminal(path, bytes_):
    segment = hs.Segment([(b"p" + bytes_, b"web" + bytes_, [
        sick_host(b"a" + bytes_, b"1.2.3.4:5" + bytes_, bytes_),
        (b"b", b"x", hs.word(hs.UP, admin=hs.ADMIN_DOWN),
         hs.detail(reason=bytes_, check=bytes_[:15]))])])
    segment.put_event(1, "host_down", pool=bytes_, host=bytes_,
                      upstream=bytes_, address=bytes_, reason=bytes_)
    segment.save(path)
    names = [os.fsdecode(b"p" + bytes_ + b"/" + host)
             for host in (b"a" + bytes_, b"b")]
    outputs = [run(path, *arguments).stdout for arguments in (
        ["status"], ["events"], ["why", names[0]], ["why", names[1]],
        ["status", "--json"], ["events", "--json"],
        ["why", "--json", names[0]])]
    outputs.append(run(path, "status", os.fsdecode(b"p" + bytes_) + "x").stderr
                   .replace(bytes_, b""))  # what we typed ourselves
    for output in outputs:
        assert output
        assert re.fullmatch(rb"[\n -~]*", output), output
        assert b"\nforged" not in output
    for output in outputs[4:7]:
        json.loads(output)


def damage(kind, data):
    """(bytes of the file, what the sentence says)"""
    changed = bytearray(data)
    if kind == "empty":
        return b"", "empty"
    if kind == "short":
        return data[:100], "too small"
    if kind == "cut":
        return data[:-64], "not of the size it claims"
    if kind == "zero":
        return bytes(len(data)), "not a health segment"
    if kind == "foreign":
        return b"\x7fELF" * 2000, "not a health segment"
    where, value, says = {
        "layout": (8, 9, "another layout version"),
        "pools": (40, 0xFFFFFFFF, "a count out of bounds"),
        "hosts": (44, 0x00100000, "an offset out of bounds"),
        "offset": (72, 0xFFFFFFC0, "an offset out of bounds"),
    }[kind]
    struct.pack_into("=I", changed, where, value)
    return bytes(changed), says


@pytest.mark.parametrize("kind", "empty short cut zero foreign layout pools "
                                 "hosts offset".split())
@pytest.mark.parametrize("command", [["status"], ["status", "--json"],
                                     ["why", "primary/a"], ["events"]])
def test_damage_is_named_and_exits_2(path, kind, command):
    data, says = damage(kind, bytes(two_pools().data))
    path.write_bytes(data)
    result = run(path, *command)
    assert result.returncode == 2
    assert result.stdout == b""
    assert result.stderr.startswith(f"checkerctl: {path}: ".encode())
    assert says in result.stderr.decode()


def test_what_is_no_file_exits_2(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, says in ((tmp_path / "none", "is checkerd running?"),
                       (tmp_path, "not a regular file"),
                       (fifo, "not a regular file"),
                       ("/dev/zero", "not a regular file")):
        result = run(path, "status")
        assert result.returncode == 2 and says in result.stderr.decode()


def test_no_flipped_bytes_crash_it(path):
    """Any exit status will do, but one that we chose, and no sanitizer."""
    segment = two_pools()
    fill(segment, 1, 20)
    whole = bytes(segment.data)
    chance = random.Random(2)
    structure = [*range(0, 200), *range(256, 330), *range(4096, 5200)]
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8, 64))):
            at = chance.choice(structure if chance.random() < 0.8
                               else range(len(data)))
            data[at] = chance.randrange(256)
        path.write_bytes(data)
        for command in (["status"], ["--json", "status"], ["why", "primary/b"],
                        ["events"], ["events", "--json", "--since", "3"]):
            result = run(path, *command)
            assert result.returncode in (0, 1, 2), (command, result.stderr)
            assert b"Sanitizer" not in result.stderr
            assert b"runtime error" not in result.stderr


def test_a_file_truncated_while_mapped_ends_watch_cleanly(path):
    two_pools().save(path)
    with Follower(CHECKERCTL, "-s", path, "watch") as follower:
        follower.out(b"1 of 3 up")
        os.truncate(path, 0)
        follower.err(b"truncated")
        assert follower.process.wait(5) == 2
