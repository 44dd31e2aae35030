# SPDX-License-Identifier: BSD-2-Clause
"""REST over its sockets, against a real checkerd: what is answered, what is
refused, and what clients that behave badly cannot do."""

import gzip
import http.client
import json
import os
import random
import re
import socket
import stat
import time

import pytest

from backends import Backends
from checkerd import Checkerd
from http_clients import (Answer, Stream, ask, is_dropped, open_socket,
                          read_to_end, send)
from nginx import free_port, wait_for
from rest import UnixConnection

CLOSED = "127.0.0.1:1"
PATIENCE = 20  # seconds that a client has
LIMIT = 1024 * 1024
CONNECTIONS = 1000
STREAMS = 100
RING = 4095  # one of 4096 may be being written

# Nobody is probed twice while a test looks.
QUIET = f"""
[defaults]
interval = 1h
[pool web]
server = {CLOSED} id=a weight=3
server = {CLOSED} id=b
[pool api]
priority = 7
server = {CLOSED} id=[::1]:80/x
header = X-A: 1
header = X-B: "2"
[host web/b]
rise = 5
"""


@pytest.fixture
def quiet(folder):
    with Checkerd(folder, QUIET) as checkerd:
        checkerd.wait_probes("web/b", 1)
        yield checkerd


def without_ages(text):
    return re.sub(r'"heartbeat_age_ms":\d+', "", text)


def many(count, more=""):
    """Hosts that one probe brings down together, each with its event."""
    servers = "".join(f"server = {CLOSED} id=h{i}\n" for i in range(count))
    return f"[defaults]\ninterval = 1h\n{more}[pool web]\nfall = 1\n{servers}"


# --- what is answered -------------------------------------------------------

def test_pools_are_what_checkerctl_says(quiet):
    said = quiet.ctl("status", "--json")[1]
    for path in quiet.control, quiet.status_socket:
        answer = ask(path, "GET", "/v1/pools")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert without_ages(answer.body.decode()) == without_ages(said)


def test_a_pool_has_its_settings(quiet):
    pool = ask(quiet.control, "GET", "/v1/pools/api").json()
    settings = pool.pop("settings")
    assert pool == quiet.status()["pools"][1]
    assert settings["priority"] == "7"
    assert settings["interval"] == "1h"
    assert settings["header"] == ["X-A: (hidden)", "X-B: (hidden)"]
    assert "rise" in settings and "send" not in settings


def test_a_host_has_its_settings(quiet):
    host = ask(quiet.control, "GET", "/v1/pools/web/hosts/b").json()
    settings = host.pop("settings")
    assert host == quiet.host("web/b")
    assert settings["rise"] == "5" and settings["fall"] == "3"
    assert settings["weight"] == "1" and settings["max_fails"] == "1"
    assert "priority" not in settings


@pytest.mark.parametrize("segment", ["[::1]:80%2Fx", "%5B::1%5D:80%2fx"])
def test_ids_are_decoded(quiet, segment):
    answer = ask(quiet.control, "GET", f"/v1/pools/api/hosts/{segment}")
    assert answer.json()["id"] == "[::1]:80/x"


def test_events_in_one_document(folder):
    with Checkerd(folder, many(5)) as checkerd:
        checkerd.wait_state("web/h4", "down")
        said = json.loads(checkerd.ctl("events", "--json")[1])
        document = ask(checkerd.control, "GET", "/v1/events")
        assert document.json() == said and len(said["events"]) == 5
        since = ask(checkerd.control, "GET", "/v1/events?since=3").json()
        assert [event["seq"] for event in since["events"]] == [4, 5]
        assert since["lost"] == 0
        # of a sequence that ended: all there is
        beyond = ask(checkerd.control, "GET", "/v1/events?since=99").json()
        assert beyond == said
        for count in 2, 5, 99:
            newest = ask(checkerd.control, "GET",
                         f"/v1/events?newest={count}").json()
            assert newest == {"events": said["events"][-count:], "lost": 0}
        for value in "x", "-1", "1%00", "":
            for key in "since", "newest":
                answer = ask(checkerd.control, "GET",
                             f"/v1/events?{key}={value}")
                assert answer.status == 400, value
                assert answer.json()["error"]["key"] == key


