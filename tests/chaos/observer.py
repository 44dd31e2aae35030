# SPDX-License-Identifier: BSD-2-Clause
"""Watches the segment, as any reader may: who takes traffic since when, and
what events there were.  The layout is the one of tests/e2e/health_segment.py,
a second writing-down of it.
"""

import mmap
import os
import struct
import threading
import time

from health_segment import (AGENTS, EVENT, EVENT_HEAD, GENERATION, HEADER,
                            HEARTBEAT, KINDS, MAGIC, OUTCOMES, STATES)

LOOK_S = 0.01
BLIND_S = 0.15  # after such a gap nothing is known of what was in it

PARTS = struct.Struct("=QIIQQQIIIIQQQQQQQQQ")
POOL = struct.Struct("=IIIIHBB")
HOST = struct.Struct("=III")
WORD = struct.Struct("=Q")
DETAIL_SIZE, WEIGHT_AT = 832, 80
EVENT_PARTS = struct.Struct("=QQQIHHBBHI24s128s128s128s128s264s56s")

ADMINS = ("auto", "down", "drain", "?")


class Mapping:
    """One file.  Raises ValueError where it is no segment."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.stat = os.fstat(file.fileno())
            if self.stat.st_size < HEADER:
                raise ValueError("too small")
            self.data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        (magic, _, _, size, self.stream, self.created_us, pools, hosts, _,
         self.ring, pools_at, hosts_at, strings_at, _, _, self.words_at, _,
         self.details_at, self.events_at) = PARTS.unpack_from(self.data)
        if magic != MAGIC or size != self.stat.st_size:
            raise ValueError("no segment")
        self.hosts = []  # (pool, id, upstream, address)
        names = []
        for n in range(pools):
            name, upstream = POOL.unpack_from(self.data, pools_at + 64 * n)[:2]
            names.append((self.text(strings_at + name),
                          self.text(strings_at + upstream)))
        for n in range(hosts):
            pool, host, address = HOST.unpack_from(self.data,
                                                   hosts_at + 128 * n)
            self.hosts.append((names[pool][0], self.text(strings_at + host),
                               names[pool][1],
                               self.text(strings_at + address)))
        self.pools = [name for name, _ in names]

    def text(self, at):
        return self.data[at:self.data.find(b"\0", at)].decode()

    def number(self, at):
        return WORD.unpack_from(self.data, at)[0]

    def words(self):
        return [self.number(self.words_at + 64 * n)
                for n in range(len(self.hosts))]

    def head(self):
        return self.number(EVENT_HEAD)

    def weight(self, host):
        return struct.unpack_from(
            "=H", self.data, self.details_at + DETAIL_SIZE * host +
            WEIGHT_AT)[0]

    def event(self, number):
        """The document's members that the ring holds, or None."""
        at = self.events_at + EVENT * (number % self.ring)
        raw = self.data[at:at + EVENT]
        parts = EVENT_PARTS.unpack(raw)
        if parts[0] != 2 * number or self.number(at) != 2 * number:
            return None
        (_, at_us, _, _, kind, outcome, source, target, status, failcount, _,
         pool, host, upstream, address, _, _) = parts
        text = [field.split(b"\0", 1)[0].decode() or None
                for field in (pool, host, upstream, address)]
        of_host = KINDS[kind].startswith("host_")
        return {"seq": number, "at_us": at_us, "event": KINDS[kind],
                "pool": text[0], "host": text[1], "upstream": text[2],
                "address": text[3],
                "from": STATES[source] if of_host else None,
                "to": STATES[target] if of_host else None,
                "outcome": OUTCOMES[outcome] if of_host else None,
                "failcount": failcount if of_host else None,
                "http_status": status or None}


class Spell:
    """How long nobody but fools sent requests to an address."""

    def __init__(self, start):
        self.start = self.seen = start


