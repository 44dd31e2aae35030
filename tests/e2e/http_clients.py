# SPDX-License-Identifier: BSD-2-Clause
"""Clients that look at every part of an answer, or behave badly, for tests.

    answer = ask(checkerd.control, "GET", "/v1/pools")
    answer.status, answer.headers["ETag"], answer.json()
"""

import json
import select
import socket

from rest import UnixConnection

TIMEOUT = 20


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]["code"]


def open_socket(path, timeout=TIMEOUT):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # waits for room in the backlog
    sock.settimeout(timeout)
    return sock


def ask(path, method, target, body=None, headers=None):
    connection = UnixConnection(path, TIMEOUT)
    try:
        connection.request(method, target, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def send(path, data):
    """A socket on which these bytes were sent."""
    sock = open_socket(path)
    sock.sendall(data)
    return sock


def read_to_end(sock):
    data = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def is_dropped(sock):
    """Whether the other side has closed, without reading anything."""
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


class Stream:
    """A stream of server-sent events."""

    def __init__(self, path, target="/v1/events", headers=None):
        self.connection = UnixConnection(path, TIMEOUT)
        self.connection.request("GET", target, headers={
            "Accept": "text/event-stream", **(headers or {})})
        self.response = self.connection.getresponse()

    def next(self):
        """The next event, as a dict of its fields; comments are passed
        over."""
        while True:
            fields = {}
            while True:
                line = self.response.readline().decode().rstrip("\n")
                if not line:
                    break
                name, _, value = line.partition(": ")
                fields[name] = value
            if "data" in fields:
                return fields

    def close(self):
        self.connection.close()