def test_each_gets_the_document_that_it_asked_for(folder):
    """They are written one after the other, once for all who ask."""
    targets = {"/v1/pools": "segment", "/v1/pools/web": "upstream",
               "/v1/events": "lost", "/v1/events?since=0": "lost",
               "/v1/pools/other": "upstream"}
    with Checkerd(folder, many(2000) + "[pool other]\n") as checkerd:
        checkerd.wait_state("web/h1999", "down", 20)
        alone = {target: ask(checkerd.control, "GET", target).body
                 for target in targets}
        for target, key in targets.items():
            assert key in json.loads(alone[target])
        asking = [(target, send(path, f"GET {target} HTTP/1.1\r\nHost: x\r\n"
                                "Connection: close\r\n\r\n".encode()))
                  for _ in range(5) for target in targets
                  for path in (checkerd.status_socket, checkerd.control)]
        for target, sock in asking:
            body = read_to_end(sock).partition(b"\r\n\r\n")[2]
            assert without_ages(body.decode()) == \
                without_ages(alone[target].decode())
            sock.close()


def test_head_is_get_without_the_body(quiet):
    for target in "/v1/pools", "/v1/pools/web", "/v1/pools/web/hosts/a":
        get = ask(quiet.control, "GET", target)
        head = ask(quiet.control, "HEAD", target)
        assert head.status == 200 and head.body == b""
        assert head.headers["ETag"] == get.headers["ETag"]
        assert int(head.headers["Content-Length"]) - len(get.body) in (-1, 0,
                                                                       1)
    assert ask(quiet.control, "HEAD", "/v1/pools/no").status == 404


# --- what is refused --------------------------------------------------------

@pytest.mark.parametrize("target, status", [
    ("//", 404), ("/index.html", 404), ("/v1", 404), ("/v1/", 404), ("/v2/pools", 404),
    ("/v1/pools/", 400), ("/v1/pools/no", 404), ("/v1/pools/web/", 404),
    ("/v1/pools/web/hosts", 404), ("/v1/pools/web/hosts/", 400),
    ("/v1/pools/web/hosts/c", 404), ("/v1/pools/no/hosts/a", 404),
    ("/v1/pools/web/hosts/a/", 404), ("/v1/pools/web/hosts/a/b", 404),
    ("/v1/pools/%", 400), ("/v1/pools/%zz", 400), ("/v1/pools/%00", 400),
    ("/v1/pools/web%00", 400), ("/v1/pools/a%2Fb", 400),
    ("/v1/pools/" + 64 * "a", 400), ("/v1/pools/" + 63 * "a", 404),
    ("/v1/pools/web/hosts/" + 128 * "a", 400),
    ("/v1/pools/web/hosts/" + 127 * "a", 404),
    ("/v1/pools/web/hosts/%20", 400), ("/v1/pools/web/hosts/%22", 400),
    ("/v1/pools/web/hosts/%0a", 400), ("/v1/pools/web/hosts/%ff", 400),
])
def test_paths_that_are_none(quiet, target, status):
    answer = ask(quiet.control, "GET", target)
    assert answer.status == status
    assert set(answer.json()["error"]) == {"code", "message", "key"}


def test_methods_that_are_none(quiet):
    for path in quiet.control, quiet.status_socket:
        for method, status in (("POST", 405), ("BREW", 501), ("TRACE", 501),
                               ("get", 501)):
            answer = ask(path, method, "/v1/pools")
            assert answer.status == status, method
            assert answer.headers["Allow"] == "GET, HEAD"
            assert answer.error()
    answer = ask(quiet.status_socket, "PUT", "/v1/pools/new", "{}")
    assert answer.status == 405 and "control socket" in answer.body.decode()


