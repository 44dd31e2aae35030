# SPDX-License-Identifier: BSD-2-Clause
"""HTTP over a unix socket, for tests.

    with Rest(path) as rest:
        status, body = rest.put("/v1/pools/web", {"priority": 1})

The connection is kept, and opened anew if the server has gone.
"""

import http.client
import json
import socket


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Rest:
    def __init__(self, path, timeout=30):
        self.connection = UnixConnection(path, timeout)
        self.headers = None  # of the last answer

    def request(self, method, path, body=None, headers=()):
        """The status, and the body: parsed if it is JSON, None if empty."""
        data = None
        headers = dict(headers)
        if body is not None:
            data = body if isinstance(body, (bytes, str)) \
                else json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except BaseException:
            self.connection.close()
            raise
        self.headers = answer.headers
        if "json" in answer.headers.get("Content-Type", ""):
            return answer.status, json.loads(text)
        return answer.status, text or None

    def get(self, path, **headers):
        return self.request("GET", path, None, headers)

    def put(self, path, body, **headers):
        return self.request("PUT", path, body, headers)

    def patch(self, path, body, **headers):
        return self.request("PATCH", path, body, headers)

    def post(self, path, body=None, **headers):
        return self.request("POST", path, body, headers)

    def delete(self, path, **headers):
        return self.request("DELETE", path, None, headers)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.connection.close()
