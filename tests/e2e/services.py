# SPDX-License-Identifier: BSD-2-Clause
"""What is checked and does not speak HTTP, or speaks it badly, for tests.

Each has `address` once it is entered as a context, and is gone after that.
"""
import concurrent.futures
import socket
import ssl
import subprocess
import threading

import grpc

from nginx import free_port, wait_for


class Script:
    """Treats each connection as `script(connection)` says, in a thread."""

    def __init__(self, script, context=None):
        self.script = script
        self.context = context

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,),
                             daemon=True).start()

    def talk(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection,
                                                      server_side=True)
            self.script(connection)
        except OSError:
            pass
        connection.close()

    def __enter__(self):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def silent(connection):
    while connection.recv(4096):
        pass


def says(data):
    """Says `data` unasked, and waits."""
    def script(connection):
        connection.sendall(data)
        silent(connection)
    return script


def tls_context(authority, name, **settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.file(f"{name}.pem"),
                            authority.file(f"{name}.key"))
    if settings.get("client"):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.path)
    if settings.get("newest"):
        context.maximum_version = settings["newest"]
    if settings.get("protocols"):
        context.set_alpn_protocols(settings["protocols"])
    return context


class GrpcHealth:
    """grpc.health.v1.Health; `services` says what each is: the bytes of a
    HealthCheckResponse, or a status code of gRPC.  None: no such service."""

    def __init__(self, services=None, authority=None, name=None):
        self.services = services
        self.authority = authority
        self.name = name

    def check(self, request, context):
        service = request[2:].decode()  # field 1, its length, the name
        answer = self.services.get(service, grpc.StatusCode.NOT_FOUND)
        if isinstance(answer, bytes):
            return answer
        context.abort(answer, f"asked for {service}")

    def __enter__(self):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        if self.services is not None:
            self.server.add_generic_rpc_handlers([
                grpc.method_handlers_generic_handler(
                    "grpc.health.v1.Health",
                    {"Check": grpc.unary_unary_rpc_method_handler(
                        self.check)})])
        if self.authority:
            with open(self.authority.file(f"{self.name}.key"), "rb") as key, \
                 open(self.authority.file(f"{self.name}.pem"), "rb") as chain:
                self.server.add_secure_port(
                    self.address, grpc.ssl_server_credentials(
                        [(key.read(), chain.read())]))
        else:
            self.server.add_insecure_port(self.address)
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop(None).wait(10)


class Redis:
    """A redis-server, on a port without TLS and one with it."""

    def __init__(self, folder, authority, name):
        port, tls_port = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        self.tls_address = f"127.0.0.1:{tls_port}"
        self.port = port
        self.command = [
            "redis-server", "--port", str(port), "--bind", "127.0.0.1",
            "--tls-port", str(tls_port), "--tls-auth-clients", "no",
            "--tls-cert-file", authority.file(f"{name}.pem"),
            "--tls-key-file", authority.file(f"{name}.key"),
            "--tls-ca-cert-file", authority.path,
            "--dir", str(folder), "--save", "", "--daemonize", "no"]

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, "redis-server to listen")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
