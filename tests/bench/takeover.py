# SPDX-License-Identifier: BSD-2-Clause
"""How long requests wait while nginx takes over a great many hosts, and why.

Two workers serve steady requests, each over a few kept connections, to the
upstream in question and to one that nobody checks, while the hosts appear, are
replaced by others, all change their state, and nginx reloads.  What is printed
is the slowest request from each of these on until all is taken over, beside
the slowest of as long a time before, in milliseconds: `name ours quiet ratio
ms`, with the greatest of all rounds and how many requests were answered with
what.  Beside overlays, which have a tenth of the hosts as servers, a stock
nginx with these reloads.

    takeover.py [HOSTS [ROUNDS [NAME]]]

NAME is part of the names of rows to make.  A machine that is busy with
something else adds its own to that.  What nginx does comes after it, in CPU
time: the longest turn of a worker's event loop, see longest_turn.c, and how
long a worker takes to start when nginx reloads.
"""

import multiprocessing
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "e2e"))

from nginx import BUILD, NGINX, Nginx, free_port  # noqa: E402
from segment import Segment  # noqa: E402

BACKEND = os.path.join(BUILD, "tests", "bench", "bench_backend")
TURNS = os.path.join(BUILD, "tests", "bench", "liblongest_turn.so")
CONNECTIONS = 8
PAUSE_S = 0.001
START_S = 0.1  # until the client is at it
SECONDS = 1.5
REQUESTS = 50  # on one connection
OVERLAY = 10  # upstreams, with a tenth of the hosts in all


class Connection:
    def __init__(self, port, path):
        self.port, self.path = port, path
        self.socket = None
        self.due = 0.0

    def ask(self, now):
        self.began = now
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port))
            self.left = REQUESTS
        self.left -= 1
        kept = "keep-alive" if self.left else "close"
        try:
            self.socket.sendall(f"GET {self.path} HTTP/1.1\r\nHost: x\r\n"
                                f"Connection: {kept}\r\n\r\n".encode())
        except OSError:
            self.again(now)

    def again(self, began):
        """nginx has closed a kept connection, as a worker that leaves does."""
        self.socket.close()
        self.socket = None
        self.ask(began)
        self.began = began

    def answer(self):
        """Status, or None when there was no request on the wire."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.again(self.began)
            return None
        if self.left == 0 or b"Connection: close" in data:
            self.socket.close()
            self.socket = None
        return int(data[9:12])


def steady(port, pipe):
    """The client: (when it began, how long it took, path, status) of all."""
    connections = [Connection(port, ["/", "/other"][n % 2])
                   for n in range(CONNECTIONS)]
    done = []
    waiting = {}
    while not pipe.poll():
        now = time.monotonic()
        for connection in connections:
            if connection.due and connection.due <= now:
                connection.due = 0.0
            elif connection.due or connection in waiting.values():
                continue
            connection.ask(now)
            waiting[connection.socket.fileno()] = connection
        ready = select.select(list(waiting), [], [], PAUSE_S)[0]
        now = time.monotonic()
        for fd in ready:
            connection = waiting.pop(fd)
            status = connection.answer()
            if status is None:
                waiting[connection.socket.fileno()] = connection
                continue
            done.append((connection.began, now - connection.began,
                         connection.path, status))
            connection.due = now + PAUSE_S
    pipe.recv()
    pipe.send(done)


class Client:
    def __init__(self, port):
        self.pipe, end = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=steady,
                                               args=(port, end))
        self.process.start()

    def end(self):
        self.pipe.send(None)
        done = self.pipe.recv()
        self.process.join()
        return done


def addresses(count, port, net):
    return [f"127.{net + (n >> 16)}.{n >> 8 & 255}.{n & 255}:{port}"
            for n in range(count)]


class Fleet:
    """Pools of one size, each of an upstream of its own."""

    def __init__(self, mode, balance, pools, hosts, backend):
        self.mode, self.balance, self.backend = mode, balance, backend
        self.name = f"{mode}_{balance}_{pools}x{hosts}"
        self.pools, self.hosts = pools, hosts

    def servers(self, pool, net=16):
        return addresses(self.hosts * self.pools, self.backend,
                         net)[pool * self.hosts:(pool + 1) * self.hosts]

    def publish(self, segment, net):
        for pool in range(self.pools):
            segment.tell(f"pool p{pool} web{pool} 0 {self.balance}")
            segment.tell_all([f"host h{n} {address}" for n, address in
                              enumerate(self.servers(pool, net))])
        segment.tell("activate")

    def http(self, path):
        covered = self.pools
        text = (f"upstream_health_shm {path};\n" if path else "")
        if self.mode == "overlay":
            covered = min(OVERLAY, self.pools)
        for pool in range(covered):
            inside = f"upstream_health_shm {path};"
            if self.mode == "overlay":
                inside = " ".join(f"server {address};"
                                  for address in self.servers(pool))
            text += f"upstream web{pool} {{ {inside} }}\n"
        return text + f"""
