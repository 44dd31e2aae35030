# SPDX-License-Identifier: BSD-2-Clause
"""Who is told of events: programs and servers, good ones and bad ones."""

import json
import os
import struct
import subprocess

import pytest

import health_segment
from backends import Backends
from certificates import Authority
from checkerd import Checkerd
from nginx import free_port, wait_for
from receivers import SILENCE, Receiver, program

# Tells all that it was given.
WITNESS = """#!/usr/bin/python3 -IS
import json, os, sys
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
seen = {{
    "environment": open("/proc/self/environ").read(),
    "input": sys.stdin.read(),
    "arguments": sys.argv[1:],
    "leads": os.getpgrp() == os.getpid(),
    "blocked": int(status["SigBlk"], 16),
    "files": sorted(int(name) for name in os.listdir("/proc/self/fd")),
}}
with open("{path}", "a") as file:
    file.write(json.dumps(seen) + "\\n")
"""

# Writes down the number, and does something then.
CLERK = """#!/bin/sh
echo $CHECKERD_SEQ >> {path}
{then}
"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def backends():
    with Backends(1) as one:
        yield one


def ini(backends, notify, defaults=""):
    servers = "".join(f"server = {b.address} id={b.name}\n" for b in backends)
    return f"""
[defaults]
interval = 20ms
path = /healthz
rise = 1
fall = 1
initial = checking
{defaults}
[pool web]
{servers}
[notify]
{notify}
"""


def flip(checkerd, backend, times=1):
    """So many transitions; the first of all was to up."""
    for _ in range(times):
        goes_down = backend.health == 200
        backend.health = 503 if goes_down else 200
        checkerd.wait_state(f"web/{backend.name}",
                            "down" if goes_down else "up")


def clerk(folder, then=""):
    """(what to run, the file of numbers)"""
    path = str(folder / "numbers")
    return program(folder, "clerk", CLERK.format(path=path, then=then)), path


def numbers(path):
    try:
        with open(path) as file:
            return [int(line) for line in file]
    except FileNotFoundError:
        return []


def wait_numbers(path, expected):
    expected = list(expected)
    wait_for(lambda: len(numbers(path)) >= len(expected),
             f"{expected} in {path}, not {numbers(path)}")
    assert numbers(path) == expected


def is_alive(pid):
    """A zombie that nobody waits for is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_pid(path):
    return int(wait_for(lambda: os.path.exists(path) and open(path).read(),
                        path))


# --- programs ---------------------------------------------------------------


def test_a_program_is_given_the_event_and_nothing_else(folder, backends):
    path = folder / "seen"
    witness = program(folder, "witness", WITNESS.format(path=path))
    with Checkerd(folder / "c", ini(backends,
                                    f"exec = {witness} -x  two\n")) as checkerd:
        checkerd.wait_state("web/a", "up")
        flip(checkerd, backends[0], 6)
        events = checkerd.events()
        wait_for(lambda: path.exists() and
                 len(path.read_text().splitlines()) >= len(events),
                 "all to be told")
    seen = [json.loads(line) for line in path.read_text().splitlines()]
    assert [json.loads(one["input"]) for one in seen] == events
    assert [event["seq"] for event in events] == list(
        range(1, len(events) + 1))
    assert {"host_up", "host_down"} <= {event["event"] for event in events}
    for one, event in zip(seen, events):
        assert one["input"].endswith("}\n")
        variables = dict(line.split("=", 1) for line in
                         one["environment"].split("\0") if line)
        assert variables.pop("PATH").startswith("/usr/local/sbin:")
        assert variables == {
            f"CHECKERD_{key.upper()}": "" if value is None else str(value)
            for key, value in event.items()}
        assert one["arguments"] == ["-x", "two"]
        assert one["leads"] and one["blocked"] == 0
        # and the one that reads the folder
        assert one["files"] == [0, 1, 2, 3]


