# SPDX-License-Identifier: BSD-2-Clause
"""When the segment is not what it should be, nginx is stock nginx: no health,
no crash, and one line that says so."""

import os
import random
import re
import resource
import signal
import struct
import subprocess
import time

import pytest

from backends import Backends
from nginx import Crowd, Nginx, settle, wait_for
from segment import Segment

HEADER_SIZE = 4096


def upstream(backends, folder, parameters="", more="", name="web"):
    return f"""upstream {name} {{
        upstream_health_shm {folder}/health.shm {parameters};
        {more}
        {backends.servers()}
    }}"""


def sound_segment(folder, backends):
    """The bytes of a segment in which host b is down."""
    path = folder / "sound.shm"
    with Segment(path) as segment:
        segment.pools({"primary": backends, ("spare", "web"): backends[:1]})
        segment.set("primary/b", "down", 3, "L4CON")
    return path.read_bytes()


def test_missing_is_stock_until_it_is_there(folder):
    with Backends(2) as backends:
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            assert crowd.get(20) == {200: 20}
            settle()
            lines = nginx.health_lines()
            assert len(lines) == 1, lines
            assert re.search(r"cannot be opened, health is ignored "
                             r"\(2: No such file", lines[0])

            with Segment(folder / "health.shm") as segment:
                segment.pools({"primary": backends})
                segment.set("primary/a", "down", 3, "L4CON")
                nginx.log.wait("is in use, health is enforced")
                nginx.log.wait("host_down")
                settle()
                backends.reset()
                assert crowd.get(40) == {200: 40}
                assert backends.counts() == [0, 40]
                assert len(nginx.health_lines()) == 3


def empty(data):
    return b""


def cut(data):
    return data[:len(data) // 2]


def cut_header(data):
    return data[:1000]


def longer(data):
    return data + bytes(4096)


def noise(data):
    return random.Random(1).randbytes(len(data))


def zeros(data):
    return bytes(len(data))


def other_layout(data):
    return data[:8] + b"\xff\xff\xff\x7f" + data[12:]


@pytest.mark.parametrize("damage", [empty, cut, cut_header, longer, noise,
                                    zeros, other_layout])
def test_damaged_is_stock(folder, damage):
    with Backends(2) as backends:
        (folder / "health.shm").write_bytes(
            damage(sound_segment(folder, backends)))
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            assert crowd.get(40) == {200: 40}
            assert all(backends.counts())
            settle()
            lines = nginx.health_lines()
            assert len(lines) == 1, lines
            assert "is not usable: " in lines[0]

            nginx.reload()
            settle()
            assert len(nginx.health_lines()) == 1


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "sparse"])
def test_what_is_no_segment_at_all(folder, kind):
    path = folder / "health.shm"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    with Backends(1) as backends:
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            assert crowd.get(20) == {200: 20}
            settle()
            assert len(nginx.health_lines("health is ignored")) == 1


def test_texts_without_an_end(folder):
    """The names of all pools are one text of 32 MB: nobody looks for its end."""
    pools, size = 4000, 32 << 20
    ats, at = [], HEADER_SIZE
    for part in (64 * pools, 0, size, 64 * pools, 0, 16, 832, 2 * 896):
        ats.append(at)
        at += (part + 63) // 64 * 64
    header = struct.pack("<QIIQQQIIII3QQ5Q", 0x636865636b736870, 2,
                         HEADER_SIZE, at, 1, 1, pools, 0, 2, 2, *ats[:3], size,
                         *ats[3:])
    path = folder / "health.shm"
    with open(path, "wb") as file:
        file.write(header)
        file.seek(ats[2])
        file.write(b"x" * (size - 1))
        file.truncate(at)
    with Backends(1) as backends:
        with Nginx(folder, upstream(backends, folder), workers=1) as nginx:
            started = time.monotonic()
            assert nginx.get().status == 200
            assert time.monotonic() - started < 1
            nginx.log.wait("does not know these servers|is not usable")
            assert nginx.health_lines("is not usable") == []


def flips(data, count, seed, tables=True):
    """`count` bits, most of them where the meaning is: the header's first
    bytes and the tables up to the events."""
    chance = random.Random(seed)
    events_at = int.from_bytes(data[120:128], "little")
    for _ in range(count):
        end = chance.choice([128, 448, HEADER_SIZE, events_at])
        yield chance.randrange(0, end * 8)


