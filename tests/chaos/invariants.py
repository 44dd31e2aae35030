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

from actions import ANCHORS, SHELF, SPARE
from consumers import ErrorLog
from farm import is_well

# From the word in the segment to the last request that a worker sends on: it
# looks when it picks, so that this is for our own looking and the way there.
PROPAGATION_S = 0.5
# A new file under the name, unannounced because the one who made it was
# killed in between or because we put it there: readers look once a second.
REMAP_S = 3.0
# A stalled machine may time out what is well, and for a while after.
STALL_EXCUSES_S = 0.5
STALL_LINGERS_S = 3.0
# After the last fault, to the truth of all hosts.
CONVERGENCE_S = 30.0
# To all that are told of events, over the posts' pauses after failures.
DELIVERY_S = 90.0
# Between the event and the line, at worst, of who was killed then.
UNTOLD_S = 1.5

GROWTH_KB = 8192
DAEMON_KB = 65536
FILES_SPREAD = 40


ENOUGH = 30  # findings: the rest is of the same kind, or of their making


class Findings:
    def __init__(self):
        self.start = time.monotonic()
        self.found = []
        self.lock = threading.Lock()

    def enough(self):
        return len(self.found) >= ENOUGH

    def add(self, text):
        with self.lock:
            if self.enough():
                return
            self.found.append(text)
            print(f"{time.monotonic() - self.start:9.3f} FINDING {text}",
                  flush=True)


def overlaps(start, end, spans, slack=0.0):
    return any(a - slack <= end and b + slack >= start for a, b in spans)


