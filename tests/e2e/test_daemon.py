# SPDX-License-Identifier: BSD-2-Clause
"""checkerd by itself: starting, refusing, reloading, keeping time."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from backends import Backends
from checkerd import CHECKERD, Checkerd, timestamp
from nginx import wait_for

BAD = """
[defaults]
interval = 5ms
intervall = 5s
[pool web]
server = 127.0.0.1:8080 weight=0
fail_status = 6xx
"""


@pytest.fixture
def backends():
    with Backends(2) as two:
        yield two


def ini(backends, more=""):
    servers = "".join(f"server = {b.address} id={b.name}\n" for b in backends)
    return f"""
[defaults]
interval = 50ms
path = /healthz
{more}
[pool web]
{servers}
"""


def test_a_bad_file_is_refused_with_all_that_is_wrong(folder):
    checkerd = Checkerd(folder, BAD)
    for arguments in ((), ("-t",), ("-T",), ("--once",)):
        status, _, errors = checkerd.run(*arguments)
        assert status == 1
        for line, word in ((3, "interval: "), (4, "intervall"),
                           (6, "weight"), (7, "fail_status")):
            assert re.search(
                rf"checkerd\.ini:{checkerd.line(line)}: .*{word}",
                errors), word
        assert 'did you mean "interval"?' in errors
    assert not os.path.exists(checkerd.segment)


def test_a_bad_file_at_reload_changes_nothing(folder, backends):
    with Checkerd(folder, ini(backends)) as checkerd:
        checkerd.wait_state("web/a", "up")
        checkerd.reload(BAD, "refused")
        assert checkerd.log.lines(f"checkerd.ini:{checkerd.line(4)}: ")
        probes = checkerd.host("web/a")["probes"]
        checkerd.wait_probes("web/a", probes + 3)


def test_a_second_checkerd_names_the_first(folder, backends):
    with Checkerd(folder, ini(backends)) as checkerd:
        status, _, errors = checkerd.run()
        assert status == 1
        assert f"pid {checkerd.process.pid}" in errors
        checkerd.wait_probes("web/a", 3)


def test_the_lock_of_a_dead_checkerd_is_waited_for(folder, backends):
    """Killed while it starts a program, it has a child for a moment that
    still holds what it held."""
    checkerd = Checkerd(folder, ini(backends))
    dead = subprocess.Popen(["true"])
    dead.wait()
    with open(checkerd.segment + ".lock", "w") as lock:
        lock.write(f"{dead.pid}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(0.3, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
        with checkerd:
            checkerd.wait_state("web/a", "up")


def test_a_missing_directory_is_said(folder):
    checkerd = Checkerd(folder, "")
    with open(checkerd.path, "w") as file:
        file.write(f"[checkerd]\nsegment = {folder}/none/health.shm\n")
    status, _, errors = checkerd.run()
    assert status == 1
    assert f"{folder}/none/health.shm: No such file or directory" in errors


def test_a_full_disk_is_said(folder, backends):
    """A tmpfs with room for the ini but not for a segment."""
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small],
                   check=True)
    try:
        checkerd = Checkerd(small, ini(backends))
        status, _, errors = checkerd.run()
        assert status == 1
        assert "No space left on device" in errors
        assert sorted(os.listdir(small)) == ["checkerd.ini",
                                             "health.shm.lock", "state"]
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_full_disk_at_reload_leaves_the_old_configuration(folder, backends):
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4500k", "none", small],
                   check=True)
    try:
        with Checkerd(small, ini(backends[:1])) as checkerd:
            checkerd.wait_state("web/a", "up")
            checkerd.reload(ini(backends), "refused")
            assert checkerd.log.lines("No space left on device")
            probes = checkerd.host("web/a")["probes"]
            checkerd.wait_probes("web/a", probes + 3)
            assert checkerd.host("web/b") is None
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_T_prints_is_a_configuration(folder, backends):
    checkerd = Checkerd(folder, ini(backends, "fall = 7\n"))
    status, printed, _ = checkerd.run("-T")
    assert status == 0
    assert "fall = 7" in printed and "rise = 2" in printed
    checkerd.path += ".again"
    with open(checkerd.path, "w") as file:
        file.write(printed)
    assert checkerd.run("-T")[1] == printed


def test_once_prints_a_table_and_touches_nothing(folder, backends):
    checkerd = Checkerd(folder, ini(backends))
    status, printed, _ = checkerd.run("--once")
    assert status == 0
    assert re.search(rf"web/a +{backends[0].address} +L7OK", printed)
    backends[1].health = 500
    status, printed, _ = checkerd.run("--once")
    assert status == 1
    assert re.search(r"web/b .* L7STS .*500", printed)
    assert not os.path.exists(checkerd.segment)


def test_a_damaged_segment_is_replaced_and_said(folder, backends):
    checkerd = Checkerd(folder, ini(backends))
    with open(checkerd.segment, "wb") as file:
        file.write(os.urandom(100000))
    with checkerd:
        checkerd.log.wait("cannot be adopted: not a health segment")
        checkerd.wait_state("web/a", "up")


def rate(backend, seconds):
    before = backend.probes
    start = time.monotonic()
    time.sleep(seconds)  # what is measured is the time itself
    return (backend.probes - before) / (time.monotonic() - start)


def test_intervals_follow_the_state(folder, backends):
    more = """