def flip(data, bit):
    data[bit // 8] ^= 1 << bit % 8


def test_flipped_bits(folder):
    """One nginx, 200 upstreams, each with a segment that has one bit wrong."""
    with Backends(2) as backends:
        sound = sound_segment(folder, backends)
        http, locations = [], []
        for number, bit in enumerate(flips(sound, 200, seed=7)):
            data = bytearray(sound)
            flip(data, bit)
            path = folder / f"{number}.shm"
            with open(path, "wb") as file:
                file.write(data)
            http.append(f"""upstream web{number} {{
                upstream_health_shm {path} upstream=web;
                {backends.servers()}
            }}""")
            locations.append(f"""location /{number}/ {{
                proxy_pass http://web{number};
            }}""")
        server = "server { listen 127.0.0.1:@PORT@ reuseport; %s }" % (
            "\n".join(locations))
        with Nginx(folder, "\n".join([*http, server])) as nginx, \
                Crowd(nginx, 8) as crowd:
            for number in range(200):
                statuses = crowd.get(16, f"/{number}/")
                assert sum(statuses.values()) == 16
                assert set(statuses) <= {200, 502}, (number, statuses)
            settle()
            said = {}
            for line in nginx.health_lines("is ignored"):
                path = re.search('"(.*?)"', line).group(1)
                said[path] = said.get(path, 0) + 1
            assert said and set(said.values()) == {1}


def test_bits_flipped_under_the_mapping(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        segment.set("primary/a", "down")
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            data = (folder / "health.shm").read_bytes()
            with open(folder / "health.shm", "r+b", buffering=0) as file:
                for bit in flips(data, 300, seed=11):
                    file.seek(bit // 8)
                    byte = file.read(1)[0] ^ 1 << bit % 8
                    file.seek(bit // 8)
                    file.write(bytes([byte]))
                    assert set(crowd.get(3)) <= {200, 502}


def test_stale_is_ignored_and_fresh_enforced_again(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        segment.set("primary/b", "down")
        for zone in ("", "zone web 64k;"):
            with Nginx(folder / (zone and "zone"), upstream(
                    backends, folder, "stale=1s", zone)) as nginx, \
                    Crowd(nginx) as crowd:
                assert crowd.get(60) == {200: 60}
                assert backends[1].requests == 0

                segment.heart("stop")
                nginx.log.wait("is stale")
                settle()
                crowd.get(60)
                assert backends[1].requests > 0

                # a reload inherits how long the heart has been still
                nginx.reload()
                with Crowd(nginx) as newcomers:
                    backends.reset()
                    newcomers.get(60)
                    assert backends[1].requests > 0

                segment.heart("beat")
                nginx.log.wait("is alive again")
                settle()
                backends.reset()
                with Crowd(nginx) as newcomers:
                    assert newcomers.get(60) == {200: 60}
                assert backends[1].requests == 0
                assert len(nginx.health_lines("is stale")) == 1
                assert len(nginx.health_lines("is alive again")) == 1
                backends.reset()


def test_stale_is_a_matter_of_each_upstream(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        segment.set("primary/a", "down")
        with Nginx(folder, upstream(backends, folder, "stale=1s") + upstream(
                backends, folder, "upstream=web stale=60s", name="other") + """
                server {
                    listen 127.0.0.1:@PORT@ reuseport;
                    location / { proxy_pass http://web; }
                    location /other/ { proxy_pass http://other; }
                }""") as nginx, Crowd(nginx) as crowd:
            segment.heart("stop")
            nginx.log.wait("is stale")
            settle()
            backends.reset()
            crowd.get(40, "/other/")
            assert backends.counts() == [0, 40]
            crowd.get(40)
            assert backends[0].requests > 0


def test_dead_and_restarted_writer_is_invisible(folder):
    with Backends(3) as backends:
        segment = Segment(folder / "health.shm")
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            segment.set("primary/c", "down")
            crowd.get(8)
            for state in ("down", "up"):
                segment.kill()
                backends.reset()
                assert crowd.get(60) == {200: 60}
                assert backends[2].requests == 0
                segment.start()
                assert segment.pools({"primary": backends}) == "adopted"
                segment.set("primary/a", state)
                backends.reset()
                assert crowd.get(60) == {200: 60}
                assert (backends[0].requests == 0) == (state == "down")
        segment.close()


def test_another_topology(folder):
    """Hosts are added, removed and reordered while nginx runs."""
    with Backends(4) as backends, Segment(folder / "health.shm") as segment:
        a, b, c, d = backends
        segment.pools({"primary": [a, b]})
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            unknown = nginx.log.wait("does not know")
            assert len(unknown) == 1
            assert c.address in unknown[0] and d.address in unknown[0]
            assert a.address not in unknown[0]
            segment.set("primary/b", "down")
            crowd.get(40)
            backends.reset()
            crowd.get(60)
            assert b.requests == 0 and c.requests and d.requests

            assert segment.pools({"primary": [d, c, b]}) == "replaced"
            crowd.get(16)
            nginx.log.wait("does not know", 2)
            segment.set("primary/d", "down")
            backends.reset()
            assert crowd.get(60) == {200: 60}
            assert b.requests == d.requests == 0
            assert a.requests and c.requests

            assert segment.pools({"primary": [a, b, c, d]}) == "replaced"
            segment.set("primary/b", "up")
            wait_for(lambda: crowd.get(16) and b.requests, "b to be used")
            settle()
            assert len(nginx.health_lines("does not know")) == 2


class Starved:
    """A worker with no file descriptor left."""

    def __init__(self, pid):
        self.pid = pid
        self.limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def __enter__(self):
        # those it has stay open
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE,
                         (0, self.limits[1]))

    def __exit__(self, *_):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.limits)


def test_a_worker_that_cannot_follow_harms_no_other(folder):
    """It stays on the file before, in which the heart is still: what it
    believes must not reach the peers that all share, nor the log."""
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder, "stale=1s",
                                    "zone web 64k;"),
                   main="user root;") as nginx:  # as we are: prlimit
            segment.set("primary/a", "down")
            nginx.log.wait("host_down.*seq=1")
            pid = nginx.worker_pids()[0]
            with Starved(pid):
                segment.pools({"primary": backends,
                               "spare": ["127.0.0.1:9"]})
                segment.set("primary/b", "down")
                last = segment.set("primary/b", "up")
                nginx.log.wait(f"seq={last}")
                nginx.log.wait(f"{pid}#.*cannot be opened, the one before "
                               "it is in use .24: ")
                nginx.log.wait(f"{pid}#.*is stale")
                settle()
            with Crowd(nginx, 8) as crowd:
                backends.reset()
                assert crowd.get(40) == {200: 40}
                assert backends.counts() == [0, 40]
            numbers = [int(line.split("seq=")[1])
                       for line in nginx.health_lines("seq=")]
            assert sorted(numbers) == list(range(1, last + 1))


def test_a_segment_that_was_there_but_out_of_sight(folder):
    """What happened in it before nginx started is no news."""
    path, away = folder / "health.shm", folder / "away.shm"
    with Backends(2) as backends, Segment(path) as segment:
        segment.pools({"primary": backends})
        for state in ("down", "up", "down"):
            segment.set("primary/a", state)
        path.rename(away)
        with Nginx(folder, upstream(backends, folder)) as nginx:
            nginx.log.wait("cannot be opened")
            away.rename(path)
            nginx.log.wait("is in use")
            segment.set("primary/b", "down")
            nginx.log.wait("seq=4")
            settle()
            assert len(nginx.health_lines("host_")) == 1


def test_damaged_and_mended_in_place(folder):
    path = folder / "health.shm"
    with Backends(2) as backends:
        data = sound_segment(folder, backends)
        path.write_bytes(bytes(len(data)))
        os.utime(path, (1, 1))
        with Nginx(folder, upstream(backends, folder)) as nginx:
            nginx.log.wait("is not usable")
            path.write_bytes(data)
            nginx.log.wait("is in use")


def test_an_endless_number_of_events(folder):
    with Backends(1) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            for head in (2**64 - 1, 2**64 - 30, 2**63, 5):
                with open(folder / "health.shm", "r+b", buffering=0) as file:
                    file.seek(320)
                    file.write(head.to_bytes(8, "little"))
                settle()
                assert crowd.get(16) == {200: 16}


def test_removed_and_created_anew(folder):
    """The file goes, another one comes with numbers of its own."""
    with Backends(2) as backends:
        segment = Segment(folder / "health.shm")
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder)) as nginx, \
                Crowd(nginx) as crowd:
            segment.set("primary/a", "down", 3, "L4CON")
            crowd.get(8)
            nginx.log.wait("host_down.*seq=1")
            segment.kill()
            os.unlink(folder / "health.shm")
            crowd.get(40)
            segment = Segment(folder / "health.shm")
            segment.pools({"primary": backends})
            segment.set("primary/b", "down", 3, "L4TOUT")
            nginx.log.wait("host_down.*L4TOUT.*seq=1")
            settle()
            backends.reset()
            assert crowd.get(40) == {200: 40}
            assert backends.counts() == [40, 0]
            assert len(nginx.health_lines("host_down")) == 2
        segment.close()