def test_a_program_that_takes_too_long_ends_with_its_group(folder, backends):
    stubborn, path = clerk(folder, f"""
trap "" TERM
[ $CHECKERD_SEQ = 1 ] || exit 0
sleep 1000 & echo $! > {folder}/child.new
mv {folder}/child.new {folder}/child
while :; do sleep 1; done
""")
    with Checkerd(folder / "c", ini(backends, f"exec = {stubborn}\n"
                                    "exec_timeout = 300ms\n")) as checkerd:
        checkerd.wait_state("web/a", "up")
        child = wait_pid(folder / "child")
        assert is_alive(child)
        flip(checkerd, backends[0])
        checkerd.log.wait("exec: event 1: still ran after 300 ms, "
                          "and was ended")
        wait_for(lambda: not is_alive(child), "the whole group to end")
        wait_numbers(path, [1, 2])


def test_what_a_program_leaves_behind_ends_with_it(folder, backends):
    careless, path = clerk(
        folder, f"sleep 1000 & echo $! > {folder}/c2; mv {folder}/c2 "
        f"{folder}/child; exit 3")
    with Checkerd(folder / "c",
                  ini(backends, f"exec = {careless}\n")) as checkerd:
        checkerd.wait_state("web/a", "up")
        checkerd.log.wait("exec: event 1: ended with status 3")
        child = wait_pid(folder / "child")
        wait_for(lambda: not is_alive(child), "the child to end")


def test_programs_end_with_checkerd(folder, backends):
    slow, path = clerk(folder, f"echo $$ > {folder}/p2; mv {folder}/p2 "
                       f"{folder}/leader; exec sleep 1000")
    with Checkerd(folder / "c", ini(backends, f"exec = {slow}\n")) as checkerd:
        checkerd.wait_state("web/a", "up")
        leader = wait_pid(folder / "leader")
        flip(checkerd, backends[0])
        checkerd.stop()
        assert not is_alive(leader)
        assert checkerd.log.lines("exec: 2 events were still to be delivered")


def test_a_program_that_is_not_there(folder, backends):
    hook, path = clerk(folder)
    text = ini(backends, f"exec = {hook}\n")
    with Checkerd(folder / "c", text) as checkerd:
        checkerd.wait_state("web/a", "up")
        wait_numbers(path, [1])
        os.rename(hook, hook + ".away")
        checkerd.reload(text, "refused")
        assert checkerd.log.lines(r"checkerd.ini:\d+: \[notify\] exec: .* "
                                  r"cannot be run \(No such file")
        flip(checkerd, backends[0])
        checkerd.log.wait("exec: event 2: .*clerk cannot be run: No such file")
        os.rename(hook + ".away", hook)
        flip(checkerd, backends[0])
        wait_numbers(path, [1, 3])


# --- servers ----------------------------------------------------------------


def test_a_server_is_posted_each_event_in_order(folder, backends):
    with Receiver() as receiver, \
            Checkerd(folder, ini(backends, f"webhook = {receiver.url}/a?b\n"
                                 "webhook_header = Authorization: Bearer x\n")
                     ) as checkerd:
        checkerd.wait_state("web/a", "up")
        flip(checkerd, backends[0], 20)
        events = checkerd.events()
        wait_for(lambda: len(receiver.posts) >= len(events),
                 "all to be posted")
        assert [document for _, document in receiver.posts] == events
        headers = receiver.posts[0][0]
        assert headers["Content-Type"] == "application/json"
        assert headers["Authorization"] == "Bearer x"
        assert not checkerd.log.lines("webhook: ")


@pytest.mark.parametrize("answer", [500, 302, SILENCE])
def test_what_was_not_received_is_posted_again(folder, backends, answer):
    receiver = Receiver()
    receiver.answers = [answer]
    with receiver, \
            Checkerd(folder, ini(backends, f"webhook = {receiver.url}\n"
                                 "webhook_timeout = 500ms\n")) as checkerd:
        checkerd.wait_state("web/a", "up")
        flip(checkerd, backends[0], 2)
        wait_for(lambda: len(receiver.posts) >= 4, "a second attempt")
        assert receiver.numbers() == [1, 1, 2, 3]
        why = "Operation timed out" if answer is SILENCE else \
            f"status {answer}; "
        assert len(checkerd.log.lines(
            f"webhook: event 1 not delivered: {why}")) == 1
        checkerd.log.wait("webhook: event 1 delivered, "
                          "after 1 failures in a row")