def test_options_say_what_may_be_done(quiet):
    target = "/v1/pools/-/hosts/-"  # any
    may = {quiet.control: "GET, HEAD, PUT, PATCH, DELETE",
           quiet.status_socket: "GET, HEAD"}
    for path, methods in may.items():
        answer = ask(path, "OPTIONS", target)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Allow"] == methods
        assert ask(path, "OPTIONS", "/nothing").status == 404
    # as a change of that page would be
    answer = ask(quiet.control, "OPTIONS", target, None,
                 {"Origin": "http://evil.example"})
    assert answer.status == 403 and "Allow" not in answer.headers


@pytest.mark.parametrize("target", ["/", "/style.css", "/app.js"])
def test_the_page_is_kept_by_browsers_until_it_changes(quiet, target):
    etags = set()
    for headers in {}, {"Accept-Encoding": "gzip, br"}:
        answer = ask(quiet.status_socket, "GET", target, None, headers)
        etag = answer.headers["ETag"]
        etags.add(etag)
        text = gzip.decompress(answer.body) if headers else answer.body
        assert answer.status == 200 and b"SPDX" in text
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert "default-src 'none'" in \
            answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in \
            answer.headers["Content-Security-Policy"]
        assert "'unsafe" not in answer.headers["Content-Security-Policy"]
        again = ask(quiet.status_socket, "GET", target, None,
                    {**headers, "If-None-Match": etag})
        assert (again.status, again.body) == (304, b"")
        head = ask(quiet.status_socket, "HEAD", target, None, headers)
        assert (head.status, head.body) == (200, b"")
    assert len(etags) == 2


def test_every_answer_is_guarded(quiet):
    for target in "/v1/pools", "/v1/pools/web/hosts/a", "/nothing":
        answer = ask(quiet.status_socket, "GET", target)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_browser_cannot_be_sent_here(quiet):
    for origin, refused in (("http://evil.example", True), ("null", True),
                            ("http://localhost.evil.example", True),
                            ("http://localhost", False), (None, False)):
        headers = {"Content-Type": "application/json"}
        if origin:
            headers["Origin"] = origin
        answer = ask(quiet.control, "POST", "/v1/pools", "{}", headers)
        assert (answer.status == 403) == refused, origin
    # reading is not refused
    answer = ask(quiet.control, "GET", "/v1/pools", None,
                 {"Origin": "http://evil.example"})
    assert answer.status == 200


@pytest.mark.parametrize("kind, fits", [
    ("application/json", True), ("application/json; charset=utf-8", True),
    ("Application/JSON", True), ("application/jsonp", False),
    ("text/plain", False), ("application/x-www-form-urlencoded", False),
])
def test_bodies_are_json(quiet, kind, fits):
    answer = ask(quiet.control, "POST", "/v1/pools", "{}",
                 {"Content-Type": kind})
    assert (answer.status != 415) == fits


def test_bodies_have_a_limit(quiet):
    def post(path, size, chunked):
        body = b" " * size
        return ask(path, "POST", "/v1/pools",
                   iter([body]) if chunked else body,
                   {"Content-Type": "application/json"}).status

    for chunked in False, True:
        assert post(quiet.control, LIMIT, chunked) == 405
        assert post(quiet.control, LIMIT + 1, chunked) == 413
        assert post(quiet.control, 3 * LIMIT, chunked) == 413
        assert post(quiet.status_socket, LIMIT, chunked) == 405
    # one that is announced as far too long is refused before it is sent
    with send(quiet.control, b"POST /v1/pools HTTP/1.1\r\nHost: x\r\n"
              b"Content-Length: 99999999999\r\n\r\n") as sock:
        assert b" 413 " in sock.recv(100)


