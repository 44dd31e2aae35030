# SPDX-License-Identifier: BSD-2-Clause
"""(c) No event is lost, none comes twice: what the ring held against what each
consumer heard, by each one's contract.
"""

import collections
import time

from actions import SHELF, SPARE
from checkerd import timestamp
from consumers import ErrorLog

# Between an event and its being told, at worst, where it was the last before
# an end of our making.
UNTOLD_S = 1.5
# From an event to nginx's line about it, whoever was held up.
LOGGED_S = 30


def overlaps(start, end, spans, slack=0.0):
    return any(a - slack <= end and b + slack >= start for a, b in spans)


class Delivery:
    def __init__(self, world):
        self.world = world
        self.findings = world.findings
        self.observer = world.observer
        self.faults = world.faults
        self.daemon = world.daemon

    def problems(self):
        """So far; what is on its way is missing yet."""
        world = self.world
        found = self.exact("SSE", world.stream.heard) + \
            self.exact("checkerctl", world.follower.heard) + \
            self.by_lives("exec", world.program.heard, False) + \
            self.by_lives("webhook", world.hook.heard, True)
        return found + self.lines(ErrorLog(world.server.log).heard)

    def check(self):
        if self.world.stream.lost:
            self.findings.add(f"(c) SSE: {self.world.stream.lost} events "
                              "lost")
        self.check_chains()

    def placed(self, name, heard):
        """[(stream's index, number, extra)], and what is wrong with them.  A
        number that does not follow is of the next stream, if there it is the
        same; else it came twice."""
        streams = self.observer.streams
        at, last, found, problems = 0, 0, [], []
        for extra, document in heard:
            number = document["seq"]
            later = list(range(at + 1, len(streams)))
            for index in [at] + later if number > last else later + [at]:
                truth = self.observer.events.get((streams[index], number))
                if truth and is_of(document, truth):
                    at, last = index, number
                    found.append((index, number, extra))
                    break
            else:
                problems.append(f"(c) {name}: {document} was no event")
        return found, problems

    def numbers(self, index):
        stream = self.observer.streams[index]
        return sorted(number for (of, number) in self.observer.events
                      if of == stream)

    def tail_of(self, index):
        """When a stream ended by our doing, nobody need have heard what came
        right before."""
        streams = self.observer.streams
        numbers = self.numbers(index)
        if index == len(streams) - 1 or not numbers:
            return set()
        seen = {number: self.observer.events[streams[index], number]["seen"]
                for number in numbers}
        end = seen[numbers[-1]]
        return {number for number, at in seen.items() if end - at <
                UNTOLD_S + self.world.stalls.within(at, end)}

    def exact(self, name, heard):
        found, problems = self.placed(name, list(heard))
        for index in range(len(self.observer.streams)):
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
        for index, stream in enumerate(self.observer.streams):
            told = [number for i, number, _ in found if i == index]
            once = [number for n, number in enumerate(told)
                    if n == 0 or number != told[n - 1] or not repeats]
            if once != sorted(set(once)):
                problems.append(f"(c) {name}: told twice or out of order: "
                                f"{unordered(once)}")
            missing = sorted(set(self.numbers(index)) - set(once))
            # a run of missing numbers has to end where a process did
            ends = {life.end[1] for life in self.daemon.lives
                    if life.end and life.end[0] == stream}
            for first, last in runs(missing):
                if last not in ends:
                    problems.append(f"(c) {name}: not told of {first} to "
                                    f"{last}, and nobody ended then: "
                                    f"{sorted(ends)}")
        return problems

    def lines(self, heard):
        """One line per event and instance of nginx; two run side by side
        while one replaces the other."""
        found, problems = self.placed("nginx", heard)
        events = self.observer.events
        counts = collections.Counter((index, number)
                                     for index, number, _ in found)
        for index, stream in enumerate(self.observer.streams):
            tail = self.tail_of(index)
            for number in self.numbers(index):
                seen = events[stream, number]["seen"]
                count = counts[index, number]
                held = self.world.stalls.within(seen - UNTOLD_S,
                                                seen + UNTOLD_S)
                most = 1 + sum(overlaps(seen, seen, [span], 2.5 + held)
                               for span in self.faults.upgrades)
                excused = number in tail or overlaps(
                    seen, seen, self.faults.worker_kills, UNTOLD_S + held)
                if count > most or count == 0 and not excused:
                    problems.append(f"(c) nginx: {count} lines of event "
                                    f"{number}, seen at "
                                    f"{seen - self.findings.start:.3f}")
        return problems

    def check_chains(self):
        """(c) Each transition of a host begins where the one before ended, of
        hosts that are always there."""
        last = {}
        for (stream, number), event in sorted(
                self.observer.events.items(),
                key=lambda item: (self.observer.streams.index(item[0][0]),
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
        for (pool, name), host in self.observer.hosts().items():
            state = last.get((self.observer.streams[-1], pool, name))
            now = host["admin"] if host["admin"] != "auto" else \
                {1: "up", 2: "down"}.get(host["verdict"])
            if state is not None and as_known(state) != now:
                self.findings.add(f"(c) {pool}/{name} is {now}, its last "
                                  f"event said {state}")


def is_of(document, event):
    """In an hour, two sequences may have an event of the same number that are
    alike but for their time.  Lines of nginx have its own time, and no more of
    that than seconds."""
    if "at" in document and abs(timestamp(document["at"]) * 1e6 -
                                event["at_us"]) > 2000:
        return False
    if "logged_s" in document and abs(
            document["logged_s"] - event["seen"] -
            (time.time() - time.monotonic())) > LOGGED_S:
        return False
    return all(event[key] == value for key, value in document.items()
               if key in event)


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
