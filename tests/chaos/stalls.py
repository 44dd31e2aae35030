# SPDX-License-Identifier: BSD-2-Clause
"""How far the machine is behind, so that no bound is tighter than it.

A heart that should beat every few milliseconds notes each gap, and asks the
kernel how long those that are watched have waited for a processor meanwhile.
What the run itself stops (a worker, for a while) is noted in the same way.
"""

import threading
import time

BEAT_S = 0.01
LEAST_S = 0.03


def waited_s(pid):
    """For a processor, since it was born; None: it has ended."""
    try:
        with open(f"/proc/{pid}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return None


class Stalls:
    def __init__(self):
        self.spans = []    # (from, to)
        self.watched = {}  # pid: seconds that it had waited
        self.gone = threading.Event()
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def beat(self):
        last = time.monotonic()
        while not self.gone.wait(BEAT_S):
            now = time.monotonic()
            if now - last > BEAT_S + LEAST_S:
                self.note(last, now)
            last = now
            self.ask()

    def watch(self, pids):
        """These from here on, and no others."""
        self.watched = {pid: self.watched.get(pid) or waited_s(pid)
                        for pid in pids}

    def ask(self):
        for pid, before in list(self.watched.items()):
            waited = waited_s(pid)
            if waited is None or before is None:
                continue
            if waited - before > LEAST_S:
                now = time.monotonic()
                self.note(now - (waited - before) - BEAT_S, now)
            self.watched[pid] = waited

    def note(self, start, end):
        self.spans.append((start, end))

    def within(self, start, end):
        """Seconds of stall that touch the time from `start` to `end`: each
        gap as a whole, since what it held up may come after it.  Gaps that
        several hearts saw at once count once."""
        held, last = 0.0, 0.0
        for a, b in sorted(span for span in self.spans
                           if span[1] >= start and span[0] <= end):
            held += max(0.0, b - max(a, last))
            last = max(last, b)
        return held

    def total(self):
        return self.within(0, time.monotonic())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.gone.set()
        self.thread.join()
