#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What it takes to pick a host in pool mode, beside stock round robin.

Counts instructions as nginx_overhead.py does.  A pick is the function that
gets a peer, the one that looks at hosts; a request also initialises the peer
and frees it.  Round robin's own are part of ours, which wrap it.

For each method and number of hosts a pick, how it compares with that at the
first number, and all that a request does about peers.

usage: pool_pick.py [HOSTS ...]
"""

import os
import sys
import tempfile

import rows
from backends import Backends
from nginx import free_port
from nginx_overhead import STOCK, per_request
from rows import row
from segment import Segment

METHODS = ["round_robin", "least_conn", "random", "hash"]
OURS = [f"ngx_http_upstream_health_shm_{name}_pool_peer"
        for name in ("init", "get", "free")]
PICK = 1  # of these


def addresses(size, port):
    return [f"127.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}:{port}"
            for n in range(1, size + 1)]


def costs(http, functions):
    """Of a pick and of a request."""
    return (per_request(http, functions[PICK:PICK + 1]),
            per_request(http, functions))


def pools(path, method, hosts):
    """A segment with all hosts in one pool."""
    segment = Segment(path)
    segment.tell(f"pool p web 0 {method}")
    segment.tell_all([f"host h{n} {host}" for n, host in enumerate(hosts)])
    segment.tell("activate")
    return segment


def main():
    sizes = [int(size) for size in sys.argv[1:]] or [10, 100, 1000, 10000]
    rows.prepare()
    rows.need("valgrind", "nginx")
    port = free_port()
    first = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
            Backends([f"0.0.0.0:{port}"]):
        os.chmod(folder, 0o755)
        for size in sizes:
            hosts = addresses(size, port)
            stock, stock_request = costs("upstream web { %s }" % "".join(
                f"server {host};" for host in hosts), STOCK)
            for method in METHODS:
                path = os.path.join(folder, f"{size}-{method}.shm")
                with pools(path, method, hosts):
                    # each request has a connection, and so a key, of its own
                    ours, request = costs(
                        f"upstream web {{ upstream_health_shm {path} "
                        "key=$connection; }", OURS)
                first.setdefault(method, ours)
                name = f"{method}_{size}"
                row(f"pool_pick_{name}", ours, stock, "instructions")
                row(f"pool_request_{name}", request, stock_request,
                    "instructions")
                if size != sizes[0]:
                    row(f"pool_pick_{name}_to_{sizes[0]}", ours,
                        first[method], "instructions")


if __name__ == "__main__":
    main()