class Invariants:
    def __init__(self, world):
        self.world = world
        self.findings = world.findings
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
        if late > bound:
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
        self.check_delivery()
        self.check_chains()
        self.check_leftovers()
        self.check_growth()

    def wait(self, what, bound, problems):
        """Until there are no problems any more."""
        start = time.monotonic()
        while True:
            found = problems()
            now = time.monotonic()
            if not found:
                print(f"{what} after {now - start:.1f} s", flush=True)
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

    def check_delivery(self):
        """(c) Each event once to each."""
        world = self.world
        world.observer.look()

        def problems():
            found = []
            for name, heard in (("SSE", world.stream.heard),
                                ("checkerctl", world.follower.heard)):
                found += self.exact(name, heard)
            for name, heard, repeats in (
                    ("exec", world.program.heard, False),
                    ("webhook", world.hook.heard, True)):
                found += self.by_lives(name, heard, repeats)
            return found + self.lines(ErrorLog(world.server.log).heard)

        self.wait("all told", DELIVERY_S, problems)
        if world.stream.lost:
            self.findings.add(f"(c) SSE: {world.stream.lost} events lost")

    def placed(self, name, heard):
        """[(stream's index, number, extra)], and what is wrong with them."""
        streams = self.world.observer.streams
        events = self.world.observer.events
        at, found, problems = 0, [], []
        for extra, document in heard:
            for index in range(at, len(streams)):
                truth = events.get((streams[index], document["seq"]))
                if truth and all(truth[key] == value for key, value in
                                 document.items() if key in truth):
                    at = index
                    found.append((index, document["seq"], extra))
                    break
            else:
                problems.append(f"(c) {name}: {document} was no event")
        return found, problems

    def numbers(self, index):
        stream = self.world.observer.streams[index]
        return sorted(number for (of, number) in self.world.observer.events
                      if of == stream)

    def tail_of(self, index):
        """When a stream ended by our doing, nobody need have heard what came
        right before."""
        streams = self.world.observer.streams
        if index == len(streams) - 1:
            return set()
        numbers = self.numbers(index)
        events = self.world.observer.events
        return {number for number in numbers
                if events[streams[index], number]["seen"] >
                events[streams[index], numbers[-1]]["seen"] - UNTOLD_S}

    def exact(self, name, heard):
        found, problems = self.placed(name, list(heard))
        for index in range(len(self.world.observer.streams)):
            told = [number for i, number, _ in found if i == index]
            due = self.numbers(index)
            if told != sorted(set(told)):
                problems.append(f"(c) {name}: told twice or out of order: "
                                f"{unordered(told)}")
            missing = set(due) - set(told) - self.tail_of(index)
            if missing:
                problems.append(f"(c) {name}: not told of "
                                f"{sorted(missing)[:10]} of {len(due)}")
        return problems

    def by_lives(self, name, heard, repeats):
        """Told from the start of a process to its end: what it still had to
        tell when it was killed may be missing, and nothing else."""
        found, problems = self.placed(name, list(heard))
        world = self.world
        for index, stream in enumerate(world.observer.streams):
            told = [number for i, number, _ in found if i == index]
            once = [number for n, number in enumerate(told)
                    if n == 0 or number != told[n - 1] or not repeats]
            if once != sorted(set(once)):
                problems.append(f"(c) {name}: told twice or out of order: "
                                f"{unordered(once)}")
            missing = sorted(set(self.numbers(index)) - set(once))
            told = set(once)
            # a run of missing numbers has to end where a process did
            ends = {life.end[1] for life in world.daemon.lives
                    if life.end and life.end[0] == stream}
            for first, last in runs(missing):
                if last not in ends:
                    problems.append(f"(c) {name}: not told of {first} to "
                                    f"{last}, and nobody ended then: "
                                    f"{sorted(ends)}")
        return problems

    def lines(self, heard):
        """One line per event and instance of nginx; two run side by side
        while one replaces the other, and the new one tells what comes after
        its workers' first look."""
        found, problems = self.placed("nginx", heard)
        world = self.world
        events = world.observer.events
        counts = collections.Counter((index, number)
                                     for index, number, _ in found)
        for index, stream in enumerate(world.observer.streams):
            tail = self.tail_of(index)
            for number in self.numbers(index):
                seen = events[stream, number]["seen"]
                count = counts[index, number]
                most = 1 + sum(overlaps(seen, seen, [span], 2.5) for span in
                               world.faults.upgrades)
                excused = number in tail or overlaps(
                    seen, seen, world.faults.worker_kills +
                    world.faults.upgrades, UNTOLD_S)
                if count > most or count == 0 and not excused:
                    problems.append(f"(c) nginx: {count} lines of event "
                                    f"{number}, seen at "
                                    f"{seen - self.findings.start:.3f}")
        return problems

    def check_chains(self):
        """(c) Each transition of a host begins where the one before ended, of
        hosts that are always there."""
        world = self.world
        last = {}
        for (stream, number), event in sorted(
                world.observer.events.items(),
                key=lambda item: (world.observer.streams.index(item[0][0]),
                                  item[0][1])):
            if not event["event"].startswith("host_") or \
                    event["pool"] == SHELF or int(event["host"][1:]) in SPARE:
                continue
            name = stream, event["pool"], event["host"]
            before = last.get(name)
            if before is not None and as_known(before) != \
                    as_known(event["from"]):
                self.findings.add(f"(c) {event} does not follow {before}")
            if event["from"] == event["to"]:
                self.findings.add(f"(c) {event} is no transition")
            last[name] = event["to"]
        for (pool, name), host in world.observer.hosts().items():
            state = last.get((world.observer.streams[-1], pool, name))
            now = host["admin"] if host["admin"] != "auto" else \
                {1: "up", 2: "down"}.get(host["verdict"])
            if state is not None and as_known(state) != now:
                self.findings.add(f"(c) {pool}/{name} is {now}, its last "
                                  f"event said {state}")

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


def as_known(state):
    """Who takes traffic before a check is up without an event after it."""
    return "up" if state == "unknown" else state


def unordered(numbers):
    return [(a, b) for a, b in zip(numbers, numbers[1:]) if b <= a][:10]


def runs(numbers):
    """[(first, last)] of numbers that follow each other."""
    found = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
