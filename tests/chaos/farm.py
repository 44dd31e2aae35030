# SPDX-License-Identifier: BSD-2-Clause
"""The backends, each in one of the modes of actions.MODES, all in one process.

Writes ("arrival", time, upstream, backend, request) for each request of live
traffic, stamped as soon as it is read.
"""

import asyncio
import socket
import struct
import time

from child import Child

CHECK = b"/healthz"
DRIP_S = 0.05
SLOW_S = 0.3
FLAP_S = 0.6

OK = (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
      b"Connection: keep-alive\r\n\r\nok\n")
FAIL = (b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n"
        b"Connection: keep-alive\r\n\r\nno\n")
LIE = FAIL.replace(b"503", b"500")
GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\0\xff: 1\r\n\r\n"


def is_well(mode):
    """What checks have to find; None: it depends."""
    return {"ok": True, "slow": True, "lie": True, "drip": True,
            "flap": None}.get(mode, False)


class Connection(asyncio.Protocol):
    def __init__(self, backend):
        self.backend = backend
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport
        self.backend.connections.add(self)

    def connection_lost(self, error):
        self.backend.connections.discard(self)

    def data_received(self, data):
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            path = head.split(b" ", 2)[1]
            self.backend.asked(path)
            self.answer(path)

    def answer(self, path):
        loop, mode = self.backend.farm.loop, self.backend.mode
        checks = path == CHECK
        if mode == "flap":
            mode = "ok" if time.monotonic() % (2 * FLAP_S) < FLAP_S else "fail"
        if mode == "hang":
            return
        if mode == "reset":
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
            self.transport.abort()
        elif mode == "drip":
            loop.create_task(self.drip())
        elif mode == "slow":
            loop.call_later(SLOW_S, self.send, OK)
        elif mode == "garbage":
            self.send(GARBAGE)
            self.transport.close()
        elif mode == "lie" and not checks:
            self.send(LIE)
        else:
            self.send(FAIL if mode == "fail" else OK)

    def send(self, data):
        if not self.transport.is_closing():
            self.transport.write(data)

    async def drip(self):
        # in pieces, or a probe would be over its deadline: a drip that ends
        for at in range(0, len(OK), 6):
            self.send(OK[at:at + 6])
            await asyncio.sleep(DRIP_S)


class Backend:
    def __init__(self, farm, number, port):
        self.farm = farm
        self.number = number
        self.port = port
        self.mode = "ok"
        self.connections = set()
        self.server = None
        self.refusal = None

    def asked(self, path):
        if path != CHECK:
            _, upstream, request = path.decode().split("/", 2)
            self.farm.write("arrival", time.monotonic(), upstream, self.number,
                            request)

    def bind(self):
        """Bound and not listening, it refuses, and keeps the port ours."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        return sock

    async def listen(self):
        self.server = await self.farm.loop.create_server(
            lambda: Connection(self), sock=self.refusal, backlog=512)

    def refuse(self):
        self.server.close()
        self.refusal = self.bind()

    async def become(self, mode):
        if self.mode == "refuse" and mode != "refuse":
            await self.listen()
        if mode == "refuse" and self.mode != "refuse":
            self.refuse()
            for connection in list(self.connections):
                connection.transport.abort()
        if self.mode == "hang":
            for connection in list(self.connections):
                connection.transport.abort()
        self.mode = mode
        self.farm.write("mode", time.monotonic(), self.number, mode)


class Farm(Child):
    def __init__(self, path, ports):
        super().__init__(path)
        self.backends = [Backend(self, number, port)
                         for number, port in enumerate(ports)]

    async def run(self):
        for backend in self.backends:
            backend.refusal = backend.bind()
            await backend.listen()
        self.write("ready", time.monotonic())
        self.queue = asyncio.Queue()
        while True:
            number, mode = await self.queue.get()
            await self.backends[number].become(mode)

    def told(self, number, mode):
        self.queue.put_nowait((number, mode))
