# SPDX-License-Identifier: BSD-2-Clause
"""What must hold throughout, and in the end.

A bound is what the design promises, and as much longer as the machine was
held up meanwhile: see stalls.py.
"""

import collections
import os
import re
import threading
import time

from actions import ANCHORS, SHELF
from delivery import Delivery, overlaps
from farm import is_well

# From the word in the segment to the last request that a worker sends on: it
# looks when it picks, so that this is for our own looking and the way there.
PROPAGATION_S = 0.5
# A new file under the name, unannounced because the one who made it was
# killed in between or because we put it there: readers look once a second.
REMAP_S = 3.0
# From an event to our seeing it.
SEEN_S = 0.1
# A stalled machine may time out what is well, and for a while after.
STALL_EXCUSES_S = 0.5
STALL_LINGERS_S = 3.0
# After the last fault, to the truth of all hosts.
CONVERGENCE_S = 30.0
# To all that are told of events, over the posts' pauses after failures.
DELIVERY_S = 90.0


GROWTH_KB = 8192
DAEMON_KB = 65536
FILES_SPREAD = 40


ENOUGH = 30  # findings: the rest is of the same kind, or of their making


class Findings:
    def __init__(self, diary):
        self.diary = diary
        self.found = []
        self.lock = threading.Lock()

    @property
    def start(self):
        return self.diary.start

    def enough(self):
        return len(self.found) >= ENOUGH

    def add(self, text):
        with self.lock:
            if self.enough():
                return
            self.found.append(text)
            self.diary.finding(text)