def test_heads_have_a_limit(quiet):
    for head in (b"GET /" + 20000 * b"a" + b" HTTP/1.1\r\n",
                 b"GET / HTTP/1.1\r\nHost: x\r\nX: " + 20000 * b"a" + b"\r\n",
                 b"GET / HTTP/1.1\r\nHost: x\r\n" + 5000 * b"X: y\r\n"):
        with send(quiet.control, head + b"\r\n") as sock:
            answer = read_to_end(sock)
            assert re.match(rb"HTTP/1\.1 4(00|13|14|31) ", answer), answer
    assert ask(quiet.control, "GET", "/v1/pools").status == 200


# --- versions ---------------------------------------------------------------

def test_etags_are_of_settings(folder):
    ini = QUIET.replace("interval = 1h", "interval = 20ms")
    targets = ("/v1/pools/web", "/v1/pools/web/hosts/a",
               "/v1/pools/web/hosts/b", "/v1/pools/api")

    def etags():
        return [ask(checkerd.control, "GET", target).headers["ETag"]
                for target in targets]

    with Checkerd(folder, ini) as checkerd:
        before = etags()
        assert len(set(before)) == 4
        checkerd.wait_state("web/a", "down")
        checkerd.wait_probes("web/a", 10)
        assert etags() == before
        # what probes found out is in the answer, so there is always one
        for target, etag in zip(targets, before):
            answer = ask(checkerd.control, "GET", target, None,
                         {"If-None-Match": etag})
            assert answer.status == 200 and answer.body
        checkerd.reload(ini.replace("weight=3", "weight=4"))
        after = etags()
        assert [a != b for a, b in zip(before, after)] == [True, True, False,
                                                           False]
        checkerd.reload(ini.replace("id=b", "id=b drain"))
        assert etags()[2] != before[2] and etags()[1] == before[1]
        checkerd.reload(ini.replace("rise = 5", "rise = 6"))
        assert etags()[2] != before[2] and etags()[1] == before[1]
        checkerd.reload(ini)
        assert etags() == before


# --- where it listens -------------------------------------------------------