interval = 100ms
fast_interval = 20ms
down_interval = 50ms
fall = 40
rise = 40
jitter = 0
"""
    text = ini(backends).replace("interval = 50ms", more)
    with Checkerd(folder, text) as checkerd:
        checkerd.wait_state("web/a", "up")
        assert 8 <= rate(backends[0], 1) <= 11
        backends[0].health = 503
        checkerd.wait_probes("web/a", checkerd.host("web/a")["probes"] + 2)
        assert 30 <= rate(backends[0], 0.5) <= 55
        checkerd.wait_state("web/a", "down")
        assert 16 <= rate(backends[0], 1) <= 22


def test_a_slow_host_is_never_probed_twice_at_once(folder, backends):
    backends[0].delay = 0.3
    most = 0
    with Checkerd(folder, ini(backends[:1])) as checkerd:
        def watched():
            nonlocal most
            most = max(most, len(backends[0].connections))
            return checkerd.log.lines("never") or backends[0].probes >= 5
        wait_for(watched, "five probes")
    assert most == 1


def test_counters_and_schedule_go_on_after_a_restart(folder, backends):
    text = ini(backends, "").replace("50ms", "2s")
    with Checkerd(folder, text) as checkerd:
        checkerd.wait_probes("web/a", 1)
        checkerd.wait_probes("web/b", 1)
        before = checkerd.host("web/a")
        checkerd.stop()
        checkerd.start()
        after = checkerd.wait_probes("web/a", 2)
        assert after["probes"] == 2
        gap = (timestamp(after["checked_at"]) -
               timestamp(before["checked_at"]))
        assert 1.7 <= gap <= 2.5


def test_a_reload_disturbs_nobody_who_did_not_change(folder, backends):
    text = ini(backends)
    with Checkerd(folder, text) as checkerd:
        backends[0].health = 503
        checkerd.wait_state("web/a", "down")
        before = checkerd.host("web/a")
        checkerd.reload(text + "\n[pool other]\n")
        after = checkerd.wait_probes("web/a", before["probes"] + 1)
        assert after["failcount"] > before["failcount"]
        assert after["changed_at"] == before["changed_at"]
        # another check: the verdict stays, the streak starts over
        checkerd.reload(text.replace("path = /healthz", "path = /healthz?x"))
        changed = checkerd.wait_probes("web/a", after["probes"] + 1)
        assert changed["state"] == "down"
        assert changed["failcount"] < after["failcount"]


def most_in_a_tenth(backend, seconds):
    """Checks in the fullest tenth of a second; the time is what is measured."""
    most = 0
    for _ in range(10 * seconds):
        before = backend.probes
        time.sleep(0.1)
        most = max(most, backend.probes - before)
    return most


@pytest.mark.parametrize("seconds", [1, 2])
def test_a_reload_that_changes_all_spreads_them_as_before(folder, seconds):
    """Not all at once, and not in step from then on."""
    with Backends(1) as backends:
        port = backends[0].address.rsplit(":", 1)[1]
        backends[0].stop()
        backends[0].address = f"0.0.0.0:{port}"
        backends[0].start()
        text = "[defaults]\njitter = 0\npath = /healthz\n" \
            "interval = %ds\nfall = %d\n[pool web]\n" + "".join(
                f"server = 127.0.1.{n}:{port}\n" for n in range(1, 201))
        with Checkerd(folder, text % (1, 3)) as checkerd:
            wait_for(lambda: backends[0].probes >= 200, "a round")
            checkerd.reload(text % (seconds, 9))
            # who goes in step does so for ever; a busy machine has its breaks
            wait_for(lambda: most_in_a_tenth(backends[0], seconds)
                     < 40 / seconds, "a round that is spread", 40)


def test_starved_of_descriptors_nobody_is_judged(folder, backends):
    """More is open than the limit allows: no socket for a probe."""
    with Checkerd(folder, ini(backends)) as checkerd:
        checkerd.wait_state("web/a", "up")
        checkerd.wait_state("web/b", "up")
        subprocess.run(["prlimit", f"--pid={checkerd.process.pid}",
                        "--nofile=3:"], check=True)
        wait_for(lambda: checkerd.host("web/a")["inconclusive"] >= 5,
                 "inconclusive probes")
        assert checkerd.host("web/a")["state"] == "up"
        subprocess.run(["prlimit", f"--pid={checkerd.process.pid}",
                        "--nofile=1024:"], check=True)
        probes = checkerd.host("web/a")["probes"]
        checkerd.wait_probes("web/a", probes + 5)
        assert checkerd.events() == []
        assert checkerd.log.lines("counted for nothing")


def test_a_reload_without_a_thread_is_refused_aloud(folder):
    """And systemd, which was told that it began, is told that it ended."""
    uid = 54321
    os.chown(folder, uid, uid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{folder}/notify")
        os.chmod(f"{folder}/notify", 0o666)
        systemd.settimeout(10)
        checkerd = Checkerd(folder, "[pool web]\n", prefix=[
            # a sanitizer looks for leaks in a thread of its own
            "env", f"NOTIFY_SOCKET={folder}/notify",
            "ASAN_OPTIONS=detect_leaks=0", "setpriv",
            f"--reuid={uid}", "--clear-groups", "prlimit", "--nproc=1"])
        os.chown(checkerd.state_dir, uid, uid)
        with checkerd:
            assert systemd.recv(4096).startswith(b"READY=1")
            checkerd.reload(outcome="refused")
            assert systemd.recv(4096) == b"RELOADING=1"
            assert systemd.recv(4096).startswith(b"READY=1")
            assert checkerd.log.lines("Resource temporarily unavailable")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_starved_of_descriptors_who_asks_waits_in_peace(folder, backends):
    """There is none for the connection, and the loop does not spin on it."""
    with Checkerd(folder, ini(backends)) as checkerd, \
            socket.socket(socket.AF_UNIX) as client:
        checkerd.wait_probes("web/a", 3)
        pid = checkerd.process.pid
        used = len(os.listdir(f"/proc/{pid}/fd"))
        subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={used - 2}:"],
                       check=True)
        client.connect(checkerd.status_socket)
        client.sendall(b"GET /v1/readers HTTP/1.1\r\nHost: x\r\n\r\n")
        began, cpu = time.monotonic(), cpu_seconds(pid)
        before = checkerd.host("web/a")["inconclusive"]
        wait_for(lambda: checkerd.host("web/a")["inconclusive"] >= before + 20,
                 "inconclusive probes")
        share = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
        assert share < 0.08
        subprocess.run(["prlimit", f"--pid={pid}", "--nofile=1024:"],
                       check=True)
        client.settimeout(10)
        assert client.recv(64).startswith(b"HTTP/1.1 200")


@contextlib.contextmanager
def running(command):
    with subprocess.Popen(command, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


HOLD_TWO_PORTS = """
import signal, socket
held = []
while len(held) < 2:
    try:
        held.append(socket.create_connection(("127.0.0.1", 8080)))
    except OSError:
        pass
