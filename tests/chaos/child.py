# SPDX-License-Identifier: BSD-2-Clause
"""A part of the run in a process of its own, so that one's work is not the
other's delay.  It is told things over a pipe, as tuples, and writes what it
saw into a file of JSON lines, which tail() reads as it grows.
"""

import asyncio
import json
import multiprocessing
import os
import time

from stalls import BEAT_S, LEAST_S


class Child:
    """A subclass has `async def run(self)` and `def told(self, *words)`."""

    def __init__(self, path):
        self.path = path
        self.read_at = 0
        self.rest = b""
        self.pipe, self.far_end = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(
            target=self.main, daemon=True)

    # --- on the run's side

    def start(self):
        open(self.path, "wb").close()
        self.process.start()
        return self

    def tell(self, *words):
        self.pipe.send(words)

    def tail(self):
        """What was written since the last call."""
        with open(self.path, "rb") as file:
            file.seek(self.read_at)
            data = file.read()
        self.read_at += len(data)
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        return [json.loads(line) for line in lines]

    def stop(self):
        self.pipe.send(None)
        self.process.join(20)
        assert self.process.exitcode == 0, \
            f"{type(self).__name__} ended with {self.process.exitcode}"

    # --- on its own

    def main(self):
        self.file = open(self.path, "a", buffering=1 << 16)
        self.loop = asyncio.new_event_loop()
        self.end = self.loop.create_future()
        self.loop.add_reader(self.far_end.fileno(), self.hear)
        self.loop.run_until_complete(self.live())
        self.file.flush()
        os._exit(0)  # nothing of the run's own is tidied up here

    async def live(self):
        beat = asyncio.ensure_future(self.beat())
        run = asyncio.ensure_future(self.run())
        done, _ = await asyncio.wait([run, self.end, beat],
                                     return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()

    def hear(self):
        while self.far_end.poll():
            words = self.far_end.recv()
            if words is None:
                if not self.end.done():
                    self.end.set_result(None)
            else:
                self.told(*words)

    def write(self, *record):
        self.file.write(json.dumps(record) + "\n")

    async def beat(self):
        last = time.monotonic()
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.monotonic()
            if now - last > BEAT_S + LEAST_S:
                self.write("stall", last, now)
            last = now
            self.file.flush()
