#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the overlay adds to a request when nothing has changed.

Runs nginx under callgrind, without a master process, and counts instructions
between entry and exit of the functions that initialise, get and free a peer:
round robin's own, and ours around them.  Whole runs were not compared: how
often the event loop wakes up differs by more than what is to be measured.

For each number of servers and whatever hosts want to be told of live traffic,
and what is added to stock's.

usage: nginx_overhead.py [SERVERS ...]
"""

import itertools
import os
import re
import sys
import tempfile

import rows
from backends import Backends
from nginx import Nginx
from rows import row
from segment import Segment

REQUESTS = 200
STOCK = [f"ngx_http_upstream_{name}_round_robin_peer"
         for name in ("init", "get", "free")]
MODES = ["off", "connect", "status 5xx"]
OURS = [f"ngx_http_upstream_health_shm_{name}_peer"
        for name in ("init", "get", "free")]


class CountedNginx(Nginx):
    """Under callgrind; `instructions` is set when it has been stopped."""

    functions = ()
    patience_s = 120

    def __enter__(self):
        try:
            return super().__enter__()
        except BaseException:
            self.process.kill()
            raise

    def command(self, *arguments):
        return ["valgrind", "--tool=callgrind", "--collect-atstart=no",
                *(f"--toggle-collect={name}" for name in self.functions),
                f"--callgrind-out-file={self.folder}/callgrind.out",
                *super().command(*arguments)]

    def stop(self):
        super().stop()
        with open(os.path.join(self.folder, "callgrind.out")) as file:
            self.instructions = int(re.search(r"^(?:summary|totals): (\d+)",
                                              file.read(), re.M).group(1))


def per_request(http, functions):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        nginx = CountedNginx(folder, http, master=False, listen="")
        nginx.functions = functions
        with nginx:
            rows.ran(" ".join(nginx.command()))
            for _ in range(REQUESTS):
                assert nginx.get().status == 200
        return nginx.instructions / REQUESTS


def main():
    sizes = [int(size) for size in sys.argv[1:]] or [1, 10, 100, 1000]
    rows.prepare()
    rows.need("valgrind", "nginx")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
            Backends(1) as backends:
        os.chmod(folder, 0o755)
        for size, observe in itertools.product(sizes, MODES):
            servers = f"server {backends[0].address};" * size
            path = os.path.join(folder, f"{size}.shm")
            with Segment(path) as segment:
                segment.observe(*observe.split())
                segment.pools({"primary": backends})
                ours = per_request(f"upstream web {{ {servers} "
                                   f"upstream_health_shm {path}; }}", OURS)
            stock = per_request(f"upstream web {{ {servers} }}", STOCK)
            name = f"{size}_{observe.split()[0]}"
            row(f"overlay_pick_{name}", ours, stock, "instructions")
            row(f"overlay_added_{name}", ours - stock, unit="instructions")


if __name__ == "__main__":
    main()