class Invariants:
    def __init__(self, world):
        self.world = world
        self.findings = world.findings
        self.delivery = Delivery(world)
        self.arrivals = self.requests = 0
        self.modes = {}
        self.statuses = collections.Counter()
        self.memory = {"checkerd": [], "nginx": []}
        self.files = []
        self.excused = 0
        self.late_arrivals = []
        self.zombies = {}

    # --- while it runs

    def look(self):
        """Called about once a second."""
        now = time.monotonic()
        for what, *record in self.world.farm.tail():
            if what == "stall":
                self.world.stalls.note(*record)
            elif what == "mode":
                self.modes[record[1]] = record[2]
            elif what == "arrival":
                self.late_arrivals.append(record)
        # not before the observer has been there, and stalls are known
        while self.late_arrivals and self.late_arrivals[0][0] < now - 2:
            self.arrival(*self.late_arrivals.pop(0))
        for what, *record in self.world.load.tail():
            if what == "stall":
                self.world.stalls.note(*record)
            else:
                self.request(*record)
        self.sample()

    def arrival(self, when, upstream, backend, request):
        """(a) No request to a host that is down."""
        self.arrivals += 1
        world = self.world
        spell = world.observer.spell_at(upstream,
                                        world.daemon.address(backend), when)
        if spell is None:
            return
        late = when - spell.start
        bound = PROPAGATION_S + world.stalls.within(spell.start, when)
        if late > PROPAGATION_S and any(
                a - 0.1 <= when and spell.start <= a + REMAP_S
                for a in self.world.faults.restarts):
            bound += REMAP_S
        if late > bound and not world.observer.was_up(
                upstream, world.daemon.address(backend), when - bound,
                when + SEEN_S + world.stalls.within(when, when + SEEN_S)):
            self.findings.add(
                f"(a) request {request} reached backend {backend} of "
                f"{upstream} {late:.3f} s after it was out, bound "
                f"{bound:.3f} s, at {when - self.findings.start:.3f}")

    def request(self, number, upstream, start, end, status, chain, statuses):
        """(b) No failed request: an anchor could have served it."""
        self.requests += 1
        self.statuses[status] += 1
        if status == 200:
            return
        world = self.world
        ours = overlaps(start, end, world.faults.worker_kills, 0.1) and \
            status <= 0
        cut = status == -200 and not self.by_anchor(chain)
        if ours or cut or \
                world.stalls.within(start - STALL_LINGERS_S,
                                    end) > STALL_EXCUSES_S:
            self.excused += 1
            return
        self.findings.add(
            f"(b) request {number} to {upstream} from "
            f"{start - self.findings.start:.3f} to "
            f"{end - self.findings.start:.3f} got {status}: tried "
            f"{chain or 'nobody'}: {statuses}")

    def by_anchor(self, chain):
        last = chain.split(", ")[-1]
        return last in {self.world.daemon.address(n) for n in ANCHORS}

    def sample(self):
        """(e) Memory, descriptors, processes."""
        world = self.world
        try:
            world.stalls.watch([world.daemon.process.pid,
                                world.follower.process.pid,
                                *world.server.children()])
            if world.daemon.ready.is_set() and \
                    time.monotonic() - world.daemon.lives[-1].start > 5:
                self.memory["checkerd"].append(world.daemon.memory_kb())
                self.files.append(world.daemon.files())
                self.count_zombies(world.daemon.process.pid)
            for pid in world.server.worker_pids():
                with open(f"/proc/{pid}/status") as file:
                    self.memory["nginx"].append(int(re.search(
                        r"VmRSS:\s+(\d+)", file.read()).group(1)))
        except (OSError, AttributeError):
            pass  # who was looked at has just ended

    def count_zombies(self, pid):
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = file.read().split()
        dead = {}
        for child in children:
            with open(f"/proc/{child}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    dead[child] = self.zombies.get(child, 0) + 1
                    if dead[child] == 10:
                        self.findings.add(f"(e) a child of checkerd, {child}, "
                                          "is not waited for")
        self.zombies = dead

    # --- in the end

    def judge(self):
        self.look()
        self.check_convergence()
        self.world.observer.look()
        self.wait("all told", DELIVERY_S, self.delivery.problems)
        self.delivery.check()
        self.check_leftovers()
        self.check_growth()

    def wait(self, what, bound, problems):
        """Until there are no problems any more."""
        start = time.monotonic()
        while True:
            found = problems()
            now = time.monotonic()
            if not found:
                self.findings.diary.say(f"{what} after {now - start:.1f} s")
                return
            held = min(bound, self.world.stalls.within(start, now))
            if now - start > bound + held:
                for problem in found[:20]:
                    self.findings.add(f"{problem}, {now - start:.0f} s after "
                                      "the last fault")
                return
            time.sleep(0.2)
            self.look()

    def check_convergence(self):
        """(f) What is held true becomes true, and (d) in force is what was
        acknowledged."""
        world = self.world
        world.hand.look()
        start = time.monotonic()

        def problems():
            found = []
            for (pool, name), host in world.observer.hosts().items():
                well = self.truth(pool, int(name[1:]))
                if host["verdict"] != (1 if well else 2):
                    found.append(f"(f) {pool}/{name} has verdict "
                                 f"{host['verdict']}, but is "
                                 f"{'well' if well else 'ill'}: "
                                 f"{self.modes.get(int(name[1:]), 'ok')}")
                for what in ("admin", "weight"):
                    may = world.model.values((pool, name, what))
                    if host[what] not in may:
                        found.append(f"(d) {pool}/{name} has {what} "
                                     f"{host[what]}, not one of {may}")
            beat = time.monotonic() - world.observer.beat[1]
            if beat > 1:
                found.append(f"(f) the heart has been still for {beat:.1f} s")
            return found

        self.wait("the truth", CONVERGENCE_S, problems)
        world.hand.look()
        status, body = world.hand.ask("GET", "/v1/changes")
        if status != 200:
            self.findings.add(f"(d) changes cannot be had: {status}")
            return
        for row in body["changes"]:
            if row.get("until") and self.is_overdue(row["until"]):
                self.findings.add(f"(d) a lease outlives its end: {row}")

    @staticmethod
    def is_overdue(until):
        from checkerd import timestamp
        return timestamp(until) < time.time() - 5

    def truth(self, pool, number):
        mode = self.modes.get(number, "ok")
        if pool == SHELF and self.world.faults.ini["check"] == "tcp":
            return mode != "refuse"
        return is_well(mode)

    def check_leftovers(self):
        """(e) Nothing is left behind."""
        world = self.world
        known = {world.daemon.run_folder: r"health\.shm(\.lock)?|\w+\.sock",
                 world.daemon.state_dir: r"changes\.json(\.refused-\d+)?"}
        for folder, names in known.items():
            for name in os.listdir(folder):
                if not re.fullmatch(names, name):
                    self.findings.add(f"(e) {folder}/{name} was left")

    def check_growth(self):
        sizes = self.memory["checkerd"]
        if not world_is_sanitized() and sizes and max(sizes) > DAEMON_KB:
            self.findings.add(f"(e) checkerd used {max(sizes)} kB")
        for name, sizes in self.memory.items():
            third = len(sizes) // 3
            if third > 10 and not world_is_sanitized() and \
                    max(sizes[-third:]) > \
                    max(sizes[third:2 * third]) * 1.1 + GROWTH_KB:
                self.findings.add(f"(e) the memory of {name} grows: kB "
                                  f"{sizes[::third // 5 or 1]}")
        third = len(self.files) // 3
        if third > 10 and max(self.files[-third:]) > \
                max(self.files[:third]) + FILES_SPREAD:
            self.findings.add("(e) checkerd's open files grow: "
                              f"{self.files[::third // 5 or 1]}")


def world_is_sanitized():
    return bool(os.environ.get("CHECKERD_PRELOAD", "").strip())
