# SPDX-License-Identifier: BSD-2-Clause
"""A name server that says what it is told, for tests.

    with Names({"web.test": ["127.0.0.2"]}) as names:
        names.tell("web.test", ["127.0.0.2", "127.0.0.3"])
"""

import socket
import struct
import threading

from nginx import free_port, wait_for

TYPE_A = 1


class Names:
    def __init__(self, addresses):
        self.addresses = addresses
        self.answers = 0

    def serve(self):
        while True:
            question, asker = self.socket.recvfrom(512)
            if not question:
                return
            self.socket.sendto(self.answer(question), asker)
            self.answers += 1

    def answer(self, message):
        labels, at = [], 12
        while message[at]:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
        kind, = struct.unpack_from("!H", message, at + 1)
        found = (self.addresses.get(".".join(labels), [])
                 if kind == TYPE_A else [])
        # an answer, recursion desired and available; the question again
        head = message[:2] + struct.pack("!5H", 0x8180, 1, len(found), 0, 0)
        return head + message[12:at + 5] + b"".join(
            # the name is the one at offset 12; class IN, TTL 1, 4 bytes
            struct.pack("!HHHIH", 0xc00c, TYPE_A, 1, 1, 4)
            + socket.inet_aton(address) for address in found)

    def tell(self, name, addresses):
        """Returns when nginx, which asks again and again, has acted on it: it
        asks for a name anew once it is done with the answer before."""
        self.addresses[name] = addresses
        seen = self.answers
        wait_for(lambda: self.answers >= seen + 2, "nginx to ask twice")

    def __enter__(self):
        self.port = free_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self.port))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join(10)
        self.socket.close()
