# SPDX-License-Identifier: BSD-2-Clause
"""Pool mode under everything that asks a peer: keepalive, TLS with sessions,
gRPC, FastCGI, uwsgi, WebSocket.  And overlays under TLS, where handlers of
sessions are wrapped, too."""

import contextlib
import socket
import struct

import pytest

from backends import Backends
from certificates import Authority
from nginx import Crowd, Nginx, free_port, wait_for
from pools import pool, serves, upstream
from segment import Segment
from services import Script

KEEPALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";'


# --- keepalive ---------------------------------------------------------------

@pytest.mark.parametrize("balance",
                         ["round_robin", "least_conn", "random", "hash"])
def test_connections_are_kept(folder, balance):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p", 0, balance): backends})
        with Nginx(folder, upstream(folder, "keepalive 8;",
                                    options="key=$arg_k") + KEEPALIVE,
                   workers=1) as nginx, Crowd(nginx) as crowd:
            for n in range(60):
                assert crowd.get(1, f"/?k={n}") == {200: 1}
            assert all(backends.counts())
            # one request at a time
            assert sum(len(b.connections) for b in backends) == 2
            segment.set("p/a", "down")
            backends.reset()
            for n in range(60):
                assert crowd.get(1, f"/?k={n}") == {200: 1}
            assert backends.counts() == [0, 60]


def test_kept_connections_outlive_their_topology(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): backends})
        with Nginx(folder, upstream(folder, "keepalive 8;") + KEEPALIVE,
                   workers=1) as nginx, Crowd(nginx) as crowd:
            assert crowd.get(8) == {200: 8}
            kept = [set(b.connections) for b in backends]
            segment.pools({pool("other"): backends[1:]})
            wait_for(lambda: {nginx.get().body for _ in range(4)} == {"b"},
                     "the new topology")
            segment.pools({pool("p"): backends})
            wait_for(lambda: len({nginx.get().body for _ in range(4)}) == 2,
                     "the old one again")
            assert [b.connections & k for b, k in zip(backends, kept)] == kept


def test_a_host_that_closed_kept_connections_has_not_failed(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [(b, "max_fails=1 fail_timeout=60000")
                                   for b in backends]})
        with Nginx(folder, upstream(folder, "keepalive 8;") + KEEPALIVE,
                   workers=1) as nginx, Crowd(nginx) as crowd:
            for _ in range(5):
                assert crowd.get(8) == {200: 8}
                for b in backends:
                    b.stop()
                    b.start()
            backends.reset()
            assert crowd.get(20) == {200: 20}
            assert backends.counts() == [10, 10]


def test_an_answer_on_a_kept_connection_counts(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [(b, "max_fails=1 fail_timeout=60000")
                                   for b in backends]})
        with Nginx(folder, upstream(folder, "keepalive 8;") + KEEPALIVE
                   + "proxy_next_upstream http_500;",
                   workers=1) as nginx, Crowd(nginx) as crowd:
            assert crowd.get(8) == {200: 8}
            backends.reset()
            backends[0].status = 500
            assert crowd.get(20) == {200: 20}
            assert backends.counts() == [1, 20]


def picky(asked):
    """Answers anything but /bad, on which it closes the connection; /slow
    takes until ten of them are here."""
    def script(connection):
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(4096)
                if not data:
                    return
                head += data
            path = head.split()[1]
            asked.append(path)
            if path == b"/bad":
                return
            if path == b"/slow":
                wait_for(lambda: asked.count(b"/slow") >= 10, "the others")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return script


def test_a_request_does_not_close_all_kept_connections(folder):
    asked = []
    with Script(picky(asked)) as a, Script(picky(asked)) as b, \
            Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [a.address, b.address]})
        with Nginx(folder, upstream(folder, "keepalive 16;") + KEEPALIVE,
                   workers=1) as nginx, Crowd(nginx, 10) as crowd:
            for client in crowd.clients:
                client.connection.request("GET", "/slow")
            for client in crowd.clients:
                answer = client.connection.getresponse()
                assert answer.status == 200 and answer.read() == b""
            assert nginx.get("/bad").status == 502
            assert asked.count(b"/bad") <= 4  # twice for each host
            assert nginx.get().status == 200  # neither has failed