signal.pause()
"""


def test_starved_of_ports_nobody_is_judged(folder):
    """A network of its own with two local ports, and both are in use."""
    name = f"checkerd-{os.getpid()}"
    inside = ["ip", "netns", "exec", name]
    python = [*inside, "/usr/bin/python3"]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in (["ip", "link", "set", "lo", "up"],
                        ["sysctl", "-qw", "net.ipv4.ip_local_port_range="
                         "40000 40001"]):
            subprocess.run([*inside, *command], check=True)
        with running([*python, "-m", "http.server", "8080", "--bind",
                      "127.0.0.1"]), \
                Checkerd(folder, "[defaults]\ninterval = 50ms\n[pool web]\n"
                         "server = 127.0.0.1:8080 id=a\n",
                         inside) as checkerd:
            checkerd.wait_state("web/a", "up")
            before = checkerd.events()  # the server may start after us
            with running([*python, "-c", HOLD_TWO_PORTS]):
                host = wait_for(
                    lambda: (lambda h: h if (h["inconclusive"] or 0) >= 5
                             else None)(checkerd.host("web/a")),
                    "inconclusive probes")
                assert host["state"] == "up" and host["failcount"] == 0
            probes = checkerd.host("web/a")["probes"]
            checkerd.wait_probes("web/a", probes + 5)
            assert checkerd.events() == before
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_bad_options_are_said(folder):
    for arguments, word in ((["--nonsense"], "nonsense"),
                            (["extra"], "unexpected argument \"extra\"")):
        done = subprocess.run([CHECKERD, *arguments], capture_output=True,
                              text=True)
        assert done.returncode == 1 and word in done.stderr


def test_signals_stop_it_cleanly(folder, backends):
    for number in (signal.SIGTERM, signal.SIGINT):
        with Checkerd(folder, ini(backends)) as checkerd:
            checkerd.signal(number)
            assert checkerd.process.wait(10) == 0
            checkerd.process = None


def test_it_outlives_whoever_read_its_log(folder, backends):
    checkerd = Checkerd(folder, ini(backends, "rise = 1\nfall = 1"))
    checkerd.process = subprocess.Popen([CHECKERD, "-c", checkerd.path],
                                        stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
    with checkerd.process.stderr as log:
        assert b"checks 2 hosts" in log.readline()
    backends[0].health = 503
    checkerd.wait_state("web/a", "down")
    backends[0].health = 200
    checkerd.wait_state("web/a", "up")
    checkerd.stop()
