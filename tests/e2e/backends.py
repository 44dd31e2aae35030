# SPDX-License-Identifier: BSD-2-Clause
"""HTTP backends that count what reaches them and do as they are told.

All of them live on one event loop in a thread of the test's process, so a
test reads and sets their attributes directly:

    with Backends(3) as backends:
        backends[0].health = 503        # what HEALTH_PATH answers
        backends[1].status = 500        # what anything else answers
        backends[2].stop()              # connection refused
        backends[0].requests            # requests but those for HEALTH_PATH
"""

import asyncio
import os
import threading

from nginx import free_port

HEALTH_PATH = b"/healthz"


class Backend:

    def __init__(self, loop, name, address):
        self.loop = loop
        self.name = name
        self.address = address
        self.health = 200
        self.status = 200
        self.delay = 0.0
        self.weight = None  # what health answers say in X-Health-Weight
        self.requests = 0
        self.probes = 0
        self.connections = set()
        self.server = None
        self.start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine,
                                                self.loop).result(10)

    def start(self):
        async def start():
            if self.address.startswith("unix:"):
                self.server = await self.loop.create_unix_server(
                    lambda: Connection(self), self.address[5:])
                os.chmod(self.address[5:], 0o777)  # for nginx's workers
            else:
                host, port = self.address.rsplit(":", 1)
                self.server = await self.loop.create_server(
                    lambda: Connection(self), host.strip("[]"), int(port))
        self.call(start())

    def stop(self):
        """Refuses connections from here on and drops those it has."""
        async def stop():
            self.server.close()
            for connection in list(self.connections):
                connection.transport.abort()
        self.call(stop())

    def answer(self, path):
        if path.startswith(HEALTH_PATH):
            self.probes += 1
            return self.health
        self.requests += 1
        return self.status


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
            method, path, version = head.split(b"\r\n", 1)[0].split(b" ")
            close = version == b"HTTP/1.0" or b"onnection: close" in head
            status = self.backend.answer(path)
            weight = self.backend.weight
            field = (f"X-Health-Weight: {weight}\r\n".encode()
                     if weight is not None and path.startswith(HEALTH_PATH)
                     else b"")
            if self.backend.delay:
                self.backend.loop.call_later(self.backend.delay, self.send,
                                             status, close, field)
            else:
                self.send(status, close, field)

    def send(self, status, close, field):
        if self.transport.is_closing():
            return
        body = self.backend.name.encode()
        self.transport.write(
            b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n"
            b"X-Backend: %s\r\n%sConnection: %s\r\n\r\n%s"
            % (status, len(body), body, field,
               b"close" if close else b"keep-alive", body))
        if close:
            self.transport.close()


class Backends(list):
    """`what` is how many on TCP ports, or a list of addresses."""

    def __init__(self, what):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever,
                                       daemon=True)
        self.thread.start()
        addresses = what if isinstance(what, (list, tuple)) else [
            f"127.0.0.1:{free_port()}" for _ in range(what)]
        for number, address in enumerate(addresses):
            self.append(Backend(self.loop, "abcdefghijklmnopqrstuvwxyz"[number],
                                address))

    def counts(self):
        return [backend.requests for backend in self]

    def reset(self):
        for backend in self:
            backend.requests = backend.probes = 0

    def servers(self, parameters=None):
        """server lines of an upstream; parameters = {number: text}."""
        return "\n".join(
            f"    server {b.address} {(parameters or {}).get(n, '')};"
            for n, b in enumerate(self))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for backend in self:
            backend.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