def test_50_reloads_under_load(folder):
    with Backends(3) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        with Nginx(folder, upstream(backends, folder, more="zone web 64k;"),
                   listen="") as nginx, Crowd(nginx) as crowd:
            segment.set("primary/b", "down", 3, "L7STS", 503)
            crowd.get(8)
            nginx.log.wait("host_down")
            backends.reset()
            load = subprocess.Popen(
                ["wrk", "-t1", "-c8", "-d60s",
                 f"http://127.0.0.1:{nginx.port}/"],
                stdout=subprocess.PIPE, text=True)
            for number in range(50):
                nginx.reload()
                if number == 25:
                    segment.set("primary/c", "down", 3, "L7STS", 503)
            nginx.log.wait('host_down.*host="c"')
            load.send_signal(signal.SIGINT)
            report = load.communicate(timeout=20)[0]
            assert "Non-2xx" not in report, report
            # wrk counts a kept connection that a leaving worker closes
            # between two requests as a read error: that is no failed request
            assert not re.search(r"connect [1-9]|write [1-9]|timeout [1-9]",
                                 report), report
            assert backends[1].requests == 0
            assert backends[0].requests > 1000
            settle()
            assert len(nginx.health_lines("host_")) == 2


def test_a_killed_worker_is_replaced_by_one_that_knows(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        segment.set("primary/a", "down")
        with Nginx(folder, upstream(backends, folder)) as nginx:
            nginx.expect("exited on signal 9")
            old = set(nginx.worker_pids())
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: len(set(nginx.worker_pids()) - old) == 2,
                     "new workers")
            with Crowd(nginx) as crowd:
                assert crowd.get(40) == {200: 40}
            assert backends.counts() == [0, 40]


