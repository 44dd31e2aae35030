# SPDX-License-Identifier: BSD-2-Clause
"""What is going to happen, and when: a pure function of seed and length.

An action is (seconds since the start, track, kind, arguments).  The tracks
run beside each other: `fault` holds one action at a time, which may take a
while; `api` and `backend` go on meanwhile.  Arguments name hosts that may not
be there when their time comes: then checkerd has to refuse.
"""

import json
import random
import re

OVER, PLAIN, FRONT, BACK, SHELF = "over", "plain", "front", "back", "shelf"

# Backends by number; anchors are never harmed nor ordered about, so that each
# upstream can serve at any time.
POOLS = {OVER: range(0, 10), PLAIN: range(10, 16), FRONT: range(16, 22),
         BACK: range(22, 26), SHELF: range(26, 30)}
ANCHORS = (0, 1, 10, 11, 16, 17, 22)
SPARE = range(30, 34)  # added and removed at runtime
COUNT = 34
UPSTREAMS = {OVER: OVER, PLAIN: PLAIN, FRONT: FRONT, BACK: FRONT,
             SHELF: SHELF}

MODES = ("ok", "fail", "refuse", "hang", "drip", "reset", "lie", "garbage",
         "flap", "slow")

FAULTS = {"kill": 8, "kill_storm": 3, "terminate": 2, "damage_state": 2,
          "damage_segment": 2, "stop_daemon": 4, "stop_worker": 2,
          "kill_worker": 2, "clock": 4, "full_state": 4, "full_segment": 4,
          "starve": 4, "reload": 4, "bad_reload": 2, "nginx_reload": 3,
          "nginx_upgrade": 2, "receiver": 3}

CALM_S = 0.2  # faults have this between them at least


class Draw:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, *choices):
        return self.random.choice(choices)

    def span(self, low, high):
        return round(self.random.uniform(low, high), 3)

    def host(self):
        """Of those that may be ordered about."""
        pool = self.one(OVER, PLAIN, FRONT, FRONT, BACK)
        pick = [n for n in POOLS[pool] if n not in ANCHORS]
        if UPSTREAMS[pool] == FRONT:
            pick += SPARE
        return pool, self.random.choice(pick)

    # --- one action of each track

    def api(self):
        pool, host = self.host()
        kind = self.random.choices(
            ["order", "lease", "weight", "add", "remove", "revert", "probe",
             "pool", "remove_pool"], [8, 4, 5, 6, 4, 4, 3, 1, 1])[0]
        if kind in ("pool", "remove_pool"):
            return kind, {"pool": f"extra{self.random.randrange(3)}",
                          "priority": self.random.randrange(5),
                          "balance": self.one("round_robin", "least_conn",
                                              "random", "hash")}
        about = {"pool": pool, "host": host}
        if kind == "order":
            about["admin"] = self.one("auto", "auto", "up", "down", "drain")
        elif kind == "lease":
            about["admin"] = self.one("down", "drain")
            about["for"] = f"{self.random.randrange(1000, 6000)}ms"
        elif kind == "weight":
            about["weight"] = self.one(1, 2, 5, 100)
        elif kind in ("add", "remove"):
            about = {"pool": self.one(FRONT, BACK),
                     "host": self.random.choice(SPARE)}
        return kind, about

    def backend(self):
        harmed = [n for n in range(COUNT) if n not in ANCHORS]
        return "mode", {"host": self.random.choice(harmed),
                        "mode": self.one("ok", "ok", "ok", "ok", *MODES)}

    def fault(self):
        """Its kind, arguments, and how long it may take."""
        kind = self.random.choices(list(FAULTS), list(FAULTS.values()))[0]
        about, lasts = {}, 1.0
        if kind in ("stop_daemon", "stop_worker"):
            about["for_s"] = lasts = self.span(0.05, 2.5)
        elif kind in ("full_state", "full_segment", "starve"):
            about["for_s"] = lasts = self.span(0.3, 3)
            about["kill"] = self.random.random() < 0.4
            if kind == "starve":
                about["spare"] = self.random.randrange(6)
        elif kind == "clock":
            about["jump_s"] = self.one(0, -3, 5, -3600, 3600, 86400 * 40,
                                       -86400 * 40)
        elif kind == "damage_state":
            about["how"] = self.one("cut", "empty", "garbage", "bits",
                                    "remove")
        elif kind == "damage_segment":
            about["how"] = self.one("cut", "empty", "garbage", "remove")
        elif kind == "kill_storm":
            about["gaps_s"] = [self.span(0, 0.25)
                               for _ in range(self.random.randrange(3, 9))]
        elif kind == "kill":
            about["rest_s"] = self.one(0, 0, 0.1, 1.5)
        elif kind == "receiver":
            about["answers"] = [self.one(200, 500, 302, 404, None)
                                for _ in range(self.random.randrange(1, 4))]
        elif kind == "reload":
            about["ini"] = self.ini()
        elif kind == "bad_reload":
            about["line"] = self.one("intervall = 1s", "[pool over",
                                     "fall = 0", "server = nowhere.invalid:80")
        if kind in ("kill_worker", "stop_worker"):
            about["worker"] = self.random.randrange(2)
        if kind in ("nginx_reload", "nginx_upgrade"):
            lasts = 2.0
        return kind, about, lasts

    def ini(self):
        """What a person may edit: see daemon.py for the rest of the file."""
        return {"interval": self.one("200ms", "250ms", "400ms"),
                "fall": self.one(2, 3), "rise": self.one(1, 2),
                "keepalive": self.one("on", "off"),
                "check": self.one("http", "tcp"),
                "shelf": sorted(self.random.sample(list(POOLS[SHELF]),
                                                   self.random.randrange(5)))}


def draw(seed, seconds):
    """All actions of a run, by time."""
    found = []
    for track, low, high in (("api", 0.05, 0.5), ("backend", 0.1, 0.8)):
        hand = Draw(f"{seed} {track}")
        at = 1.0
        while at < seconds:
            found.append((round(at, 3), track, *getattr(hand, track)()))
            at += hand.span(low, high)
    hand, at = Draw(f"{seed} fault"), 2.0
    while at < seconds:
        kind, about, lasts = hand.fault()
        found.append((round(at, 3), "fault", kind, about))
        at += lasts + hand.span(CALM_S, 1.5)
    return sorted(found, key=lambda action: action[:2])


MARK = "ACTION "


def to_line(action):
    return MARK + json.dumps(action)


def from_log(path):
    """The seed and the actions of a run, by what it printed."""
    with open(path) as file:
        lines = file.readlines()
    seed = int(re.match(r"seed (\d+)", lines[0]).group(1))
    found = [tuple(json.loads(line[line.index(MARK) + len(MARK):]))
             for line in lines if MARK in line]
    return seed, sorted(found, key=lambda action: action[:2])
