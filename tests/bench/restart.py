#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How soon a restarted daemon probes again, and whether it knows what it knew.

usage: restart.py [--hosts N] [--rounds N]

All hosts are due once a second. The daemon is stopped as `systemctl stop`
does, and killed with SIGKILL, in turn; time counts from the exec of the next
one to the first probe that reaches a backend, to READY=1, and to the probe
with which as many have arrived as there are hosts that listen. The clock of
the first two is the kernel's. Ten hosts refuse connections: they must be down
after as before, with as many events as before. HAProxy, for comparison, is
started with the same hosts.
"""

import argparse
import os
import socket
import statistics
import tempfile
import time

import rows
from checkerd import CHECKERD, Checkerd
from nginx import free_port, wait_for
from rows import row

SICK = 10

INI = """
[defaults]
interval = 1s
[pool web]
"""


class Restarted:
    """checkerd, started as systemd would: told where to say that it is
    ready."""

    def __init__(self, folder, ini):
        self.checkerd = Checkerd(folder, ini)
        self.command = [CHECKERD, "-c", self.checkerd.path]
        self.path = os.path.join(folder, "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(30)
        self.process = None

    def start(self):
        """When it was executed, and when it was ready."""
        began = rows.now_us()
        self.process = rows.quiet(
            self.command, env={**os.environ, "NOTIFY_SOCKET": self.path})
        while b"READY=1" not in self.socket.recv(65536):
            pass
        return began, rows.now_us()

    def end(self, how):
        """How long that took, in milliseconds."""
        began = rows.now_us()
        how(self.process)
        self.process.wait()
        took = rows.now_us() - began
        self.drain()
        return took / 1000

    def drain(self):
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            self.socket.settimeout(30)

    def states(self):
        """What must outlive a restart, and the number of events."""
        hosts = {host["id"]: (host["state"], host["changed_at"])
                 for pool in self.checkerd.status()["pools"]
                 for host in pool["hosts"]}
        return hosts, len(self.checkerd.events())

    def settle(self):
        """Every host has its state; the sick are down."""
        wait_for(lambda: sum(state == "down" for state, _ in
                             self.states()[0].values()) == SICK,
                 f"{SICK} hosts to be down", 60)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.socket.close()


def probes_after(witness, start, hosts):
    """Milliseconds from the exec to the first probe and to that of the last
    host, and whatever `start` says was between."""
    time.sleep(0.1)  # what is on its way from the one before has arrived
    witness.tell(f"first {hosts}")
    began, *others = start()
    first, last = witness.answer(60)
    return [(when - began) / 1000 for when in (first, last, *others)]


def restart(witness, daemon, hosts, how):
    time.sleep(1)
    before, events = daemon.states()
    took = daemon.end(how)
    figures = probes_after(witness, daemon.start, hosts)
    time.sleep(0.5)
    after, more = daemon.states()
    lost = sum(after.get(name) != state for name, state in before.items())
    return [*figures, took, lost + abs(more - events)]


def start_haproxy(witness, command, hosts):
    process = None

    def start():
        nonlocal process
        began = rows.now_us()
        process = rows.quiet(command)
        return [began]

    try:
        return probes_after(witness, start, hosts)
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows.prepare()
    rows.need("haproxy")
    alive = arguments.hosts - SICK
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
            rows.Witness() as witness:
        closed = free_port()
        hosts = [f"{rows.host_address(n)}:"
                 f"{witness.port if n < alive else closed}"
                 for n in range(arguments.hosts)]
        peer = rows.haproxy_checks(os.path.join(folder, "haproxy.cfg"), 1000,
                                   hosts)
        ini = INI + "".join(f"server = {host}\n" for host in hosts)
        with Restarted(folder, ini) as daemon:
            rows.ran(*daemon.command)
            rows.ran(*peer)
            daemon.settle()
            found = rows.in_turn(
                arguments.rounds,
                lambda: restart(witness, daemon, alive,
                                lambda process: process.terminate()),
                lambda: restart(witness, daemon, alive,
                                lambda process: process.kill()))
            daemon.end(lambda process: process.terminate())
        theirs = [start_haproxy(witness, peer, alive)
                  for _ in range(arguments.rounds)]

    first, last = (statistics.median(column) for column in zip(*theirs))
    for name, measured in zip(("stopped", "killed"), found):
        columns = list(zip(*measured))
        median = [statistics.median(column) for column in columns]
        row(f"restart_{name}_first_probe", median[0], first, "ms")
        row(f"restart_{name}_all_probed", median[1], last, "ms")
        row(f"restart_{name}_ready", median[2], unit="ms")
        row(f"restart_{name}_first_probe_max", max(columns[0]), unit="ms")
        row(f"restart_{name}_states_lost", sum(columns[4]), unit="hosts")
        if name == "stopped":
            row("restart_stop", median[3], unit="ms")


if __name__ == "__main__":
    main()
