# SPDX-License-Identifier: BSD-2-Clause
"""Each kind of check against hosts that are well, refuse, are silent, answer
wrongly or slowly, or have TLS faults: which outcome code that is.

One checkerd probes all of them once (`--once`), and each row of TABLE is held
to the line that it prints.
"""
import contextlib
import re
import ssl

from certificates import Authority
from checkerd import Checkerd
from nginx import Nginx, free_port
from services import (GrpcHealth, Redis, Script, says, silent, tls_context)

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"

NGINX = """
proxy_connect_timeout 60s;
upstream silent {{ server {silent}; }}
map $uri $nothing {{ default ""; }}
server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{https} ssl;
    listen 127.0.0.1:{h2} ssl http2;
    listen 127.0.0.1:{h2c} http2;
    listen 127.0.0.1:@PORT@;
    server_name good.test;
    ssl_certificate {folder}/good.pem;
    ssl_certificate_key {folder}/good.key;
    location / {{ add_header X-Role leader; return 200 "all is well\\n"; }}
    location /error {{ return 503 "no\\n"; }}
    location /slow {{ proxy_pass http://silent; }}
    location /as {{ return 200
        'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'; }}
}}
server {{
    listen 127.0.0.1:{slow_h2} ssl http2;
    listen 127.0.0.1:{slow_h2c} http2;
    ssl_certificate {folder}/good.pem;
    ssl_certificate_key {folder}/good.key;
    location / {{ proxy_pass http://silent; }}
}}
""" + "".join(f"""
server {{{{
    listen 127.0.0.1:{{{name}}} ssl http2;
    ssl_certificate {{folder}}/{name}.pem;
    ssl_certificate_key {{folder}}/{name}.key;
    location / {{{{ return 200 "ok\\n"; }}}}
}}}}
""" for name in ("other", "expired", "selfsigned")) + """
server {{
    listen 127.0.0.1:{client} ssl http2;
    ssl_certificate {folder}/good.pem;
    ssl_certificate_key {folder}/good.key;
    ssl_client_certificate {folder}/ca.pem;
    ssl_verify_client on;
    location / {{ return 200 "ok\\n"; }}
}}
"""
NGINX_PORTS = ("http https h2 h2c slow_h2 slow_h2c other expired selfsigned "
               "client").split()

TLS_13 = r"tlsv13 alert certificate required|TLS alert 116"
EXPIRED = "SSL certificate problem: certificate has expired"
SELF_SIGNED = "SSL certificate problem: self-signed certificate"
OTHER_NAME = "SSL: no alternative certificate subject name matches target " \
             "host name 'good.test'"
NOT_TLS = "wrong version number"
UNKNOWN_CA = "SSL certificate problem: unable to get local issuer certificate"
SILENT = "no complete answer within 1600 ms"
NO_HANDSHAKE = "no TLS handshake within 800 ms"
PING = r"send = PING\r\n"
PONG = r"expect = ^\+PONG"