def test_a_server_that_is_away_gets_all_when_it_is_back(folder, backends):
    receiver = Receiver()
    with Checkerd(folder, ini(backends,
                              f"webhook = {receiver.url}\n")) as checkerd:
        checkerd.wait_state("web/a", "up")
        flip(checkerd, backends[0], 4)
        checkerd.log.wait("webhook: event 1 not delivered: Failed to connect")
        with receiver:
            wait_for(lambda: len(receiver.posts) >= 5, "all of them")
            assert receiver.numbers() == [1, 2, 3, 4, 5]


def test_certificates_are_verified(folder, backends):
    (folder / "ours").mkdir()
    (folder / "theirs").mkdir()
    ours, theirs = Authority(folder / "ours"), Authority(folder / "theirs")
    ours.certificate("hooks", "DNS:localhost")

    def trusting(authority):
        return ini(backends, f"webhook = {receiver.url}\n" + (
            f"webhook_ca = {authority.path}\n" if authority else ""))

    with Receiver((ours.file("hooks.pem"),
                   ours.file("hooks.key"))) as receiver, \
            Checkerd(folder / "c", trusting(theirs)) as checkerd:
        checkerd.log.wait("webhook: event 1 not delivered: SSL certificate")
        checkerd.reload(trusting(None))
        checkerd.log.wait("webhook: event 1 not delivered: SSL certificate", 2)
        assert receiver.posts == []
        checkerd.reload(trusting(ours))
        wait_for(lambda: receiver.numbers() == [1], "the event")


def test_what_is_too_old_is_dropped_and_said(folder, backends):
    port = free_port()
    with Checkerd(folder, ini(backends, f"webhook = http://127.0.0.1:{port}\n"
                              "webhook_retry = 0\n")) as checkerd:
        checkerd.wait_state("web/a", "up")
        flip(checkerd, backends[0])
        checkerd.log.wait(r"webhook: 1 events dropped, 1 in all: too old to "
                          r"be tried again; last, Failed to connect")
        checkerd.log.wait(r"webhook: 1 events dropped, 2 in all", timeout=20)


# --- reload, restart, crash -------------------------------------------------


def test_a_reload_changes_who_is_told_and_loses_nothing(folder, backends):
    hook, path = clerk(folder)
    with Receiver() as receiver, \
            Checkerd(folder / "c", ini(backends, "")) as checkerd:
        checkerd.wait_state("web/a", "up")
        checkerd.reload(ini(backends, f"exec = {hook}\n"))
        flip(checkerd, backends[0])
        wait_numbers(path, [2])
        # another set of hosts, so another segment; exec stays
        with Backends(1) as more:
            more[0].name = "b"
            checkerd.reload(ini(backends + more, f"exec = {hook}\n"
                                f"webhook = {receiver.url}\n"))
            checkerd.wait_state("web/b", "up")
            wait_numbers(path, [2, 3])
            checkerd.reload(ini(backends + more,
                                f"webhook = {receiver.url}\n"))
            flip(checkerd, backends[0])
            wait_for(lambda: 4 in receiver.numbers(), "event 4")
        assert receiver.numbers() == [3, 4]
        assert numbers(path) == [2, 3]


def test_a_restart_repeats_nothing(folder, backends):
    hook, path = clerk(folder)
    with Receiver() as receiver:
        checkerd = Checkerd(folder / "c",
                            ini(backends, f"exec = {hook}\n"
                                f"webhook = {receiver.url}\n"))
        with checkerd:
            checkerd.wait_state("web/a", "up")
            flip(checkerd, backends[0], 2)
            wait_numbers(path, [1, 2, 3])
            wait_for(lambda: receiver.numbers() == [1, 2, 3], "all posts")
        for end in checkerd.stop, checkerd.kill:
            before = numbers(path)
            with checkerd:
                flip(checkerd, backends[0], 2)
                wait_numbers(path, [*before, before[-1] + 1, before[-1] + 2])
                wait_for(lambda: receiver.numbers() == numbers(path),
                         "all posts")
                end()
        wait_for(lambda: len(receiver.posts) >= 7, "all posts")
        assert receiver.numbers() == [1, 2, 3, 4, 5, 6, 7]


