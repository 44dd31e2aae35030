# SPDX-License-Identifier: BSD-2-Clause
"""How long requests wait while nginx takes over a great many hosts.

Two workers serve steady requests, each over a few kept connections, to the
upstream in question and to one that nobody checks, while the hosts appear, are
replaced by others, all change their state, and nginx reloads.  What is printed
is the slowest request from each of these on until all is taken over, beside
the slowest of as long a time before, in milliseconds: `name ours quiet ratio
ms`.  The last rows are the reload of a stock nginx with as many servers.

    takeover.py [HOSTS [ROUNDS]]

The greatest of ROUNDS says what can happen, the median what does; a machine
that is busy with something else adds its own.
"""

import multiprocessing
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "e2e"))

from nginx import BUILD, Nginx, free_port, wait_for  # noqa: E402
from segment import Segment  # noqa: E402

BACKEND = os.path.join(BUILD, "tests", "bench", "bench_backend")
CONNECTIONS = 8
PAUSE_S = 0.001
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


def slowest(done, since, until):
    took = [took for began, took, _, _ in done if since <= began < until]
    return 1000 * max(took, default=0)


def watched(nginx, act, seconds):
    """The slowest request of before and of since `act` began, and the
    statuses of the latter."""
    client = Client(nginx.port)
    time.sleep(seconds)
    middle = time.monotonic()
    act()
    time.sleep(seconds)
    done = client.end()
    statuses = {}
    for began, _, path, status in done:
        if began >= middle:
            key = f"{path}={status}"
            statuses[key] = statuses.get(key, 0) + 1
    return (slowest(done, middle - seconds + 0.1, middle),
            slowest(done, middle, middle + 60), statuses)


def renew(fleet, net):
    """The same under a new name: the slow part of the writer's work is done
    when nginx sees it."""
    return lambda segment: fleet.publish(segment, net)


def rounds(fleet, folder):
    path = os.path.join(folder, "health.shm")
    if os.path.exists(path):
        os.unlink(path)
    seconds = 1.5
    with Segment(path) as segment:
        nginx = Nginx(folder, fleet.http(path), listen="")
        with nginx:
            yield "appear", watched(
                nginx, lambda: fleet.publish(segment, 16), seconds)
            yield "replaced", watched(
                nginx, lambda: fleet.publish(segment, 32), seconds)
            if fleet.mode == "overlay":
                fleet.publish(segment, 16)
                time.sleep(1)
            last = (min(OVERLAY, fleet.pools) if fleet.mode == "overlay"
                    else fleet.pools) - 1
            yield "down", watched(
                nginx, lambda: segment.tell(f"sweep p{last} down"), seconds)
            yield "up", watched(
                nginx, lambda: segment.tell(f"sweep p{last} up"), seconds)
            yield "reload", watched(nginx, nginx.reload, seconds)


def stock(fleet, folder):
    nginx = Nginx(folder, fleet.http(None), listen="")
    with nginx:
        yield "stock_reload", watched(nginx, nginx.reload, 1.5)


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
    print(f"# {BACKEND} {port}; nginx with 2 workers; {CONNECTIONS} "
          f"connections, a pause of {1000 * PAUSE_S:.0f} ms; median of "
          f"{count} (greatest)")
    try:
        for fleet in fleets:
            if wanted not in fleet.name:
                continue
            found = {}
            for _ in range(count):
                with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
                    os.chmod(folder, 0o755)
                    for name, result in rounds(fleet, folder):
                        found.setdefault(name, []).append(result)
                if fleet.mode == "overlay":
                    with tempfile.TemporaryDirectory(
                            dir="/dev/shm") as folder:
                        os.chmod(folder, 0o755)
                        for name, result in stock(fleet, folder):
                            found.setdefault(name, []).append(result)
            for name, results in found.items():
                quiet = statistics.median(r[0] for r in results)
                ours = statistics.median(r[1] for r in results)
                print(f"takeover_{fleet.name}_{name} {ours:.1f} {quiet:.1f} "
                      f"{ours / quiet:.1f} ms (greatest "
                      f"{max(r[1] for r in results):.1f}) "
                      f"{results[-1][2]}", flush=True)
    finally:
        backend.send_signal(signal.SIGTERM)
        backend.wait()


if __name__ == "__main__":
    main()