# kind, server, keys, outcome, a regular expression for the sentence
TABLE = [
    ("http", "http", "", "L7OK", ""),
    ("http", "refused", "", "L4CON", "Connection refused"),
    ("http", "silent", "", "L7TOUT", SILENT),
    ("http", "http", "path = /error", "L7STS", "503 Service"),
    ("http", "http", "path = /slow", "L7TOUT", SILENT),
    ("http", "https", "", "L7STS", "400 Bad Request"),
    ("http", "banner", "", "L7RSP", ""),
    ("http", "http", "expect_header = X-Role: leader", "L7OK", ""),
    ("http", "http", "expect_header = X-Role: follower", "L7HDR", "X-Role"),
    ("http", "http", "expect_header = !X-Role: leader", "L7HDR", "X-Role"),
    ("http", "http", "expect_header = X-Other: .", "L7HDR", "X-Other"),
    ("http", "http", "expect_body = all is (well|good)", "L7OK", ""),
    ("http", "http", "expect_body = all is lost", "L7BODY", "all is lost"),
    ("http", "http", "fail_body = well", "L7BODY", "well"),
    ("http", "http", "expect_body = well\nmax_body = 5", "L7BODY", "well"),
    ("http", "http", "expect_body = ^all\nmax_body = 5", "L7OK", ""),
    ("http", "http", "path = /as\nexpect_body = ^(a|aa)+$", "L7BODY",
     "match limit"),
    ("http", "chunks", "expect_body = nowhere", "L7BODY", "nowhere"),
    ("http", "chunks", "", "L7OK", ""),

    ("https", "https", "", "L7OK", ""),
    ("https", "https", "http_host = good.test:8443", "L7OK", ""),
    ("https", "https", "http_host = x.test\nsni = good.test", "L7OK", ""),
    ("https", "refused", "", "L4CON", "Connection refused"),
    ("https", "silent", "", "L6TLS", NO_HANDSHAKE),
    ("https", "https", "path = /error", "L7STS", "503 Service"),
    ("https", "https", "path = /slow", "L7TOUT", SILENT),
    ("https", "https", "expect_body = lost", "L7BODY", "lost"),
    ("https", "http", "", "L6TLS", NOT_TLS),
    ("https", "banner", "", "L6TLS", NOT_TLS),
    ("https", "closes", "", "L6TLS", ""),
    ("https", "expired", "", "L6CERT", EXPIRED),
    ("https", "selfsigned", "", "L6CERT", SELF_SIGNED),
    ("https", "other", "", "L6CERT", OTHER_NAME),
    ("https", "other", "http_host =", "L6CERT", "127.0.0.1"),
    ("https", "https", "http_host =", "L7OK", ""),  # has the address, too
    ("https", "https", "tls_ca = system", "L6CERT", UNKNOWN_CA),
    ("https", "expired", "tls_verify = off", "L7OK", ""),
    ("https", "other", "tls_verify = off", "L7OK", ""),
    ("https", "client", "", "L7STS", "400 Bad Request"),
    ("https", "client", "tls_cert = FOLDER/client.pem\n"
     "tls_key = FOLDER/client.key", "L7OK", ""),
    ("https", "client13", "", "L6TLS", TLS_13),
    ("https", "client12", "", "L6TLS", "alert handshake failure|TLS alert 40"),
    ("https", "client13", "tls_cert = FOLDER/selfsigned.pem\n"
     "tls_key = FOLDER/selfsigned.key", "L6TLS", "alert unknown ca|TLS alert 48"),

    ("h2", "h2", "", "L7OK", ""),
    ("h2", "refused", "", "L4CON", "Connection refused"),
    ("h2", "silent", "", "L6TLS", NO_HANDSHAKE),
    ("h2", "h2", "path = /error", "L7STS", "503"),
    ("h2", "h2", "path = /slow", "L7TOUT", SILENT),
    ("h2", "h2", "expect_header = x-role: leader", "L7OK", ""),
    ("h2", "h2", "expect_header = x-role: follower", "L7HDR", "x-role"),
    ("h2", "h2", "expect_body = lost", "L7BODY", "lost"),
    ("h2", "expired", "", "L6CERT", EXPIRED),
    ("h2", "h2c", "", "L6TLS", NOT_TLS),
    ("h2", "https", "", "L6TLS", "no application protocol"),
    ("h2", "only11", "", "L6TLS", "no HTTP/2"),
    ("h2", "noalpn", "", "L6TLS", "no HTTP/2"),

    ("h2c", "h2c", "", "L7OK", ""),
    ("h2c", "refused", "", "L4CON", "Connection refused"),
    ("h2c", "silent", "", "L7TOUT", SILENT),
    ("h2c", "h2c", "path = /error", "L7STS", "503"),
    ("h2c", "h2c", "path = /slow", "L7TOUT", SILENT),
    ("h2c", "http", "", "L7RSP", "no HTTP/2"),
    ("h2c", "h2", "", "L7RSP", "no HTTP/2"),
    ("h2c", "banner", "", "L7RSP", "no HTTP/2"),

    ("grpc", "grpc", "", "L7OK", ""),
    ("grpc", "grpc", "grpc_service = shop.Cart", "L7OK", ""),
    ("grpc", "grpc", "grpc_service = shop.Till", "L7STS",
     'service "shop.Till" is NOT_SERVING'),
    ("grpc", "grpc", "grpc_service = shop.None", "L7STS",
     r'NOT_FOUND \(grpc-status 5\) for service "shop.None": asked for'),
    ("grpc", "grpc", "grpc_service = shop.Odd", "L7RSP",
     "no HealthCheckResponse"),
    ("grpc", "grpc_none", "", "L7STS",
     r"UNIMPLEMENTED \(grpc-status 12\) for the server"),
    ("grpc", "refused", "", "L4CON", "Connection refused"),
    ("grpc", "silent", "", "L7TOUT", SILENT),
    ("grpc", "slow_h2c", "", "L7TOUT", SILENT),
    ("grpc", "h2c", "", "L7RSP", "not gRPC"),
    ("grpc", "http", "", "L7RSP", "no HTTP/2"),
    ("grpc", "grpcs", "", "L7RSP", "no HTTP/2"),

    ("grpcs", "grpcs", "", "L7OK", ""),
    ("grpcs", "grpcs", "grpc_service = shop.Till", "L7STS",
     'service "shop.Till" is NOT_SERVING'),
    ("grpcs", "refused", "", "L4CON", "Connection refused"),
    ("grpcs", "silent", "", "L6TLS", NO_HANDSHAKE),
    ("grpcs", "slow_h2", "", "L7TOUT", SILENT),
    ("grpcs", "h2", "", "L7RSP", "not gRPC"),
    ("grpcs", "selfsigned", "", "L6CERT", SELF_SIGNED),
    ("grpcs", "grpc", "", "L6TLS", ""),
    ("grpcs", "https", "", "L6TLS", "no application protocol"),
    ("grpcs", "noalpn", "", "L6TLS", "no HTTP/2"),

    ("tcp", "redis", "", "L4OK", ""),
    ("tcp", "redis", f"{PING}\n{PONG}", "L7OK", ""),
    ("tcp", "redis", PING, "L7OK", ""),
    ("tcp", "refused", f"{PING}\n{PONG}", "L4CON", "Connection refused"),
    ("tcp", "silent", "", "L4OK", ""),
    ("tcp", "silent", f"{PING}\n{PONG}", "L7TOUT", SILENT),
    ("tcp", "redis", PONG, "L7TOUT", SILENT),
    ("tcp", "redis", r"send = QUIT\r\n" + f"\n{PONG}", "L7BODY", "PONG"),
    ("tcp", "redis", f"{PING}\nexpect = ^\\+PING\nmax_body = 5", "L7BODY",
     "PING"),
    ("tcp", "banner", r"expect = ^220 [-.\w]+ ESMTP", "L7OK", ""),
    ("tcp", "banner", "expect = ^554", "L7TOUT", SILENT),
    ("tcp", "chunks", "send = x\nexpect = nowhere", "L7BODY", "nowhere"),

    ("tls", "redis_tls", "", "L6OK", ""),
    ("tls", "redis_tls", f"{PING}\n{PONG}", "L7OK", ""),
    ("tls", "refused", "", "L4CON", "Connection refused"),
    ("tls", "silent", "", "L6TLS", NO_HANDSHAKE),
    ("tls", "redis_tls", r"send = QUIT\r\n" + f"\n{PONG}", "L7BODY", "PONG"),
    ("tls", "redis_tls", PONG, "L7TOUT", SILENT),
    ("tls", "redis", "", "L6TLS", ""),
    ("tls", "expired", "", "L6CERT", EXPIRED),
    ("tls", "other", "", "L6CERT", OTHER_NAME),
    ("tls", "client12", "", "L6TLS", "alert handshake failure|TLS alert 40"),
    ("tls", "client13", f"{PING}\n{PONG}", "L6TLS", TLS_13),
]