keepalive_requests 1000000;
server {{
    listen 127.0.0.1:@PORT@ @LISTEN@;
    location / {{ proxy_pass http://web{covered - 1}; }}
    location /other {{ proxy_pass http://127.0.0.1:{self.backend}; }}
}}
"""


class MeasuredNginx(Nginx):
    def __init__(self, folder, http):
        super().__init__(folder, http, listen="")
        self.turns = os.path.join(folder, "turns")
        self.longest()

    def environment(self):
        return {**super().environment(), "LD_PRELOAD": TURNS,
                "LONGEST_TURN": self.turns}

    def longest(self):
        """CPU milliseconds of a turn and of a start, since the last call."""
        if not os.path.exists(self.turns):
            with open(self.turns, "wb") as file:
                file.write(bytes(16))
            os.chmod(self.turns, 0o666)
        with open(self.turns, "r+b") as file:
            turn, start = struct.unpack("QQ", file.read())
            file.seek(0)
            file.write(bytes(16))
        return turn / 1000, start / 1000


def slowest(done, since, until):
    took = [took for began, took, _, _ in done if since <= began < until]
    return 1000 * max(took, default=0)


def watched(nginx, act, seconds):
    """The slowest request since `act` began and the slowest before, the
    longest turn and start of a worker, and how many answers of which status
    there were."""
    client = Client(nginx.port)
    time.sleep(seconds)
    middle = time.monotonic()
    nginx.longest()
    act()
    time.sleep(seconds)
    done = client.end()
    statuses = {}
    for began, _, _, status in done:
        if began >= middle:
            statuses[status] = statuses.get(status, 0) + 1
    return (slowest(done, middle, time.monotonic()),
            slowest(done, middle - seconds + START_S, middle),
            *nginx.longest(), statuses)


def rounds(fleet, folder):
    path = os.path.join(folder, "health.shm")
    if os.path.exists(path):
        os.unlink(path)
    with Segment(path) as segment:
        nginx = MeasuredNginx(folder, fleet.http(path))
        with nginx:
            yield "appear", watched(
                nginx, lambda: fleet.publish(segment, 16), SECONDS)
            yield "replaced", watched(
                nginx, lambda: fleet.publish(segment, 32), SECONDS)
            if fleet.mode == "overlay":
                fleet.publish(segment, 16)
                time.sleep(1)
            last = (min(OVERLAY, fleet.pools) if fleet.mode == "overlay"
                    else fleet.pools) - 1
            yield "down", watched(
                nginx, lambda: segment.tell(f"sweep p{last} down"), SECONDS)
            yield "up", watched(
                nginx, lambda: segment.tell(f"sweep p{last} up"), SECONDS)
            yield "reload", watched(nginx, nginx.reload, SECONDS)


def stock(fleet, folder):
    nginx = MeasuredNginx(folder, fleet.http(None))
    with nginx:
        yield "stock_reload", watched(nginx, nginx.reload, SECONDS)


def report(fleet, count):
    found = {}
    kinds = [rounds, stock] if fleet.mode == "overlay" else [rounds]
    for kind in kinds * count:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            os.chmod(folder, 0o755)
            for name, result in kind(fleet, folder):
                found.setdefault(name, []).append(result)
    for name, results in found.items():
        ours, quiet, turn, start = (
            statistics.median(result[i] for result in results)
            for i in range(4))
        greatest = max(result[0] for result in results)
        print(f"takeover_{fleet.name}_{name} {ours:.1f} {quiet:.1f} "
              f"{ours / quiet:.2f} ms greatest {greatest:.1f} turn {turn:.1f} "
              f"start {start:.1f} answers {results[-1][4]}", flush=True)


def main():
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    port = free_port()
    fleets = [Fleet("pool", "round_robin", 1, hosts, port),
              Fleet("pool", "least_conn", 1, hosts, port),
              Fleet("pool", "random", 1, hosts, port),
              Fleet("pool", "hash", 1, hosts, port),
              Fleet("pool", "round_robin", hosts // 1000, 1000, port),
              Fleet("overlay", "round_robin", hosts // 1000, 1000, port),
              Fleet("overlay", "round_robin", hosts // 10000, 10000, port)]
    backend = subprocess.Popen([BACKEND, str(port)])
    print(f"# {BACKEND} {port}; {NGINX} with 2 workers; {CONNECTIONS} "
          f"connections, each with a pause of {1000 * PAUSE_S:.0f} ms between "
          f"its requests; medians of {count}")
    try:
        for fleet in fleets:
            if wanted in fleet.name:
                report(fleet, count)
    finally:
        backend.send_signal(signal.SIGTERM)
        backend.wait()


if __name__ == "__main__":
    main()
