# SPDX-License-Identifier: BSD-2-Clause
"""Who is told of events, for tests: a server, and programs.

    with Receiver() as receiver:
        receiver.answers = [500, SILENCE]   # to the next posts, then 200
        receiver.posts                      # [(headers, document)], in order
"""

import http.server
import json
import os
import ssl
import threading
import uuid

from nginx import free_port

SILENCE = None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.startswith(receiver.path):
            self.send_error(404, "for whoever had this port before")
            return
        receiver.posts.append((self.headers, json.loads(body)))
        answer = receiver.answers.pop(0) if receiver.answers else 200
        if answer is SILENCE:
            receiver.silence.wait()
            self.close_connection = True
            return
        self.send_response(answer)
        if answer // 100 == 3:
            self.send_header("Location", receiver.url + "/elsewhere")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        """Who gives up a post, or a certificate, closes the connection."""


class Receiver:
    def __init__(self, certificate=None):
        """`certificate` is (file, key): then it speaks TLS."""
        self.certificate = certificate
        self.port = free_port()
        scheme = "https" if certificate else "http"
        # one has a port after the other, and posts are tried for long
        self.path = f"/{uuid.uuid4()}"
        self.url = f"{scheme}://localhost:{self.port}{self.path}"
        self.posts = []
        self.answers = []
        self.silence = threading.Event()

    def start(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.receiver = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.silence.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def numbers(self):
        return [document["seq"] for _, document in self.posts]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def program(folder, name, text):
    """An executable script; its path."""
    path = os.path.join(str(folder), name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)
    return path