def endless_chunks(connection):
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def serve(stack, folder, authority):
    """Starts all servers: {name: address}."""
    scripts = {
        "silent": Script(silent),
        "closes": Script(lambda connection: None),
        "banner": Script(says(b"220 mail.test ESMTP ready\r\n")),
        "chunks": Script(endless_chunks),
        "only11": Script(silent, tls_context(authority, "good",
                                             protocols=["http/1.1"])),
        "noalpn": Script(silent, tls_context(authority, "good")),
        "client13": Script(silent, tls_context(authority, "good",
                                               client=True)),
        "client12": Script(silent, tls_context(
            authority, "good", client=True, newest=ssl.TLSVersion.TLSv1_2)),
    }
    addresses = {"refused": f"127.0.0.1:{free_port()}"}
    for name, script in scripts.items():
        addresses[name] = stack.enter_context(script).address
    services = {"": SERVING, "shop.Cart": SERVING, "shop.Till": NOT_SERVING,
                "shop.Odd": b"\x0f"}
    addresses["grpc"] = stack.enter_context(GrpcHealth(services)).address
    addresses["grpc_none"] = stack.enter_context(GrpcHealth()).address
    addresses["grpcs"] = stack.enter_context(
        GrpcHealth(services, authority, "good")).address
    redis = stack.enter_context(Redis(folder, authority, "good"))
    addresses["redis"] = redis.address
    addresses["redis_tls"] = redis.tls_address
    ports = {name: free_port() for name in NGINX_PORTS}
    nginx = Nginx(folder / "nginx", workers=1, http=NGINX.format(
        folder=authority.folder, silent=addresses["silent"], **ports))
    nginx.modules = []
    stack.enter_context(nginx)
    addresses.update((name, f"127.0.0.1:{port}")
                     for name, port in ports.items())
    return addresses