# --- TLS -----------------------------------------------------------------------

@contextlib.contextmanager
def tls_nginx(folder, count, protocols):
    """Ports of an nginx that says whether a session was resumed."""
    Authority(folder).certificate("web", "DNS:web.test")
    ports = [free_port() for _ in range(count)]
    servers = "\n".join(f"""
        server {{
            listen 127.0.0.1:{port} ssl;
            ssl_certificate {folder}/web.pem;
            ssl_certificate_key {folder}/web.key;
            ssl_protocols {protocols};
            ssl_session_cache shared:s{port}:1m;
            keepalive_timeout 0;
            location / {{ return 200 "{port} $ssl_session_reused"; }}
        }}""" for port in ports)
    with Nginx(folder / "tls", f"""{servers}
            server {{ listen 127.0.0.1:@PORT@; }}""", workers=1):
        yield ports


@pytest.mark.parametrize("mode", ["pool", "overlay"])
@pytest.mark.parametrize("kept", ["", "keepalive 4;"])
def test_https_takes_no_host_that_is_down(folder, mode, kept):
    with tls_nginx(folder, 3, "TLSv1.2 TLSv1.3") as ports, \
            Segment(folder / "health.shm") as segment:
        hosts = [f"127.0.0.1:{port}" for port in ports]
        segment.pools({pool("p"): hosts})
        servers = [f"server {host};" for host in hosts]
        with Nginx(folder, upstream(folder, *(
                servers if mode == "overlay" else []), kept) + KEEPALIVE + """
                server {
                    listen 127.0.0.1:@PORT@ @LISTEN@;
                    location / { proxy_pass https://web; }
                }""") as nginx, Crowd(nginx) as crowd:
            def asked():
                return {answer.body.split()[0] for answer in
                        (client.get() for client in crowd.clients)}
            assert asked() == {str(port) for port in ports}
            segment.set("p/h0", "down", 3, "L6TLS")
            assert asked() == {str(port) for port in ports[1:]}
            segment.set("p/h1", "drain")
            assert asked() == {str(ports[2])}
            segment.set("p/h2", "down")
            assert crowd.get(8) == {502: 8}
            segment.set("p/h0", "up")
            assert asked() == {str(ports[0])}


@pytest.mark.parametrize("protocols", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("reuse", ["on", "off"])
@pytest.mark.parametrize("mode", ["pool", "overlay"])
def test_tls_sessions_are_reused(folder, protocols, reuse, mode):
    with tls_nginx(folder, 2, protocols) as ports, \
            Segment(folder / "health.shm") as segment:
        hosts = [f"127.0.0.1:{port}" for port in ports]
        segment.pools({pool("p"): hosts})
        servers = [f"server {host};" for host in hosts]
        with Nginx(folder, upstream(folder, *(
                servers if mode == "overlay" else [])) + f"""
                proxy_ssl_session_reuse {reuse};
                proxy_ssl_protocols {protocols};
                proxy_ssl_verify on;
                proxy_ssl_trusted_certificate {folder}/ca.pem;
                proxy_ssl_name web.test;
                server {{
                    listen 127.0.0.1:@PORT@ @LISTEN@;
                    location / {{ proxy_pass https://web; }}
                }}""", workers=1) as nginx:
            def answers():
                return sorted(nginx.get().body for _ in range(2))
            fresh = [f"{port} ." for port in sorted(ports)]
            resumed = [f"{port} r" for port in sorted(ports)]
            assert answers() == fresh
            assert answers() == (resumed if reuse == "on" else fresh)

            # a session belongs to a host, whatever the topology
            segment.pools({pool("p"): hosts,
                           pool("q", of="other"): ["127.0.0.1:9"]})
            last = segment.set("q/h0", "down")
            nginx.log.wait(f"seq={last}")
            assert answers() == (resumed if reuse == "on" else fresh)


# --- other protocols -----------------------------------------------------------

@pytest.mark.parametrize("kept", ["", "keepalive 4;"])
def test_grpc_pass(folder, kept):
    ports = [free_port() for _ in range(2)]
    servers = "\n".join(f"""server {{ listen 127.0.0.1:{port} http2;
        location / {{ return 200 "{port}"; }} }}""" for port in ports)
    with Nginx(folder / "grpc", f"""{servers}
               server {{ listen 127.0.0.1:@PORT@; }}""", workers=1), \
            Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [f"127.0.0.1:{port}" for port in ports]})
        with Nginx(folder, upstream(folder, kept) + """
                server { listen 127.0.0.1:@PORT@ @LISTEN@;
                         location / { grpc_pass grpc://web; } }""") as nginx, \
                Crowd(nginx) as crowd:
            assert crowd.get(40) == {200: 40}
            assert {nginx.get().body for _ in range(8)} == {
                str(port) for port in ports}
            segment.set("p/h0", "down")
            assert {nginx.get().body for _ in range(8)} == {str(ports[1])}


def exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def fastcgi(name):
    """A responder: reads records to the end of stdin, answers `name`."""
    def record(kind, request, data):
        return struct.pack("!BBHHBx", 1, kind, request, len(data), 0) + data

    def script(connection):
        while True:
            _, kind, request, size, padding = struct.unpack(
                "!BBHHBx", exactly(connection, 8))
            exactly(connection, size + padding)
            if kind == 5 and size == 0:
                break
        connection.sendall(
            record(6, request, b"Content-Type: text/plain\r\n\r\n" + name)
            + record(6, request, b"") + record(3, request, bytes(8)))
    return script


def uwsgi(name):
    def script(connection):
        _, size, _ = struct.unpack("<BHB", exactly(connection, 4))
        exactly(connection, size)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                           % (len(name), name))
    return script


@pytest.mark.parametrize("protocol", [fastcgi, uwsgi])
def test_cgi_alikes(folder, protocol):
    with Script(protocol(b"a")) as a, Script(protocol(b"b")) as b, \
            Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [a.address], pool("q", 1): [b.address]})
        word = protocol.__name__
        with Nginx(folder, upstream(folder) + f"""
                server {{ listen 127.0.0.1:@PORT@ @LISTEN@;
                    location / {{ {word}_pass web;
                        {word}_param REQUEST_METHOD $request_method; }} }}"""
                   ) as nginx:
            assert nginx.get().body == "a"
            segment.set("p/h0", "down")
            assert nginx.get().body == "b"


def echo(connection):
    """Upgrades, then sends back what comes."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    connection.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
                       b"Connection: upgrade\r\n\r\n")
    while True:
        data = connection.recv(4096)
        if not data:
            return
        connection.sendall(data)


def test_websocket_survives_drain_and_removal(folder):
    with Script(echo) as server, Backends(1) as backends, \
            Segment(folder / "health.shm") as segment:
        segment.pools({pool("p"): [server.address]})
        with Nginx(folder, upstream(folder)
                   + "proxy_http_version 1.1;"
                     "proxy_set_header Upgrade $http_upgrade;"
                     "proxy_set_header Connection upgrade;") as nginx:
            with socket.create_connection(("127.0.0.1", nginx.port), 10) as c:
                c.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade"
                          b"\r\nUpgrade: websocket\r\n\r\n")
                head = b""
                while b"\r\n\r\n" not in head:
                    head += c.recv(4096)
                assert b" 101 " in head
                for change in (
                        lambda: segment.set("p/h0", "drain"),
                        lambda: segment.pools({pool("q"): backends})):
                    c.sendall(b"before")
                    assert exactly(c, 6) == b"before"
                    change()
                serves(nginx)
                c.sendall(b"after")
                assert exactly(c, 5) == b"after"