def test_who_may_connect(quiet):
    for path, mode in ((quiet.control, 0o660), (quiet.status_socket, 0o666)):
        status = os.stat(path)
        assert stat.S_ISSOCK(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == mode
        assert status.st_uid == os.geteuid()
    quiet.stop()
    assert not os.path.exists(quiet.control)
    assert not os.path.exists(quiet.status_socket)
    quiet.start()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_tcp_address_only_reads(folder, host):
    port = free_port()
    with Checkerd(folder, f"listen = {host}:{port}\n{QUIET}"):
        connection = http.client.HTTPConnection(host.strip("[]"), port,
                                                timeout=20)
        connection.request("GET", "/v1/pools/web")
        answer = Answer(connection.getresponse())
        assert answer.json()["name"] == "web"
        connection.request("DELETE", "/v1/pools/web")
        assert Answer(connection.getresponse()).status == 405
        connection.close()


def test_a_dead_socket_is_replaced_and_a_live_one_not(folder):
    checkerd = Checkerd(folder, QUIET).start()
    checkerd.kill()
    assert os.path.exists(checkerd.control)
    with checkerd:
        assert ask(checkerd.control, "GET", "/v1/pools").status == 200

    with socket.socket(socket.AF_UNIX) as other:
        other.bind(checkerd.control)
        other.listen()
        with open(checkerd.status_socket, "w") as file:
            file.write("precious")
        with checkerd:  # checks go on without either
            checkerd.wait_probes("web/a", 1)
            assert checkerd.log.lines("control socket .*in use")
            assert checkerd.log.lines("status socket .*exists")
        assert open(checkerd.status_socket).read() == "precious"
        assert os.path.exists(checkerd.control)


def test_places_change_at_the_next_start(quiet, folder):
    quiet.reload(f"listen = 127.0.0.1:{free_port()}\n{QUIET}")
    assert quiet.log.lines("listen = .* takes effect at the next start")
    quiet.status_socket = str(folder / "elsewhere.sock")
    quiet.reload(QUIET)
    assert quiet.log.lines("status = .*/elsewhere.sock takes effect")
    assert not os.path.exists(quiet.status_socket)
    assert ask(quiet.control, "GET", "/v1/pools").status == 200


@pytest.mark.parametrize("line, wrong", [
    ("listen = 9913", "no address to listen at"),
    ("listen = localhost:9913", "no address to listen at"),
    ("listen = unix:/x", "no address to listen at"),
    ("listen = 127.0.0.1", "no address to listen at"),
    ("listen = [::1]", "no address to listen at"),
    ("listen = 127.0.0.1:99999", "no address to listen at"),
])
def test_bad_places_are_refused(folder, line, wrong):
    status, _, errors = Checkerd(folder, f"{line}\n{QUIET}").run("-t")
    assert status == 1 and wrong in errors


def test_long_and_common_places_are_refused(folder):
    checkerd = Checkerd(folder, QUIET)
    checkerd.control = "/" + 107 * "x"
    checkerd.status_socket = f"{folder}/report.sock"
    checkerd.write(QUIET)
    status, _, errors = checkerd.run("-t")
    assert status == 1
    assert re.search(r"control: .* out of range, .* 107 bytes", errors)
    assert re.search(r"report: is the file of status too", errors)


# --- connections ------------------------------------------------------------

def test_a_connection_is_kept(quiet):
    connection = UnixConnection(quiet.control, PATIENCE)
    for target in ("/v1/pools", "/v1/pools/web/hosts/a", "/no", "/v1/events"):
        connection.request("GET", target)
        assert Answer(connection.getresponse()).status in (200, 404)
        kept = connection.sock
    assert connection.sock is kept and not is_dropped(kept)
    connection.close()


def test_requests_in_a_row_are_answered_in_their_order(quiet):
    targets = 10 * ["/v1/pools/web/hosts/a", "/v1/pools/api", "/v1/events"]
    with send(quiet.control, b"".join(
            f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            for target in targets)) as sock, sock.makefile("rb") as answers:
        for target in targets:
            assert answers.readline().startswith(b"HTTP/1.1 200 ")
            headers = http.client.parse_headers(answers)
            body = answers.read(int(headers["Content-Length"]))
            key = {"a": "id", "i": "name", "s": "events"}[target[-1]]
            assert key in json.loads(body)
    assert ask(quiet.control, "GET", "/v1/pools").status == 200


def test_half_a_connection_is_enough(quiet):
    for target in "/v1/pools", "/v1/pools/web/hosts/a":
        with send(quiet.control, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"
                  .encode()) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert read_to_end(sock).startswith(b"HTTP/1.1 200 ")


def test_who_leaves_early_is_forgotten(quiet):
    for _ in range(300):
        with send(quiet.control, b"GET /v1/pools HTTP/1.1\r\nHost: x\r\n\r\n"):
            pass
        with send(quiet.control, b"POST /v1/pools HTTP/1.1\r\nHost: x\r\n"
                  b"Content-Length: 1000\r\n\r\n{"):
            pass
    assert ask(quiet.control, "GET", "/v1/pools").status == 200
    wait_for(lambda: len(os.listdir(f"/proc/{quiet.process.pid}/fd")) < 100,
             "their descriptors to be closed")


def test_too_many_connections_wait(quiet):
    crowd = [open_socket(quiet.status_socket) for _ in range(CONNECTIONS)]
    request = b"GET /v1/pools HTTP/1.1\r\nHost: x\r\n\r\n"
    crowd[-1].sendall(request)
    assert crowd[-1].recv(100).startswith(b"HTTP/1.1 200 ")
    late = send(quiet.status_socket, request)
    # the other side is not crowded
    assert ask(quiet.control, "GET", "/v1/pools").status == 200
    late.settimeout(0.3)
    with pytest.raises(TimeoutError):
        late.recv(1)
    crowd.pop().close()
    late.settimeout(PATIENCE / 2)  # before others are dropped
    assert late.recv(100).startswith(b"HTTP/1.1 200 ")
    for sock in [late, *crowd]:
        sock.close()


def test_slow_clients_are_dropped(folder):
    """All at once, since each takes all of its patience."""
    with Checkerd(folder, many(4200)) as checkerd:
        checkerd.wait_state("web/h4199", "down", 20)
        head = b"GET /v1/pools HTTP/1.1\r\nHost: x\r\n\r\n"
        silent = open_socket(checkerd.control)
        kept = send(checkerd.control, b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n")
        trickling = open_socket(checkerd.control)
        body = send(checkerd.control, b"POST /v1/pools HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Length: 1000000\r\n\r\n")
        unread = send(checkerd.control, head)
        stream = send(checkerd.control, b"GET /v1/events HTTP/1.1\r\nHost: x"
                      b"\r\nAccept: text/event-stream\r\n\r\n")
        reading = Stream(checkerd.control, "/v1/events?since=4200")
        slow = [silent, kept, trickling, body, unread, stream]
        began = time.monotonic()
        pieces = iter(head[:-4] + 1000 * b"x")
        while not all(is_dropped(sock) for sock in slow):
            assert time.monotonic() - began < 3 * PATIENCE, \
                [is_dropped(sock) for sock in slow]
            for sock, byte in ((trickling, next(pieces)), (body, 32)):
                try:
                    sock.send(bytes([byte]))
                except OSError:
                    pass  # it was dropped
            time.sleep(0.2)
            if time.monotonic() - began < PATIENCE / 2:
                assert not any(is_dropped(sock) for sock in slow)
        assert not is_dropped(reading.connection.sock)
        for sock in slow:
            sock.close()
        reading.close()


# --- streams ----------------------------------------------------------------

def flap(checkerd, backends, times):
    """So many transitions of web/0, one after the other."""
    for number in range(times):
        backends[0].health = 503 if number % 2 == 0 else 200
        checkerd.wait_state("web/0", "down" if number % 2 == 0 else "up")


@pytest.fixture
def flapping(folder):
    with Backends(1) as backends:
        ini = ("[pool web]\ninterval = 20ms\nfall = 1\nrise = 1\n"
               f"path = /healthz\nserver = {backends[0].address} id=0\n")
        with Checkerd(folder, ini) as checkerd:
            checkerd.wait_state("web/0", "up")
            yield checkerd, backends


def test_events_as_they_happen(flapping):
    checkerd, backends = flapping
    stream = Stream(checkerd.status_socket)
    assert stream.response.status == 200
    assert stream.response.headers["Content-Type"] == "text/event-stream"
    assert stream.response.headers["X-Accel-Buffering"] == "no"
    flap(checkerd, backends, 4)
    expected = checkerd.events()
    for event in expected:
        fields = stream.next()
        assert fields["event"] == event["event"]
        assert int(fields["id"]) == event["seq"]
        assert json.loads(fields["data"]) == event
    stream.close()


def test_a_stream_resumes(flapping):
    checkerd, backends = flapping
    flap(checkerd, backends, 4)
    events = checkerd.events()
    seen = str(events[1]["seq"])
    for target, headers in ((f"/v1/events?since={seen}", {}),
                            ("/v1/events", {"Last-Event-ID": seen}),
                            ("/v1/events?since=0", {"Last-Event-ID": seen})):
        stream = Stream(checkerd.control, target, headers)
        assert json.loads(stream.next()["data"]) == events[2]
        stream.close()
    # a restart goes on with the numbers
    last = events[-1]["seq"]
    checkerd.stop()
    checkerd.start()
    stream = Stream(checkerd.control, f"/v1/events?since={last}")
    flap(checkerd, backends, 1)
    assert int(stream.next()["id"]) == last + 1
    stream.close()


def test_a_stream_of_a_lost_segment_starts_over(flapping):
    """The numbers of the new one begin again, below the client's."""
    checkerd, backends = flapping
    flap(checkerd, backends, 4)
    seen = str(checkerd.events()[-1]["seq"])
    checkerd.stop()
    os.unlink(checkerd.segment)
    checkerd.start()
    checkerd.wait_state("web/0", "up")
    flap(checkerd, backends, 1)
    events = checkerd.events()
    assert events[0]["seq"] == 1 and events[-1]["seq"] < int(seen)
    stream = Stream(checkerd.control, "/v1/events", {"Last-Event-ID": seen})
    for event in events:
        assert json.loads(stream.next()["data"]) == event
    stream.close()


def test_a_stream_outlives_the_segment(flapping):
    checkerd, backends = flapping
    stream = Stream(checkerd.control, "/v1/events?since=0")
    flap(checkerd, backends, 2)
    checkerd.reload(f"[pool web]\ninterval = 20ms\nfall = 1\nrise = 1\n"
                    f"path = /healthz\nserver = {backends[0].address} id=0\n"
                    f"server = {CLOSED} id=1\n")
    flap(checkerd, backends, 2)
    numbers = [int(stream.next()["id"]) for _ in range(5)]
    assert numbers == sorted(set(numbers))
    stream.close()


def test_lost_events_are_counted(folder):
    with Checkerd(folder, many(RING + 100)) as checkerd:
        checkerd.wait_state(f"web/h{RING + 99}", "down", 20)
        document = ask(checkerd.control, "GET", "/v1/events?since=40").json()
        assert document["lost"] == 60  # 41 to 100
        assert len(document["events"]) == RING
        stream = Stream(checkerd.control, "/v1/events?since=40")
        lost = stream.next()
        assert lost["event"] == "lost"
        assert json.loads(lost["data"]) == {"lost": 60}
        assert [int(stream.next()["id"]) for _ in range(RING)] == \
            list(range(101, 101 + RING))
        stream.close()


def test_streams_have_a_limit_and_end(quiet):
    streams = [Stream(quiet.status_socket) for _ in range(STREAMS)]
    assert all(stream.response.status == 200 for stream in streams)
    more = Stream(quiet.status_socket)
    assert more.response.status == 503
    assert json.loads(more.response.read())["error"]["code"] == "busy"
    more.close()
    assert ask(quiet.status_socket, "GET", "/v1/pools").status == 200
    for stream in streams:
        stream.close()

    def place():
        stream = Stream(quiet.status_socket)
        try:
            return stream.response.status == 200
        finally:
            stream.close()
    # a ping finds out that they have left
    wait_for(place, "a place to be free", 30)


def test_streams_end_with_the_daemon(quiet):
    streams = [Stream(quiet.control) for _ in range(10)]
    quiet.stop()
    for stream in streams:
        while stream.response.readline():
            pass
    quiet.start()


# --- what it costs ----------------------------------------------------------

def cpu_seconds(checkerd):
    with open(f"/proc/{checkerd.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_who_waits_costs_nothing(quiet):
    """Whatever a connection may be waiting for, nothing goes in circles."""
    waiting = [open_socket(quiet.control),
               send(quiet.control, b"GET /v1/po"),
               send(quiet.control, b"GET /v1/pools HTTP/1.1\r\nHo"),
               send(quiet.control, b"POST /v1/pools HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Length: 10\r\n\r\n{"),
               send(quiet.control, b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n")]
    streams = [Stream(quiet.control) for _ in range(20)]
    half = send(quiet.control, b"GET /v1/events HTTP/1.1\r\nHost: x\r\n"
                b"Accept: text/event-stream\r\n\r\n")
    half.shutdown(socket.SHUT_WR)
    half.recv(1)
    before = cpu_seconds(quiet)
    time.sleep(2)  # what is measured
    assert cpu_seconds(quiet) - before <= 0.1
    for each in [*waiting, *streams, half]:
        each.close()


def test_a_long_document_delays_nobody(folder):
    with Backends(1) as backends:
        ini = many(10000) + ("[pool fast]\ninterval = 10ms\npath = /healthz\n"
                             f"server = {backends[0].address} id=0\n")
        with Checkerd(folder, ini) as checkerd:
            checkerd.wait_state("web/h9999", "down", 30)
            answers = [ask(checkerd.control, "GET", target)
                       for target in 5 * ["/v1/pools", "/v1/pools/web"]]
            probes = backends[0].probes
            connection = UnixConnection(checkerd.status_socket, PATIENCE)
            connection.request("GET", "/v1/pools")
            response = connection.getresponse()
            assert len(json.loads(response.read())["pools"][0]["hosts"]) == \
                10000
            assert backends[0].probes > probes
            assert all(answer.status == 200 for answer in answers)


def test_a_document_is_of_one_segment(folder):
    """Each reload replaces the segment under those that are being written."""
    with Checkerd(folder, many(3000)) as checkerd:
        checkerd.wait_state("web/h2999", "down", 20)
        asking = [send(checkerd.control, f"GET {target} HTTP/1.1\r\nHost: x"
                       "\r\nConnection: close\r\n\r\n".encode())
                  for target in 10 * ["/v1/pools", "/v1/pools/web"]]
        for count in 2000, 3000, 1000:
            checkerd.reload(many(count))
        for sock in asking:
            head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            document = json.loads(body)
            pool = document.get("pools", [document])[0]
            assert [host["id"] for host in pool["hosts"]] == \
                [f"h{i}" for i in range(pool["total"])]
            sock.close()


def test_unread_answers_do_not_pile_up(folder):
    with Checkerd(folder, many(10000)) as checkerd:
        checkerd.wait_state("web/h9999", "down", 30)
        crowd = [send(checkerd.status_socket,
                      b"GET /v1/pools HTTP/1.1\r\nHost: x\r\n\r\n")
                 for _ in range(60)]
        wait_for(lambda: ask(checkerd.status_socket, "GET",
                             "/v1/pools").status == 503,
                 "no more to be taken", PATIENCE)
        # neither what is small is refused, nor the other side
        assert ask(checkerd.status_socket, "GET",
                   "/v1/pools/web/hosts/h1").status == 200
        assert ask(checkerd.control, "GET", "/v1/pools").status == 200
        for sock in crowd:
            sock.close()
        wait_for(lambda: ask(checkerd.status_socket, "GET",
                             "/v1/pools").status == 200,
                 "room for more", PATIENCE)


def test_random_bytes_harm_nobody(quiet):
    chance = random.Random(4)
    pieces = [b"GET ", b"POST ", b"/v1/pools", b"/v1/pools/web/hosts/%",
              b" HTTP/1.1\r\n", b"\r\n", b"\r\n\r\n", b"Host: x\r\n",
              b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"-1",
              b"99999999999999999999", b"%00", b"?since=", b"Accept: "
              b"text/event-stream\r\n", b"Last-Event-ID: ", b"Connection: "
              b"close\r\n", b"Expect: 100-continue\r\n", b"\x00", b"\xff" * 9,
              b"If-None-Match: \"", b"Origin: ", b"ffffffffffffffff\r\n",
              b" ", b"a" * 3000]
    for _ in range(1500):
        count = chance.randrange(1, 12)
        data = b"".join(
            chance.choice(pieces) if chance.random() < 0.8
            else chance.randbytes(chance.randrange(1, 40))
            for _ in range(count))
        if chance.random() < 0.5:
            data = b"GET /v1/pools/web HTTP/1.1\r\nHost: x\r\n" + data
        path = chance.choice([quiet.control, quiet.status_socket])
        with open_socket(path) as sock:
            try:
                sock.sendall(data)
                sock.settimeout(0.002)
                sock.recv(65536)
            except OSError:
                pass  # it may say nothing, or leave
    assert quiet.process.poll() is None
    assert ask(quiet.control, "GET", "/v1/pools/web").status == 200
