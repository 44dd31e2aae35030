# SPDX-License-Identifier: BSD-2-Clause
"""A control socket that records what is asked and answers as it was told.

    with ControlStub(path) as stub:
        stub.answer(200, {"state": "down"})
        ...
        assert stub.requests[0].target == "/v1/pools/web/hosts/a"

`raw` takes the bytes of an answer instead, or a function that is called with
the connection, for what no server should say.
"""
import json
import socket
import threading
from dataclasses import dataclass


@dataclass
class Request:
    method: str
    target: str
    headers: dict
    body: bytes

    @property
    def document(self):
        return json.loads(self.body) if self.body else None


class ControlStub:
    def __init__(self, path):
        self.path = str(path)
        self.requests = []
        self.answer(204)
        self.over = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def answer(self, status, document=None):
        body = b"" if document is None else json.dumps(document).encode()
        self.raw(b"HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n"
                 % status + (b"" if status == 204 else
                             b"Content-Length: %d\r\n" % len(body)) +
                 b"\r\n" + body)

    def raw(self, answer):
        self.next = answer

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.exchange(connection)
                except OSError:
                    pass  # the other side had enough

    def exchange(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive(connection)
        head, body = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers.get("content-length", 0)):
            body += self.receive(connection)
        method, target, version = first.split(" ")
        assert version == "HTTP/1.1"
        self.requests.append(Request(method, target, headers, body))
        if callable(self.next):
            self.next(connection)
        else:
            connection.sendall(self.next)

    @staticmethod
    def receive(connection):
        data = connection.recv(65536)
        if not data:
            raise ConnectionError
        return data

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        # close() alone does not wake accept()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        assert not self.thread.is_alive()
