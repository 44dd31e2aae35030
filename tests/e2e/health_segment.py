# SPDX-License-Identifier: BSD-2-Clause
"""A health segment built by hand, for tests of programs that read one.

The layout is written down a second time here, on purpose: a reader and a
writer that share include/health_shm.h would agree on any mistake in it.
"""
import os
import struct
import time

MAGIC = 0x636865636B736870
OUTCOMES = ("NONE L4CON L4TOUT L6TLS L6CERT L7TOUT L7STS L7HDR L7BODY L7RSP "
            "L7OK L4OK L6OK INCONCL ADMIN PASSIVE AGENT").split()
AGENTS = ("none", "down", "drain", "maint")
UNKNOWN, UP, DOWN = 0, 1, 2
AUTO, ADMIN_DOWN, ADMIN_DRAIN = 0, 1, 2
STATES = ("unknown", "checking", "up", "down", "drain")
KINDS = (None, "host_up", "host_down", "host_drain", "cert_expiring",
         "panic_on", "panic_off")
HEADER, EVENT = 4096, 896
GENERATION, HEARTBEAT, EVENT_HEAD, WRITER = 192, 256, 320, 384
STARTED_US = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z


def word(verdict, admin=AUTO, routable=None, checking=False, weight=256,
         failcount=0, outcome="NONE", agent="none"):
    if routable is None:
        routable = (admin == AUTO and verdict != DOWN and not checking and
                    agent == "none")
    return (verdict | admin << 2 | routable << 4 | checking << 5 |
            AGENTS.index(agent) << 6 | weight << 8 | failcount << 32 |
            OUTCOMES.index(outcome) << 48)


def record(at, outcome, status=0, dns=0, connect=0, tls=0, first=0, total=0):
    return struct.pack("=QHHIIIII", at, OUTCOMES.index(outcome), status, dns,
                       connect, tls, first, total)


def detail(checked=0, changed=0, probes=0, failures=0, inconclusive=0,
           cert=0, until=0, passcount=0, interval_ms=2000, timeout_ms=3000,
           weight=1, rise=2, fall=3, shared=1, flags=0, history=(),
           check=b"http", message=b"", reason=b"", lock=2, agent_at=0,
           agent_silent=0, agent_outcome="NONE", agent_percent=100,
           agent_order="none", agent_down=False, agent_said=b""):
    """`history` is oldest first, as it was recorded."""
    ring = [bytes(32)] * 8
    for number, line in enumerate(history):
        ring[number % 8] = line
    return struct.pack("=QQQQQQQQIIIIHHHHHHI256sQ8s128s264sQQHBBBB2x48s",
                       lock, checked, changed, probes, failures, inconclusive,
                       cert, until, passcount, interval_ms, timeout_ms, 0,
                       weight, rise, fall, shared, flags, len(reason), len(history),
                       b"".join(ring), 0, check, message, reason, 0, agent_at,
                       agent_silent, OUTCOMES.index(agent_outcome),
                       agent_percent, AGENTS.index(agent_order), agent_down,
                       agent_said)


def event(number, kind, pool=b"", host=b"", upstream=b"", address=b"",
          source="up", target="down", outcome="NONE", status=0, failcount=0,
          reason=b"", at=0):
    return struct.pack("=QQQIHHBBHI24s128s128s128s128s264s56s", number * 2,
                       at, 0, 0, KINDS.index(kind), OUTCOMES.index(outcome),
                       STATES.index(source), STATES.index(target), status,
                       failcount, b"", pool, host, upstream, address, reason,
                       b"")


def lines(records):
    """Records of a cache line each."""
    return b"".join(record.ljust(64, b"\0") for record in records)


class Segment:
    """pools: [(name, upstream, [(id, address, word, detail)])], in bytes."""

    def __init__(self, pools, event_capacity=16, stream=1, generation=57,
                 beat_age_s=0.04, pid=812, panic=()):
        strings = bytearray(b"\0")

        def text(value):
            strings.extend(value + b"\0")
            return len(strings) - len(value) - 1

        pool_records, pool_words = [], []
        hosts, words, details = [], [], []
        for index, (name, upstream, members) in enumerate(pools):
            pool_records.append(struct.pack(
                "=IIIIHBB", text(name), text(upstream), len(hosts),
                len(members), index, 0, 0))
            up = 0
            for host_id, address, state, info in members:
                hosts.append(struct.pack(
                    "=IIIHBB16s96x", index, text(host_id), text(address),
                    8080, 4, 0, b""))
                words.append(struct.pack("=Q", state))
                details.append(info)
                up += state & 15 == UP
            pool_words.append(struct.pack(
                "=Q", up << 24 | up | (name in panic) << 63))

        self.at = {}
        self.event_capacity = event_capacity
        self.data = bytearray(HEADER)
        for part, data in (("pools", lines(pool_records)),
                           ("hosts", b"".join(hosts)),
                           ("strings", strings),
                           ("pool_words", lines(pool_words)),
                           ("words", lines(words)),
                           ("changes", bytes(8 * 16)),
                           # with the writer's journal behind them
                           ("details", b"".join(details) + bytes(832)),
                           ("events", bytes(EVENT * event_capacity))):
            self.at[part] = len(self.data)
            self.data += data
            self.data += bytes(-len(self.data) % 64)
        struct.pack_into(
            "=QIIQQQIIIIQQQQQQQQQ", self.data, 0, MAGIC, 2, HEADER,
            len(self.data), stream, STARTED_US, len(pools), len(hosts), 16,
            event_capacity, self.at["pools"], self.at["hosts"],
            self.at["strings"], len(strings), self.at["pool_words"],
            self.at["words"], self.at["changes"], self.at["details"],
            self.at["events"])
        struct.pack_into("=Q", self.data, GENERATION, generation)
        self.beat(beat_age_s)
        struct.pack_into("=QQ48s", self.data, WRITER, pid, STARTED_US,
                         b"0.1.0")

    def beat(self, age_s=0.0):
        mono_us = int((time.clock_gettime(time.CLOCK_MONOTONIC) - age_s) * 1e6)
        struct.pack_into("=QQ", self.data, HEARTBEAT, 1, mono_us)

    def put_word(self, host, value):
        struct.pack_into("=Q", self.data, self.at["words"] + 64 * host, value)

    def put_event(self, number, kind, **fields):
        """In the order of the contract: the slot, then the head."""
        where = self.at["events"] + EVENT * (number % self.event_capacity)
        self.data[where:where + EVENT] = event(number, kind, **fields)
        struct.pack_into("=Q", self.data, EVENT_HEAD, number)

    def save(self, path):
        """As a new file under that name, as checkerd does it."""
        with open(f"{path}.new", "wb") as file:
            file.write(self.data)
        os.rename(f"{path}.new", path)

    def store(self, path):
        """Into the file that has the name, as readers map it."""
        with open(path, "r+b") as file:
            file.write(self.data)