def configuration(addresses, authority):
    # with a hundred handshakes at a time a busy machine keeps no time at all
    ini = ["[checkerd]", "max_concurrent = 4", "[defaults]",
           "connect_timeout = 800ms", "read_timeout = 800ms",
           "http_host = good.test", f"tls_ca = {authority.path}"]
    for number, (kind, server, keys, _, _) in enumerate(TABLE):
        keys = keys.replace("FOLDER", authority.folder)
        ini += [f"[pool {number}]", f"check = {kind}", keys,
                f"server = {addresses[server]} id=a"]
    return "\n".join(ini) + "\n"


def test_every_kind(folder):
    authority = Authority(folder)
    authority.certificate("good", "DNS:good.test,IP:127.0.0.1")
    authority.certificate("other", "DNS:other.test")
    authority.certificate("expired", "DNS:good.test", days=-1)
    authority.certificate("selfsigned", None)
    authority.certificate("client", "DNS:client.test")
    with contextlib.ExitStack() as stack:
        addresses = serve(stack, folder, authority)
        checkerd = Checkerd(folder / "checkerd",
                            configuration(addresses, authority))
        status, output, errors = checkerd.run("--once")
    assert "Sanitizer" not in errors and "runtime error" not in errors, errors
    assert status in (0, 1), errors
    seen = {int(number): (outcome, why) for number, outcome, why in
            re.findall(r"^(\d+)/a +\S+ +(\S+) +[\d.]+ ms  ?(.*)$", output,
                       re.M)}
    assert len(seen) == len(TABLE), output
    wrong = [f"{kind} {server} {keys!r}: {seen[number]}, not {outcome} {why!r}"
             for number, (kind, server, keys, outcome, why)
             in enumerate(TABLE)
             if seen[number][0] != outcome or not re.search(why, seen[number][1])]
    assert not wrong, "\n".join(wrong)
