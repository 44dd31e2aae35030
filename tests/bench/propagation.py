#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""From a backend's last failing answer to the last request that reaches it.

usage: propagation.py [--flips N] [--connections N]

Measured at the backend, end to end: from just before it writes the failing
answer that makes `fall` until the last request that arrives after it, by the
kernel's stamp. What nginx had picked before and what was on its way counts.
wrk keeps two workers busy through one upstream of four hosts, in overlay and
in pool mode, and for comparison HAProxy with two threads, which checks for
itself. Also how long after the answer that makes `rise` requests are back.
"""

import argparse
import contextlib
import os
import struct
import tempfile
import time

import rows
from checkerd import Checkerd
from health_segment import EVENT, KINDS
from nginx import Nginx, free_port, wait_for
from rows import row, spread

FALL, RISE, HOLD_MS = 3, 2, 100

INI = """
[defaults]
interval = 10ms
path = /healthz
fall = {fall}
rise = {rise}
[pool web]
"""

OVERLAY = """
upstream_health_shm {segment};
upstream web {{
{servers}
}}
"""

POOL = """
upstream web {{
    upstream_health_shm {segment};
}}
"""

HAPROXY = """
global
  nbthread 2
defaults
  mode http
  timeout connect 1s
  timeout check 1s
  timeout client 10s
  timeout server 10s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  balance roundrobin
  http-reuse never
  option httpchk GET /healthz
  default-server check inter 10ms fall {fall} rise {rise}
"""


@contextlib.contextmanager
def nginx(folder, hosts, http):
    ini = INI.format(fall=FALL, rise=RISE) + "".join(
        f"server = {host}\n" for host in hosts)
    with Checkerd(os.path.join(folder, "checkerd"), ini) as checkerd:
        text = http.format(
            segment=checkerd.segment,
            servers="\n".join(f"    server {host};" for host in hosts))
        with Nginx(os.path.join(folder, "nginx"), text) as server:
            wait_for(lambda: server.get().status == 200, "an answer")
            rows.ran("checkerd -c", checkerd.path, "&",
                     " ".join(server.command()))
            yield server.port, checkerd.segment


@contextlib.contextmanager
def haproxy(folder, hosts):
    port = free_port()
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w") as file:
        file.write(HAPROXY.format(port=port, fall=FALL, rise=RISE))
        for n, host in enumerate(hosts):
            file.write(f"  server s{n} {host}\n")
    command = ["haproxy", "-db", "-q", "-f", path]
    rows.ran(*command)
    with rows.quiet(command):
        rows.listening(port)
        yield port, None


def told(segment, since):
    """How long after each of these moments the next verdict was there."""
    with open(segment, "rb") as file:
        data = file.read()
    slots, = struct.unpack_from("I", data, 52)
    at, = struct.unpack_from("Q", data, 120)
    ahead = time.time_ns() // 1000 - rows.now_us()
    downs = [struct.unpack_from("8xQ12xH", data, at + n * EVENT)
             for n in range(slots)]
    downs = sorted(at - ahead for at, kind in downs
                   if kind == KINDS.index("host_down"))
    return [min(down for down in downs if down >= moment) - moment
            for moment in since]


def measure(name, witness, proxy, arguments):
    with proxy as (port, segment):
        with rows.Traffic(port, arguments.connections) as traffic:
            rows.ran(" ".join(traffic.args))
            witness.tell("first 1000")
            witness.answer()
            found = []
            for _ in range(arguments.flips):
                witness.tell(f"flip {FALL} {RISE} {HOLD_MS}")
                found.append(witness.answer())
            rate = traffic.end()
        since, last, late, back = zip(*found)
        spread(f"propagation_{name}", last)
        if segment:
            spread(f"propagation_{name}_told", told(segment, since))
        spread(f"propagation_{name}_back", back)
        row(f"propagation_{name}_late", sum(late) / len(late),
            unit="requests")
        row(f"propagation_{name}_load", rate, unit="requests/s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--flips", type=int, default=150)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    rows.prepare()
    rows.need("wrk", "haproxy", "nginx")
    port = free_port()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
            rows.Witness() as witness, rows.backend(port):
        os.chmod(folder, 0o755)
        hosts = [f"127.0.0.{n}:{port}" for n in (2, 3, 4)]
        hosts.insert(1, f"127.0.0.1:{witness.port}")
        for name, proxy in (
                ("overlay", nginx(f"{folder}/overlay", hosts, OVERLAY)),
                ("pool", nginx(f"{folder}/pool", hosts, POOL)),
                ("haproxy", haproxy(folder, hosts))):
            measure(name, witness, proxy, arguments)


if __name__ == "__main__":
    main()
