# SPDX-License-Identifier: BSD-2-Clause
"""Live traffic: requests at a steady rate, each on a connection of its own,
and fewer while many wait: nginx has no more than 512 connections.

Writes ("request", number, upstream, start, end, status, chain, statuses):
`status` is 0 if there was no answer, `chain` what nginx tried, and -status
an answer that broke off behind its head.
"""

import asyncio
import itertools
import time

from child import Child

TIMEOUT_S = 60
MOST = 60  # at a time


def field(head, name):
    for line in head.split(b"\r\n"):
        if line.lower().startswith(name + b":"):
            return line.split(b":", 1)[1].strip().decode()
    return ""


class Load(Child):
    def __init__(self, path, port, upstreams, each_s):
        super().__init__(path)
        self.port = port
        self.upstreams = upstreams
        self.each_s = each_s
        self.flying = set()

    async def run(self):
        numbers = itertools.count()
        due = time.monotonic()
        while True:
            due = max(due + self.each_s, time.monotonic() - 1)
            await asyncio.sleep(max(0, due - time.monotonic()))
            if len(self.flying) >= MOST:
                continue
            for upstream in self.upstreams:
                task = self.loop.create_task(self.request(
                    f"r{next(numbers)}", upstream))
                self.flying.add(task)
                task.add_done_callback(self.flying.discard)

    async def request(self, number, upstream):
        start = time.monotonic()
        data, why = b"", ""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1",
                                                               self.port)
                writer.write(f"GET /{upstream}/{number} HTTP/1.1\r\n"
                             "Host: web\r\nConnection: close\r\n\r\n".encode())
                while piece := await reader.read(65536):
                    data += piece
                writer.close()
        except (OSError, TimeoutError) as error:
            why = type(error).__name__
        head, _, body = data.partition(b"\r\n\r\n")
        status = int(head[9:12]) if head[9:12].isdigit() else 0
        if status == 200 and body[-3:] not in (b"ok\n", b"0\r\n\r\n"[-3:]):
            status = -status
        self.write("request", number, upstream, start, time.monotonic(),
                   status, field(head, b"x-upstream"),
                   field(head, b"x-statuses") or why)
