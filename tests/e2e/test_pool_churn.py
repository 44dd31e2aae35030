# SPDX-License-Identifier: BSD-2-Clause
"""Pool mode while everything changes: hosts come and go, are weighed and taken
out at random, under load.  No request fails and no memory is lost.

CHECKERD_CHURN_SECONDS=60 makes it longer, as for a build with sanitizers.
"""

import os
import random
import re
import subprocess
import time

import pytest

from nginx import Nginx, free_port, wait_for
from pools import pool, serves, upstream, worker_memory
from segment import Segment

SECONDS = int(os.environ.get("CHECKERD_CHURN_SECONDS", "20"))
HOSTS = 12
METHODS = ["round_robin", "least_conn", "random", "hash"]


class Churn:
    """Orders at random that always leave one host of the first tier alone."""

    def __init__(self, segment, addresses, seed):
        self.segment = segment
        self.addresses = addresses
        self.random = random.Random(seed)
        self.count = 0
        self.topology()

    def topology(self):
        """Some hosts, in some tiers, with some methods."""
        tiers = {}
        self.hosts = []
        for tier in range(self.random.randint(1, 3)):
            name = f"p{self.random.randint(0, 3)}{tier}"
            some = self.random.sample(self.addresses,
                                      self.random.randint(2, HOSTS))
            tiers[pool(name, tier, self.random.choice(METHODS))] = [
                (address, f"weight={self.random.choice([1, 2, 9, 9999])}")
                for address in some]
            self.hosts += [f"{name}/h{n}" for n in range(len(some))]
        self.segment.pools(tiers)

    def order(self):
        self.count += 1
        if self.count % 50 == 0:
            self.topology()
            return
        host = self.random.choice(self.hosts[1:])
        if self.random.random() < 0.3:
            self.segment.weigh(host, self.random.choice([1, 77, 256, 25600]))
        else:
            self.segment.tell("quiet %s %s" % (host, self.random.choice(
                ["up", "up", "down", "drain", "ordered-down"])))


@pytest.mark.parametrize("kept", ["", "keepalive 16;"])
def test_churn(folder, kept):
    ports = [free_port() for _ in range(HOSTS)]
    listen = "\n".join(f"listen 127.0.0.1:{port};" for port in ports)
    with Nginx(folder / "backend", f"""
                server {{ {listen} keepalive_requests 1000000;
                          location / {{ return 200 "x"; }} }}
                server {{ listen 127.0.0.1:@PORT@; }}""", workers=1), \
            Segment(folder / "health.shm") as segment:
        seed = random.randrange(1 << 32)
        print("seed", seed)
        churn = Churn(segment, [f"127.0.0.1:{port}" for port in ports], seed)
        with Nginx(folder, upstream(folder, kept, options="key=$request_id")
                   + """proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        keepalive_requests 1000000;""", level="warn") as nginx:
            serves(nginx)
            output, sizes = load(nginx, churn)
            print(output, churn.count, "orders, kB:", sizes[::10])
            requests = int(re.search(r"(\d+) requests in", output).group(1))
            assert requests > 1000 and churn.count > SECONDS * 20
            assert "Non-2xx" not in output and "Socket errors" not in output
            assert nginx.log.lines(r"\[error\]") == []
            # after a while, it grows no more
            third = len(sizes) // 3
            assert max(sizes[-third:]) \
                < max(sizes[third:2 * third]) * 1.05 + 512


def load(nginx, churn):
    """What wrk says, and what the workers' memory was meanwhile."""
    wrk = subprocess.Popen(
        ["wrk", "-t1", "-c16", f"-d{SECONDS}",
         f"http://127.0.0.1:{nginx.port}/"],
        stdout=subprocess.PIPE, text=True)
    sizes = []
    while wrk.poll() is None:
        churn.order()
        time.sleep(0.002)
        if churn.count % 20 == 0:
            sizes.append(sum(worker_memory(nginx)))
    return wrk.stdout.read(), sizes


def test_weights_change_faster_than_a_worker_follows(folder):
    """To hash, each is another snapshot.  Those before it go meanwhile, and do
    not pile up until there is peace."""
    count = 20000
    with Segment(folder / "health.shm") as segment:
        segment.tell("pool p web 0 hash")
        segment.tell_all([f"host h{n} 127.1.{n // 256}.{n % 256}:9 weight=10"
                          for n in range(count)])
        segment.tell("activate")
        with Nginx(folder, upstream(folder) + "proxy_next_upstream off;",
                   workers=1, level="crit") as nginx:
            wait_for(lambda: nginx.get().headers["X-Upstream"] != "web",
                     "the many")
            sizes = []
            until = time.monotonic() + 4
            while time.monotonic() < until:
                host = len(sizes) % count
                segment.weigh(f"p/h{host}", 20 * 256, 20)
                nginx.get()
                sizes.append(worker_memory(nginx)[0])
                time.sleep(0.01)
            print("kB:", sizes[::10])
            # one that serves, one that comes and one that goes
            assert max(sizes) < sizes[0] * 3
