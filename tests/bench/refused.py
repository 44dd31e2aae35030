#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""From the death of a backend under live traffic to its being down.

usage: refused.py [--rounds N] [--connections N]

The backend's process is killed while wrk keeps two workers busy; its host has
`observe = connect` and is checked every 2 s, so that it is nginx that tells
checkerd of refused connections. Time counts from before the kill until the
transition in the segment. `rise = 1` and `down_interval = 50ms` only bring the
host back sooner for the next round, the moment of which within the 2 s is
random; with `fail_timeout=1s` nginx, which leaves it alone after one failure,
tries it again sooner.
"""

import argparse
import os
import random
import tempfile
import time

import rows
from checkerd import Checkerd, timestamp
from nginx import Nginx, free_port, wait_for
from rows import row, spread

INI = """
[defaults]
interval = 2s
observe = connect
rise = 1
down_interval = 50ms
[pool web]
"""

OVERLAY = """
upstream_health_shm {segment};
upstream web {{
{servers}
}}
"""


def one_death(checkerd, name, port):
    """Microseconds until it was down."""
    with rows.backend(port) as backend:
        checkerd.wait_state(name, "up")
        rows.requested(backend, 100)
        time.sleep(random.uniform(0, 0.3))
        began = time.time()
        backend.kill()
        down = checkerd.wait_state(name, "down")
    return (timestamp(down["changed_at"]) - began) * 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    rows.prepare()
    rows.need("wrk", "nginx")
    mortal, port = free_port(), free_port()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
            rows.backend(port):
        os.chmod(folder, 0o755)
        hosts = {"a": f"127.0.0.1:{mortal}"}
        hosts.update((f"h{n}", f"127.0.0.{n}:{port}") for n in (2, 3, 4))
        ini = INI + "".join(f"server = {host} id={name}\n"
                            for name, host in hosts.items())
        with Checkerd(os.path.join(folder, "checkerd"), ini) as checkerd:
            http = OVERLAY.format(segment=checkerd.segment, servers="\n".join(
                f"    server {host} fail_timeout=1s;" for host in hosts.values()))
            with Nginx(os.path.join(folder, "nginx"), http) as nginx:
                wait_for(lambda: nginx.get().status == 200, "an answer")
                rows.ran("checkerd -c", checkerd.path, "&",
                         " ".join(nginx.command()))
                with rows.Traffic(nginx.port,
                                  arguments.connections) as traffic:
                    rows.ran(" ".join(traffic.args))
                    took = [one_death(checkerd, "web/a", mortal)
                            for _ in range(arguments.rounds)]
                    rate = traffic.end()
    spread("refused", [us / 1000 for us in took], "ms")
    row("refused_load", rate, unit="requests/s")


if __name__ == "__main__":
    main()
