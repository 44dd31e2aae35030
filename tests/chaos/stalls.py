# SPDX-License-Identifier: BSD-2-Clause
"""How far the machine is behind, so that no bound is tighter than it.

A heart that should beat every few milliseconds notes each gap.  What the run
itself stops (a worker, for a while) is noted in the same way.
"""

import threading
import time

BEAT_S = 0.01
LEAST_S = 0.03


class Stalls:
    def __init__(self):
        self.spans = []  # (from, to)
        self.gone = threading.Event()
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def beat(self):
        last = time.monotonic()
        while not self.gone.wait(BEAT_S):
            now = time.monotonic()
            if now - last > BEAT_S + LEAST_S:
                self.note(last, now)
            last = now

    def note(self, start, end):
        self.spans.append((start, end))

    def within(self, start, end):
        """Seconds of stall that touch the time from `start` to `end`: each
        gap as a whole, since what it held up may come after it."""
        return sum(b - a for a, b in self.spans if b >= start and a <= end)

    def total(self):
        return sum(b - a for a, b in self.spans)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gone.set()
        self.thread.join()