class Observer:
    def __init__(self, path, findings):
        self.path = path
        self.findings = findings
        self.mapping = None
        self.events = {}   # (stream, number) -> document
        self.streams = []  # in the order of their appearance
        self.open = {}     # (upstream, address) -> Spell
        self.spells = {}   # (upstream, address) -> [Spell], all there were
        self.looked = None
        self.beat = (None, 0.0)
        self.remapped = 0.0
        self.lock = threading.Lock()
        self.gone = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.gone.wait(LOOK_S):
            self.look()

    def look(self):
        with self.lock:
            self.remap()
            if self.mapping is None:
                self.open.clear()
                return
            self.take_events()
            self.take_words()

    def remap(self):
        try:
            stat = os.stat(self.path)
            if self.mapping and stat.st_ino == self.mapping.stat.st_ino and \
                    stat.st_size == self.mapping.stat.st_size:
                return
            mapping = Mapping(self.path)
        except (OSError, ValueError, UnicodeDecodeError, IndexError):
            return
        if self.mapping:
            self.take_events()  # the last of the one before
        if mapping.stream not in self.streams:
            self.streams.append(mapping.stream)
        self.mapping = mapping
        self.remapped = time.monotonic()

    def take_events(self):
        mapping = self.mapping
        head, stream = mapping.head(), mapping.stream
        number = head
        while number > 0 and (stream, number) not in self.events and \
                head - number < mapping.ring - 1:
            event = mapping.event(number)
            if event is None:
                self.findings.add(f"event {number} is not in the ring, whose "
                                  f"head is {head}")
                break
            event["seen"] = time.monotonic()
            self.events[stream, number] = event
            number -= 1

    def take_words(self):
        """A spell begins when no host of that address and upstream takes
        traffic, and ends when one does."""
        before = time.monotonic()
        generation = self.mapping.number(GENERATION)
        words = self.mapping.words()
        now = time.monotonic()
        blind = self.looked is None or now - self.looked > BLIND_S
        self.looked = now
        routable = {}
        for (_, _, upstream, address), word in zip(self.mapping.hosts, words):
            key = upstream, address
            routable[key] = routable.get(key, False) or bool(word >> 4 & 1)
        for key, takes in routable.items():
            if takes:
                self.open.pop(key, None)
            elif key not in self.open or blind:
                spell = self.open[key] = Spell(now)
                self.spells.setdefault(key, []).append(spell)
            else:
                self.open[key].seen = before
        for key in set(self.open) - set(routable):
            del self.open[key]
        beat = self.mapping.number(HEARTBEAT)
        if beat != self.beat[0]:
            self.beat = (beat, now)

    def spell_at(self, upstream, address, when):
        with self.lock:
            for spell in reversed(self.spells.get((upstream, address), ())):
                if spell.start <= when:
                    return spell if when <= spell.seen else None
        return None

    def was_up(self, upstream, address, since, until):
        """For a moment that came between two looks at the words."""
        return any(since <= event["seen"] <= until and
                   event["upstream"] == upstream and
                   event["address"] == address and
                   event["to"] in ("up", "unknown")
                   for event in list(self.events.values()))

    def place(self):
        """(stream, number of the last event), of a file that nobody writes;
        None: it is no segment, and the next begins anew."""
        self.look()
        try:
            mapping = Mapping(self.path)
        except (OSError, ValueError):
            return None
        return mapping.stream, mapping.head()

    def hosts(self):
        """{(pool, id): state of it}"""
        with self.lock:
            mapping = self.mapping
            return {(pool, host): {
                "address": address, "verdict": word & 3,
                "admin": ADMINS[word >> 2 & 3], "routable": word >> 4 & 1,
                "agent": AGENTS[word >> 6 & 3], "weight": mapping.weight(n)}
                for n, ((pool, host, _, address), word) in
                enumerate(zip(mapping.hosts, mapping.words()))}

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gone.set()
        self.thread.join()
