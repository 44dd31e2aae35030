# SPDX-License-Identifier: BSD-2-Clause
"""What the run writes down: all of it into a file if there is one, and on the
screen then only what somebody who looks for a failure wants to see.
"""

import threading
import time


class Diary:
    def __init__(self, path):
        self.file = open(path, "w", buffering=1) if path else None
        self.start = time.monotonic()
        self.lock = threading.Lock()

    def begin(self):
        """Times count from here on."""
        self.start = time.monotonic()

    def action(self, line):
        line = self.dated(line)
        with self.lock:
            print(line, file=self.file, flush=True)

    def finding(self, text):
        self.say(self.dated(f"FINDING {text}"))

    def say(self, line):
        with self.lock:
            print(line, flush=True)
            if self.file:
                print(line, file=self.file)

    def dated(self, line):
        return f"{time.monotonic() - self.start:9.3f} {line}"