def test_without_a_master_process(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends})
        segment.set("primary/a", "down")
        with Nginx(folder, upstream(backends, folder, more="zone web 64k;"),
                   master=False, listen="") as nginx, Crowd(nginx) as crowd:
            assert crowd.get(20) == {200: 20}
            assert backends.counts() == [0, 20]
            segment.set("primary/b", "down")
            segment.set("primary/a", "up")
            backends.reset()
            assert crowd.get(20) == {200: 20}
            assert backends.counts() == [20, 0]

            # nginx itself does not serve after such a reload; what counts is
            # that our timer lets go of the old cycle, whose zones are gone
            nginx.process.send_signal(signal.SIGHUP)
            nginx.log.wait("reconfiguring", 2)
            last = segment.set("primary/b", "up")
            nginx.log.wait(f"seq={last}")
            assert nginx.process.poll() is None


@pytest.mark.parametrize("gone", ["http {", "load_module"])
def test_without_a_master_process_and_then_without_us(folder, gone):
    with Segment(folder / "health.shm") as segment:
        segment.pools({"primary": ["127.0.0.1:9"]})
        nginx = Nginx(folder, f"""upstream_health_shm {folder}/health.shm;
            upstream web {{ server 127.0.0.1:9; }}""", master=False,
            listen="", workers=1)
        with nginx:
            configuration = nginx.configuration()
            if gone == "http {":
                configuration = configuration[:configuration.index(gone)]
            else:
                configuration = re.sub("load_module.*|upstream_health_shm.*",
                                       "", configuration)
            (folder / "nginx.conf").write_text(configuration)
            # it listens before it is ready for signals
            nginx.log.wait(r"notice.*nginx/\d")
            nginx.process.send_signal(signal.SIGHUP)
            nginx.log.wait("reconfiguring")
            segment.set("primary/h0", "down")
            settle()
            assert nginx.process.poll() is None


def test_many_upstreams_are_warned_of_once(folder):
    with Segment(folder / "health.shm") as segment:
        names = [f"web{number:02}" for number in range(60)]
        for name in names:
            segment.tell(f"pool {name} {name}")
            segment.tell("host a 127.0.0.1:9")
        segment.tell("activate")
        with Nginx(folder, f"upstream_health_shm {folder}/health.shm;"
                   + "".join(f"""upstream {name} {{
                        server 127.0.0.1:9; server 127.0.0.2:9;
                   }}""" for name in names)
                   + "server { listen 127.0.0.1:@PORT@; }") as nginx:
            nginx.log.wait("does not know", 60)
            nginx.reload()
            settle()
            assert len(nginx.health_lines("does not know")) == 60


def test_upstreams_that_nobody_checks_go_unmentioned(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends}, upstream="another")
        with Nginx(folder, f"""
                upstream_health_shm {folder}/health.shm;
                upstream web {{ {backends.servers()} }}""") as nginx:
            assert nginx.get().status == 200
            settle()
            assert nginx.health_lines() == []
        with Nginx(folder / "explicit", upstream(backends, folder)) as nginx:
            lines = nginx.log.wait("does not know")
            assert all(b.address in lines[0] for b in backends)
            settle()
            nginx.reload()
            settle()
            assert len(nginx.health_lines()) == 1