def interrupt(path, state, **event):
    """As if checkerd was killed when it had written an event and no more.
    Returns its number."""
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        capacity, = struct.unpack_from("=I", data, 52)
        events_at, = struct.unpack_from("=Q", data, 120)
        head, = struct.unpack_from("=Q", data, health_segment.EVENT_HEAD)
        number = head + 1
        slot = bytearray(health_segment.event(number, **event))
        struct.pack_into("=Q", slot, 16, state)
        file.seek(events_at + health_segment.EVENT * (number % capacity))
        file.write(slot)
    return number


@pytest.mark.parametrize("another", [False, True])
def test_what_a_kill_interrupted_is_told_once(folder, backends, another):
    """Also if the next process needs another segment."""
    hook, path = clerk(folder)
    text = ini(backends, f"exec = {hook}\n")
    with Receiver() as receiver:
        checkerd = Checkerd(folder / "c", text)
        with checkerd:
            checkerd.wait_state("web/a", "up")
            wait_numbers(path, [1])
            checkerd.kill()
        number = interrupt(
            checkerd.segment,
            health_segment.word(health_segment.DOWN, failcount=1,
                                outcome="L7STS"),
            kind="host_down", pool=b"web", host=b"a", upstream=b"web",
            outcome="L7STS", status=503, failcount=1, at=1_700_000_000_000_000)
        assert number == 2
        if another:
            text = text.replace("[notify]", "[pool more]\n"
                                "server = 127.0.0.1:1 down\n[notify]")
        checkerd.write(text + f"webhook = {receiver.url}\n")
        with checkerd:
            checkerd.wait_state("web/a", "up")
            wait_numbers(path, [1, 2, 3])
            wait_for(lambda: len(receiver.posts) >= 2, "both posts")
            assert receiver.numbers() == [2, 3]
            assert receiver.posts[0][1]["event"] == "host_down"
            assert receiver.posts[0][1]["http_status"] == 503
            told = checkerd.log.lines("host_down web/a: up to down, L7STS, "
                                      "when the process before was killed")
            assert len(told) == 1


# --- probes -----------------------------------------------------------------


def lateness(path):
    """Of all probes so far, the 99th percentile in milliseconds."""
    with open(path, "rb") as file:
        file.seek(512 + 4 * 8)
        buckets = struct.unpack("=128Q", file.read(128 * 8))
    seen, total = 0, sum(buckets)
    for number, count in enumerate(buckets):
        seen += count
        if seen >= total * 0.99:
            return bound_us(number) / 1000
    raise AssertionError("no probes")


def bound_us(bucket):
    """Where it ends."""
    bucket += 1
    return bucket if bucket < 4 else (4 + bucket % 4) << (bucket // 4 - 1)


def test_a_slow_receiver_delays_no_probe(folder):
    """It keeps every post, and every program, until their time is over."""
    def run(name, backends, notify):
        with Checkerd(folder / name, ini(backends, notify)) as checkerd:
            checkerd.wait_state("web/a", "up")
            flip(checkerd, backends[0], 10)
            checkerd.wait_probes("web/b", 150, 30)
            return lateness(checkerd.segment)

    slow, _ = clerk(folder, "exec sleep 1")
    with Backends(8) as backends, Receiver() as receiver:
        # the machine may be busy with something else once, and again
        for attempt in range(3):
            receiver.answers = [SILENCE] * 100
            without = run(f"without-{attempt}", backends, "")
            with_both = run(f"with-{attempt}", backends,
                            f"exec = {slow}\nexec_max = 4\n"
                            f"webhook = {receiver.url}\n"
                            "webhook_timeout = 1s\n")
            print(f"p99: {without} ms without, {with_both} ms with both")
            if with_both <= max(50, 4 * without):
                break
        else:
            pytest.fail("probes are late each time")
        assert len(receiver.posts) > 1
