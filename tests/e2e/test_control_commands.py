# SPDX-License-Identifier: BSD-2-Clause
"""checkerctl's commands that change things, against a control socket that says
what a test told it to: what is asked, what is made of the answer, and what of
answers that no checkerd would give."""
import contextlib
import json
import os
import pty
import re
import select
import shlex
import socket
import subprocess
import time
from pathlib import Path

import pytest

import health_segment as hs
from checkerd import Checkerd
from control_stub import ControlStub

BUILD = Path(os.environ["CHECKERD_BUILD"])
CHECKERCTL = str(BUILD / "checkerd/checkerctl")
COMPLETION = Path(__file__).resolve().parents[2] / "etc/checkerctl.bash"
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8"}
NOBODY = 65534

HOST = {"id": "a", "address": "10.0.0.1:8080", "state": "down",
        "admin": "down", "reason": "new disks",
        "until": "2026-11-21T12:00:00.000Z", "weight": 10}
POOL = {"name": "web", "upstream": "www", "priority": 1, "balance": "hash"}


def run(path, *arguments, timeout=60, **options):
    return subprocess.run([CHECKERCTL, "-S", str(path), *arguments],
                          timeout=timeout,
                          **{"env": ENVIRONMENT, "capture_output": True,
                             **options})


@pytest.fixture
def path(folder):
    return folder / "control.sock"


@pytest.fixture
def stub(path):
    with ControlStub(path) as stub:
        yield stub


# --- what is asked ----------------------------------------------------------

A = "/v1/pools/web/hosts/a"
NEW = "/v1/pools/web/hosts/10.0.0.3%3A8080"

ASKED = [
    ("up web/a", "PATCH", A, {"admin": "up"}),
    ("auto web/a", "PATCH", A, {"admin": "auto"}),
    ("drain web/a --for 10m", "PATCH", A, {"admin": "drain", "for": "10m"}),
    ("down web/a --reason 'new disks' --for 2h", "PATCH", A,
     {"admin": "down", "for": "2h", "reason": "new disks"}),
    ("--for 90 down web/a", "PATCH", A, {"admin": "down", "for": "90"}),
    ("down web/a --reason 'Brücke \"Süd\"'", "PATCH", A,
     {"admin": "down", "reason": 'Brücke "Süd"'}),
    ("down web/a --reason ''", "PATCH", A, {"admin": "down", "reason": ""}),
    ("weight web/a 20", "PATCH", A, {"weight": 20}),
    ("weight web/a 0", "PATCH", A, {"weight": 0}),
    # no number: the daemon knows what is allowed
    ("weight web/a many", "PATCH", A, {"weight": "many"}),
    ("weight web/a 9223372036854775808", "PATCH", A,
     {"weight": "9223372036854775808"}),
    ("probe web/a", "POST", A + "/probe", None),
    ("add web/a 10.0.0.3:8080", "PUT", A, {"address": "10.0.0.3:8080"}),
    ("add web 10.0.0.3:8080 weight=5 interval=5s rise=2", "PUT", NEW,
     {"address": "10.0.0.3:8080", "weight": 5, "interval": "5s",
      "rise": "2"}),
    ("add web/a h:1 header='X-A: 1=2' header=B:2 header=C:3 path=", "PUT", A,
     {"address": "h:1", "header": ["X-A: 1=2", "B:2", "C:3"], "path": ""}),
    ("remove web/a", "DELETE", A, None),
    ("pool add web", "PUT", "/v1/pools/web", {}),
    ("pool add web upstream=www priority=1 balance=hash", "PUT",
     "/v1/pools/web",
     {"upstream": "www", "priority": 1, "balance": "hash"}),
    ("pool set web priority=2 panic=10%", "PATCH", "/v1/pools/web",
     {"priority": 2, "panic": "10%"}),
    ("pool remove web", "DELETE", "/v1/pools/web", None),
    ("reload", "POST", "/v1/reload", None),
    ("diff", "GET", "/v1/changes", None),
    ("revert web", "DELETE", "/v1/changes/web", None),
    ("revert web/a", "DELETE", "/v1/changes/web/hosts/a", None),
]


@pytest.mark.parametrize("words, method, target, body", ASKED,
                         ids=[row[0] for row in ASKED])
def test_a_command_is_one_request(stub, path, words, method, target, body):
    result = run(path, *shlex.split(words))
    assert (result.returncode, result.stderr) == (0, b"")
    request, = stub.requests
    assert (request.method, request.target) == (method, target)
    assert request.document == body
    assert request.headers["host"] == "localhost"
    assert re.fullmatch(r"checkerctl/\d+\.\d+\.\d+",
                        request.headers["user-agent"])
    assert request.headers.get("content-type") == (
        None if body is None else "application/json")
    if method != "GET":
        assert int(request.headers["content-length"]) == len(request.body)


@pytest.mark.parametrize("name, target", [
    (b"web/10.0.0.1:8080", "web/hosts/10.0.0.1%3A8080"),
    (b"web/[2001:db8::1]:80", "web/hosts/%5B2001%3Adb8%3A%3A1%5D%3A80"),
    (b"web/unix:/run/app.sock", "web/hosts/unix%3A%2Frun%2Fapp.sock"),
    (b"web/..", "web/hosts/.."),
    (b"../a", "../hosts/a"),
    (b"web/a?b#c%41+d", "web/hosts/a%3Fb%23c%2541%2Bd"),
    (b"web/a b", "web/hosts/a%20b"),
    (b"web/a\r\nX: y", "web/hosts/a%0D%0AX%3A%20y"),
    ("web/ü".encode(), "web/hosts/%C3%BC"),
    (b"web/\xff\x01", "web/hosts/%FF%01"),
    (b"a" * 1000 + b"/b", "a" * 1000 + "/hosts/b"),
])
def test_names_are_encoded(stub, path, name, target):
    assert run(path, "remove", name).returncode == 0
    assert stub.requests[0].target == "/v1/pools/" + target


def slowly(connection):
    time.sleep(2.2)
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.mark.parametrize("term, shown", [("xterm", True), ("dumb", False)])
def test_a_terminal_is_told_what_takes_long(stub, path, term, shown):
    leader, follower = pty.openpty()
    stub.raw(slowly)
    result = run(path, "remove", "web/a", stdout=subprocess.PIPE,
                 stderr=follower, capture_output=False,
                 env={**ENVIRONMENT, "TERM": term})
    os.close(follower)
    text = b""
    with contextlib.suppress(OSError):  # the other side is closed
        while chunk := os.read(leader, 4096):
            text += chunk
    os.close(leader)
    assert (result.returncode, result.stdout) == (0, b"web/a: removed\n")
    if shown:
        assert b"\rwaiting for checkerd, 1 s\x1b[K" in text
        assert text.endswith(b"\r\x1b[K")
    else:
        assert text == b""


def test_what_is_quick_or_for_a_file_is_not_waited_for_aloud(stub, path):
    leader, follower = pty.openpty()
    run(path, "remove", "web/a", stdout=subprocess.PIPE, stderr=follower,
        capture_output=False, env={**ENVIRONMENT, "TERM": "xterm"})
    os.close(follower)
    with pytest.raises(OSError):  # there was nothing, and it is closed
        os.read(leader, 4096)
    os.close(leader)
    stub.raw(slowly)
    assert run(path, "remove", "web/a").stderr == b""


def test_proxies_are_not_asked(stub, path):
    result = run(path, "diff", env={**ENVIRONMENT, "http_proxy":
                                    "http://127.0.0.1:1", "ALL_PROXY":
                                    "socks5://127.0.0.1:1"})
    assert result.returncode == 0 and len(stub.requests) == 1


# --- what is made of the answer ---------------------------------------------

PROBE = {**HOST, "detail": "status 503 is in fail_status", "outcome": "ADMIN",
         "history": [
             {"outcome": "L7STS", "http_status": 503, "dns_us": 0,
              "connect_us": 90, "tls_us": 0, "first_byte_us": 700,
              "total_us": 1250},
             {"outcome": "L7OK", "http_status": 200, "total_us": 1}]}
REFUSED = {**HOST, "state": "up", "detail": "Connection refused",
           "history": [{"outcome": "L4CON", "http_status": None,
                        "connect_us": 0, "total_us": 66}]}
CHANGES = {"changes": [
    {"pool": "web", "host": "a", "key": "weight", "ini": "10",
     "runtime": "20", "since": "2026-11-21T11:00:00.000Z", "by": 1000,
     "reason": None, "until": None},
    {"pool": "web", "host": "a", "key": "admin", "ini": "auto",
     "runtime": "down", "since": "2026-11-21T11:00:00.000Z", "by": 0,
     "reason": "new disks", "until": "2026-11-21T12:00:00.000Z"},
    {"pool": "web", "host": None, "key": "balance", "ini": "round_robin",
     "runtime": "hash", "since": "2026-11-21T11:00:00.000Z", "by": 0},
    {"pool": "web", "host": "c", "key": "header", "ini": ["X: 1", "Y: 2"],
     "runtime": [], "since": "2026-11-21T11:00:00.000Z", "by": 0},
    {"pool": "web", "host": "d", "key": "server", "ini": None,
     "runtime": "10.0.0.3:8080 id=d", "since": "2026-11-21T11:00:00.000Z",
     "by": 0}]}

SHOWN = [
    ("down web/a", 200, HOST,
     "web/a  10.0.0.1:8080  down  weight 10  ordered: new disks, until "
     "2026-11-21T12:00:00.000Z\n"),
    ("down web/a", 200, {**HOST, "reason": None, "until": None},
     "web/a  10.0.0.1:8080  down  weight 10  ordered\n"),
    ("up web/a", 200, {**HOST, "admin": "auto", "state": "up"},
     "web/a  10.0.0.1:8080  up  weight 10\n"),
    ("add web/a 10.0.0.1:8080", 201, {**HOST, "admin": "auto",
                                      "state": "checking"},
     "web/a  10.0.0.1:8080  checking  weight 10\n"),
    ("up web/a", 204, None, "web/a: done\n"),
    ("remove web/a", 204, None, "web/a: removed\n"),
    ("remove web/a", 200, {}, "web/a: removed\n"),
    ("pool add web", 201, POOL,
     "web  upstream www  priority 1  balance hash\n"),
    ("pool set web priority=1", 200, POOL,
     "web  upstream www  priority 1  balance hash\n"),
    ("pool remove web", 204, None, "web: removed\n"),
    ("reload", 200, {"pools": 2, "hosts": 5},
     "reloaded: pools 2, hosts 5\n"),
    ("reload", 200, {"pools": 2, "hosts": 5, "gave_way": ["web/a: 4 now"]},
     "reloaded: pools 2, hosts 5\nweb/a: 4 now\n"),
    ("reload", 204, None, "reloaded\n"),
    ("revert web/a", 204, None, "web/a: as in the configuration again\n"),
    ("probe web/a", 200, PROBE,
     "web/a  down  L7STS 503  status 503 is in fail_status\n"
     "  connected 90us, TLS -, first byte 700us, all 1.25ms\n"),
    ("probe web/a", 200, REFUSED,
     "web/a  up  L4CON  Connection refused\n"
     "  connected -, TLS -, first byte -, all 66us\n"),
    ("diff", 200, CHANGES,
     "web/a  weight  10 -> 20  since 2026-11-21T11:00:00.000Z by uid 1000\n"
     "web/a  admin  auto -> down  since 2026-11-21T11:00:00.000Z by uid 0: "
     "new disks, until 2026-11-21T12:00:00.000Z\n"
     "web  balance  round_robin -> hash  since 2026-11-21T11:00:00.000Z by "
     "uid 0\n"
     'web/c  header  ["X: 1","Y: 2"] -> []  since 2026-11-21T11:00:00.000Z by '
     "uid 0\n"
     "web/d  server  - -> 10.0.0.3:8080 id=d  since 2026-11-21T11:00:00.000Z "
     "by uid 0\n"),
    ("diff", 200, {"changes": []},
     "no differences: all is as in the configuration\n"),
]


@pytest.mark.parametrize("words, status, document, output", SHOWN)
def test_people_get_a_line(stub, path, words, status, document, output):
    stub.answer(status, document)
    result = run(path, *words.split())
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode() == output


@pytest.mark.parametrize("words, document", [
    ("down web/a", HOST), ("pool add web", POOL), ("probe web/a", PROBE),
    ("diff", CHANGES), ("reload", {"ü": [1.5, None, "\u202e"]}),
    ("remove web/a", []),
])
def test_programs_get_the_document(stub, path, words, document):
    stub.answer(200, document)
    result = run(path, "--json", *words.split())
    assert (result.returncode, result.stderr) == (0, b"")
    assert json.loads(result.stdout) == document
    assert result.stdout.isascii() and result.stdout.count(b"\n") == 1


def test_no_document_is_no_output(stub, path):
    stub.answer(204)
    result = run(path, "--json", "remove", "web/a")
    assert (result.returncode, result.stdout) == (0, b"")


def refusal(message, key=None, **more):
    return {"error": {"code": "refused", "message": message, "key": key,
                      **more}}


@pytest.mark.parametrize("words, status, document, error", [
    ("weight web/a many", 422,
     refusal("is no number from 0 to 65535", "weight"),
     "checkerctl: weight: is no number from 0 to 65535\n"),
    ("down web/x", 404, refusal('no host "web/x"'),
     'checkerctl: no host "web/x"\n'
     "checkerctl: `checkerctl status` lists pools and hosts\n"),
    ("down web/x", 405, refusal("GET only"),
     "checkerctl: GET only\ncheckerctl: this socket only shows; give the "
     "control socket with -S\n"),
    ("pool add web", 409, refusal('pool "web" exists'),
     'checkerctl: pool "web" exists\ncheckerctl: change what exists with '
     "`weight` or `pool set`, or remove it first\n"),
    ("down web/a", 507, refusal("state_dir: No space left on device"),
     "checkerctl: state_dir: No space left on device\ncheckerctl: nothing was "
     "changed; make room for checkerd's state_dir\n"),
    ("reload", 422,
     refusal("the configuration has 2 errors and stays as it was",
             errors=["checkerd.ini:3: [pool web] intervall: unknown",
                     "checkerd.ini:9: [pool web] rise: 0 is too small"]),
     "checkerctl: the configuration has 2 errors and stays as it was\n"
     "checkerd.ini:3: [pool web] intervall: unknown\n"
     "checkerd.ini:9: [pool web] rise: 0 is too small\n"),
    ("diff", 500, None,
     "checkerctl: refused with HTTP status 500, without a reason\n"),
])
def test_a_refusal_is_1_with_its_reason(stub, path, words, status, document,
                                        error):
    stub.answer(status, document)
    result = run(path, *words.split())
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == error
    result = run(path, "--json", *words.split())
    assert (result.returncode, result.stderr.decode()) == (1, error)
    assert (json.loads(result.stdout) if document else
            result.stdout) == (document or b"")


def test_a_full_disk_is_no_success(stub, path):
    stub.answer(200, HOST)
    with open("/dev/full", "wb") as full:
        result = subprocess.run([CHECKERCTL, "-S", str(path), "up", "web/a"],
                                stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1 and b"standard output" in result.stderr


# --- what is refused before asking -------------------------------------------

@pytest.mark.parametrize("words, says", [
    ("down", "usage: checkerctl down POOL/HOST [--for TIME] [--reason TEXT]"),
    ("down web/a web/b", "usage: checkerctl down POOL/HOST"),
    ("weight web/a", "usage: checkerctl weight POOL/HOST N"),
    ("add web", "usage: checkerctl add POOL[/HOST] ADDRESS [KEY=VALUE ...]"),
    ("pool set web", "usage: checkerctl pool set POOL KEY=VALUE ..."),
    ("reload now", "usage: checkerctl reload\n"),
    ("down web", "down: needs POOL/HOST, not a whole pool"),
    ("pool remove web/a", "pool remove: needs a POOL, not a host of it"),
    ("down /a", '"/a" names no pool'),
    ("down web/", '"web/" names no host after the slash'),
    ("revert ''", '"" names no pool'),
    ("down web/a --for soon", '--for: "soon" is no time, such as 30s, 10m'),
    ("down web/a --for -1s", '--for: "-1s" is no time'),
    ("down web/a --for", "requires an argument"),
    ("down web/a --timeout 0", '--timeout: "0" is no time from 1ms to 1h'),
    ("down web/a --timeout 2h", '--timeout: "2h" is no time from 1ms to 1h'),
    ("weight web/a 1 --for 1m",
     "--for goes with `up`, `down`, `drain`, `auto` only"),
    ("status --reason x", "--reason goes with `up`, `down`"),
    ("down web/a -f", "--follow goes with `events` only"),
    ("add web h:1 weight", '"weight" is not KEY=VALUE'),
    ("add web h:1 =5", '"=5" is not KEY=VALUE'),
    ("pool", 'no command "pool"'),
    ("pool ad web", 'no command "pool ad"; did you mean "pool add"?'),
    ("drian web/a", 'no command "drian"; did you mean "drain"?'),
    ("help frobnicate", 'no command "frobnicate"'),
])
def test_what_is_no_request_is_not_sent(stub, path, words, says):
    result = run(path, *shlex.split(words))
    assert (result.returncode, result.stdout) == (1, b"")
    assert says in result.stderr.decode()
    assert stub.requests == []


@pytest.mark.parametrize("words, says", [
    ([b"down", b"web/a", b"--reason", b"\xff"],
     b"--reason: the text is not UTF-8"),
    ([b"add", b"web/a", b"\xff"], b"ADDRESS: the text is not UTF-8"),
    ([b"add", b"web", b"h:1", b"path=/\xc3"], b"path: is not UTF-8"),
    ([b"add", b"web", b"h:1", b"header=a", b"header=\xff"],
     b"header: is not UTF-8"),
    ([b"add", b"web", b"h:1", b"header=a", b"header=a", b"header=\xff"],
     b"header: is not UTF-8"),
    ([b"pool", b"add", b"web", b"p\xfe=1"], b"p\xfe: is not UTF-8"),
    ([b"weight", b"web/a", b"\xff"], b"weight: is not UTF-8"),
])
def test_bytes_that_json_cannot_hold(stub, path, words, says):
    result = run(path, *words)
    assert (result.returncode, result.stdout) == (1, b"")
    assert says in result.stderr
    assert stub.requests == []


# --- no answer ---------------------------------------------------------------

def test_no_socket_is_2(path):
    result = run(path, "down", "web/a")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.decode() == (
        f"checkerctl: {path}: no such socket: checkerd is not running, or its "
        "`control` names another one (give that with -S)\n")


def test_a_socket_left_behind_is_2(path):
    with ControlStub(path):
        pass
    result = run(path, "reload")
    assert result.returncode == 2
    assert f"{path}: nobody listens there: checkerd is not running" in \
        result.stderr.decode()


def test_a_path_that_no_socket_can_have_is_2(path):
    result = run("/" + "x" * 4000, "diff")
    assert result.returncode == 2
    assert b"File name too long" in result.stderr


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@pytest.fixture
def program(folder):
    """checkerctl where anybody may run it."""
    copy = folder / "checkerctl"
    copy.write_bytes(Path(CHECKERCTL).read_bytes())
    copy.chmod(0o755)
    return str(copy)


def test_permission_denied_names_who_may(stub, path, program):
    os.chown(path, 0, 4)  # adm
    path.chmod(0o660)
    result = subprocess.run([program, "-S", path, "reload"],
                            capture_output=True, preexec_fn=as_nobody)
    assert result.returncode == 2
    assert result.stderr.decode() == (
        f"checkerctl: {path}: permission denied: members of group adm may "
        "(its mode is 0660), and root\n")
    # a group without a name
    os.chown(path, 0, 123456)
    result = subprocess.run([program, "-S", path, "reload"],
                            capture_output=True, preexec_fn=as_nobody)
    assert b"members of group 123456 may" in result.stderr
    assert stub.requests == []


def test_a_closed_folder_is_named_as_such(folder, program):
    closed = folder / "run"
    closed.mkdir(0o700)
    result = subprocess.run([program, "-S", closed / "control.sock", "reload"],
                            capture_output=True, preexec_fn=as_nobody)
    assert result.returncode == 2
    assert b"permission denied: a folder on the way to it is not open to " \
        b"you" in result.stderr


def hang(stub):
    return lambda connection: stub.over.wait(60)


def drip(stub):
    """An answer that never ends, one byte at a time."""
    def answer(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
        while not stub.over.wait(0.02):
            connection.sendall(b" ")
    return answer


@pytest.mark.parametrize("manner", [hang, drip])
def test_patience_ends(stub, path, manner):
    stub.raw(manner(stub))
    result = run(path, "--timeout", "300ms", "down", "web/a", timeout=20)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.decode() == (
        f"checkerctl: {path}: no answer within 300ms; it may have been done "
        "nevertheless (--timeout waits longer)\n")
    result = run(path, "--timeout", "300ms", "diff", timeout=20)
    assert b"nevertheless" not in result.stderr


def test_who_does_not_even_accept_is_2(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as before:
            before.connect(str(path))
            result = run(path, "--timeout", "300ms", "down", "web/a",
                         timeout=20)
    assert result.returncode == 2
    assert str(path).encode() in result.stderr


def sends(data):
    """Goes on sending the same until the other side has enough."""
    def answer(connection):
        while True:
            connection.sendall(data * (1 + 65536 // len(data)))
    return answer


GARBAGE = {
    "nothing": b"",
    "no HTTP": b"220 mail.example.com ESMTP\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz",
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    "half JSON": b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{"a":',
    "two values": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}{}",
    "not UTF-8": b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"\xff"',
    "deep": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" +
            b"[" * 100000,
    "elsewhere": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                 b"Content-Length: 2\r\n\r\n{}",
    "a strange status": b"HTTP/1.1 999 Hm\r\nContent-Length: 2\r\n\r\n{}",
    "endless": lambda connection: (
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
        sends(b"[1,1]")(connection)),
    "endless head": lambda connection: (
        connection.sendall(b"HTTP/1.1 200 OK\r\n"),
        sends(b"X: 0123456789abcdef\r\n")(connection)),
    "a long header": lambda connection: (
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: "),
        sends(b"x")(connection)),
    "a terminal's": b"\x1b]0;owned\x07HTTP/1.1 200 \x1b[2J\r\n\r\n",
    "a status that": b"HTTP/1.1 \x1b[2J\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("words", ["down web/a", "--json diff"])
@pytest.mark.parametrize("what", GARBAGE)
def test_no_answer_of_checkerd_is_2(stub, path, what, words):
    stub.raw(GARBAGE[what])
    result = run(path, *words.split())
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"checkerctl: " + str(path).encode())
    assert b"\x1b" not in result.stderr


def test_the_answer_is_bounded(stub, path):
    stub.raw(GARBAGE["endless"])
    result = run(path, "diff")
    assert b"longer than 64 MB" in result.stderr


def test_the_largest_fleet_fits(stub, path):
    change = CHANGES["changes"][0]
    stub.answer(200, {"changes": [change] * 100_000})
    result = run(path, "diff")
    assert result.returncode == 0 and result.stdout.count(b"\n") == 100_000


# --- answers of the wrong shape ----------------------------------------------

WRONG = [None, 5, "x", True, [], {}, [[]], {"changes": 5},
         {"changes": [5, None, [], {"pool": 5, "host": [], "key": {},
                                    "ini": {"a": [1]}, "runtime": [],
                                    "since": 1, "by": "me"}]},
         {**HOST, "state": 5, "admin": [], "weight": "x", "address": None},
         {**HOST, "reason": 5, "until": {}},
         {**PROBE, "detail": 5, "history": 5}, {**PROBE, "history": []},
         {**PROBE, "history": [{"outcome": None, "total_us": "x",
                                "connect_us": -1, "http_status": "x"}]},
         {"error": 5}, {"error": {"message": 5, "key": [], "errors": 5}},
         {"error": {"message": "", "key": "", "errors": [5, None, "x"]}}]


@pytest.mark.parametrize("document", WRONG, ids=json.dumps)
@pytest.mark.parametrize("words", ["down web/a", "pool add web", "probe web/a",
                                   "diff", "reload", "revert web"])
@pytest.mark.parametrize("status, expected", [(200, (0, 2)), (422, (1,))])
def test_wrong_types_never_crash_it(stub, path, words, status, expected,
                                    document):
    body = json.dumps(document).encode()
    stub.raw(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" %
             (status, len(body), body))
    result = run(path, *words.split())
    assert result.returncode in expected, result
    assert bool(result.stderr) == (result.returncode != 0)
    assert b"Sanitizer" not in result.stderr


def test_what_is_no_document_for_people_is_2(stub, path):
    for words, document in (("down web/a", []), ("diff", {"changes": 5}),
                            ("probe web/a", "x"), ("reload", []), ("pool add web", 5)):
        stub.answer(200, document)
        result = run(path, *words.split())
        assert (result.returncode, result.stdout) == (2, b"")
        assert b"is that checkerd's socket" in result.stderr


def test_missing_values_are_dashes(stub, path):
    stub.answer(200, {})
    assert run(path, "down", "web/a").stdout == b"web/a  -  -  weight -\n"
    stub.answer(200, {"changes": [{}]})
    assert run(path, "diff").stdout == \
        b"-  -  - -> -  since - by uid -\n"


@pytest.mark.parametrize("text, shown", [
    ("\x1b[2J", r"\x1b[2J"), ("\u202eevil", r"\xe2\x80\xaeevil"),
    ("a\nb\r", r"a\x0ab\x0d"), ("\x9b31m", r"\xc2\x9b31m"),
    ("schön", "schön"),
])
def test_no_byte_reaches_the_terminal(stub, path, text, shown):
    stub.answer(200, {**HOST, "reason": text, "state": text})
    result = run(path, "down", "web/a")
    assert result.stdout.decode().count(shown) == 2
    stub.answer(200, {**PROBE, "detail": text})
    assert shown in run(path, "probe", "web/a").stdout.decode()
    change = {**CHANGES["changes"][0], "ini": text, "key": text,
              "runtime": [text], "reason": text}
    stub.answer(200, {"changes": [change]})
    result = run(path, "diff")
    assert result.stdout.decode().count(shown) == 3
    assert text not in result.stdout.decode() or text == shown
    assert result.stdout.count(b"\n") == 1
    stub.answer(422, refusal(text, text, errors=[text]))
    result = run(path, "reload")
    assert result.stderr.decode() == (f"checkerctl: {shown}: {shown}\n"
                                      f"{shown}\n")


def test_a_name_is_escaped_too(stub, path):
    stub.answer(200, HOST)
    assert run(path, "up", "web/\x1b[2J").stdout.startswith(b"web/\\x1b[2J  ")
    stub.answer(204)
    assert run(path, "remove", "web/\x1b[2J").stdout == \
        b"web/\\x1b[2J: removed\n"


def test_long_texts_are_not_cut(stub, path):
    text = "x" * 100_000 + "ü"
    stub.answer(422, refusal(text))
    assert run(path, "reload").stderr.decode() == f"checkerctl: {text}\n"


# --- help --------------------------------------------------------------------

def commands():
    """Of the list in -h: [(name, operands)]."""
    text = subprocess.run([CHECKERCTL, "-h"], capture_output=True, text=True,
                          check=True).stdout
    text = text.split("commands:\n")[1].split("\noptions:")[0]
    return re.findall(r"^  ([a-z]+(?: [a-z]+)*)(?: ([A-Z\[].*?))?(?:  .*)?$",
                      text, re.MULTILINE)


def test_the_list_has_all_commands():
    assert [name for name, _ in commands()] == (
        "status,watch,why,events,up,down,drain,auto,weight,probe,add,remove,"
        "pool add,pool set,pool remove,reload,diff,revert,help".split(","))


@pytest.mark.parametrize("name, operands", commands())
def test_each_command_has_help(name, operands):
    results = [subprocess.run([CHECKERCTL, *words], capture_output=True,
                              text=True)
               for words in (["help", *name.split()],
                             [*name.split(), "--help"],
                             ["-h", *name.split(), "x", "y"])]
    assert {(r.returncode, r.stderr) for r in results} == {(0, "")}
    assert len({r.stdout for r in results}) == 1
    first, *rest = results[0].stdout.splitlines()
    assert re.fullmatch(
        re.escape(f"usage: checkerctl {name} {operands}".rstrip()) +
        r"( \[-[-\w A-Z]+\])*", first)
    assert all(len(line) < 80 for line in rest)
    assert ("--reason" in results[0].stdout) == (
        name in ("up", "down", "drain", "auto"))


def test_half_a_name_shows_all_that_begin_so():
    result = subprocess.run([CHECKERCTL, "help", "pool"], capture_output=True,
                            text=True)
    assert re.findall("usage: checkerctl ([a-z]+ [a-z]+)", result.stdout) == [
        "pool add", "pool set", "pool remove"]


# --- the daemon itself -------------------------------------------------------

def test_a_story_with_checkerd(folder):
    ini = "[pool web]\ncheck = tcp\nserver = 127.0.0.1:1 id=a weight=3\n"
    with Checkerd(folder, ini) as checkerd:
        def ctl(words):
            result = run(checkerd.control, *shlex.split(words))
            return result.returncode, (result.stdout +
                                       result.stderr).decode()

        status, text = ctl("down web/a --for 1h --reason 'new disks'")
        assert status == 0
        assert re.fullmatch(r"web/a  127.0.0.1:1  down  weight 3  ordered: "
                            r"new disks, until \S+Z\n", text)
        assert re.fullmatch(r"web/a  admin  auto -> down  since \S+Z by uid 0:"
                            r" new disks, until \S+Z\n", ctl("diff")[1])
        assert ctl("weight web/a many")[0] == 1
        status, text = ctl("probe web/a")
        assert status == 0
        assert re.fullmatch(r"web/a  down  L4CON  .*\n  connected -, TLS -, "
                            r"first byte -, all \S+\n", text)
        assert ctl("add web unix:/run/app.sock weight=5 interval=5s") == (
            0, "web  unix:/run/app.sock  unknown  weight 5\n")
        assert ctl("remove web/unix:/run/app.sock")[0] == 0
        assert ctl("pool add api priority=2 balance=hash") == (
            0, "api  upstream api  priority 2  balance hash\n")
        assert ctl("pool remove api")[0] == 0
        assert ctl("revert web/a")[0] == 0
        assert ctl("diff") == (
            0, "no differences: all is as in the configuration\n")
        assert ctl("reload") == (0, "reloaded: pools 1, hosts 1\n")
        checkerd.write(ini + "intervall = 3\n")
        status, text = ctl("reload")
        assert status == 1
        assert re.search(r"^\S+checkerd.ini:\d+: \[pool web\] unknown key "
                         r'"intervall"', text, re.MULTILINE)


# --- completion in bash ------------------------------------------------------

@pytest.fixture
def segment(tmp_path):
    path = tmp_path / "health.shm"
    hosts = [(name, b"10.0.0.1:8080", hs.word(hs.UP, outcome="L7OK"),
              hs.detail(checked=1)) for name in
             (b"a", b"10.0.0.1:8080", b"10.0.0.2:8080")]
    hs.Segment([(b"web", b"web", hosts),
                (b"west", b"web", [(b"b", *hosts[0][1:])])]).save(path)
    return path


COMPLETE = r"""
source "$COMPLETION"
COMP_LINE=$1 COMP_POINT=${#1}
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_checkerctl
printf '%s\n' "${COMPREPLY[@]}"
"""


def bash_words(line):
    """As readline breaks a line: at blanks, and around each of := too."""
    words = []
    for word in line.split(" "):
        parts = re.findall(r"[:=]+|[^:=]+", word)
        words += parts if parts else [""]
        if parts and word != line.split(" ")[-1] and parts[-1] in ":=":
            continue
    return words


def complete(segment, line):
    line = line.replace("SEGMENT", str(segment))
    result = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", line, *bash_words(line)],
        capture_output=True, text=True, timeout=60,
        env={**ENVIRONMENT, "COMPLETION": str(COMPLETION),
             "PATH": f"{BUILD / 'checkerd'}:{os.environ['PATH']}"})
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.split()


@pytest.mark.parametrize("line, replies", [
    ("checkerctl d", ["down", "drain", "diff"]),
    ("checkerctl re", ["remove", "reload", "revert"]),
    ("checkerctl -s SEGMENT down we",
     ["web/a", "web/10.0.0.1:8080", "web/10.0.0.2:8080", "west/b"]),
    ("checkerctl -s SEGMENT down web/10.0.0.2", ["web/10.0.0.2:8080"]),
    # what stands before the last colon is not replaced
    ("checkerctl -s SEGMENT down web/10.0.0.2:", ["8080"]),
    ("checkerctl -s SEGMENT weight web/10.0.0.2:80", ["8080"]),
    ("checkerctl -s SEGMENT weight web/a ", []),
    ("checkerctl -s SEGMENT drain wes", ["west/b"]),
    ("checkerctl -s SEGMENT why web/a", ["web/a"]),
    ("checkerctl -s SEGMENT add we", ["web", "west"]),
    ("checkerctl pool ", ["add", "set", "remove"]),
    ("checkerctl pool s", ["set"]),
    ("checkerctl -s SEGMENT pool set w", ["web", "west"]),
    ("checkerctl -s SEGMENT pool remove wes", ["west"]),
    ("checkerctl -s SEGMENT revert wes", ["west", "west/b"]),
    ("checkerctl help dr", ["drain"]),
    ("checkerctl help pool r", ["remove"]),
    ("checkerctl down --", ["--segment", "--socket", "--timeout", "--json",
                            "--version", "--help", "--for", "--reason"]),
    ("checkerctl weight --f", []),
    ("checkerctl events --f", ["--follow"]),
    ("checkerctl --f", ["--follow", "--for"]),
    ("checkerctl down web/a --reason ", []),
    ("checkerctl down --reason status --for 1m --re", ["--reason"]),
    ("checkerctl reload ", []),
    ("checkerctl -s /no/segment down ", []),
])
def test_completion(segment, line, replies):
    assert sorted(complete(segment, line)) == sorted(replies)


def test_completion_expands_nothing(tmp_path):
    """Whoever may add a host has no say in an administrator's shell."""
    name = b"$(touch${IFS}pwned)`touch${IFS}pwned`*"
    path = tmp_path / "health.shm"
    host = (b"10.0.0.1:8080", hs.word(hs.UP, outcome="L7OK"),
            hs.detail(checked=1))
    hs.Segment([(b"web", b"web", [(name, *host), (b"[::1]:80", *host)])]
               ).save(path)
    quoted = (r"web/\$\(touch\$\{IFS\}pwned\)"
              r"\`touch\$\{IFS\}pwned\`\*")
    for line, replies in [("down web/$", [quoted]),
                          (r"down web/\$\(t", [quoted]),
                          ("down web/[", [r"web/\[::1\]:80"]),
                          (r"down web/\[::1\]:", ["80"])]:
        assert complete(path, f"checkerctl -s SEGMENT {line}") == replies
    assert not os.path.exists("pwned")


def test_completion_at_a_real_prompt(segment):
    """With readline breaking the words, and a colon among them."""
    leader, follower = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], stdin=follower,
        stdout=follower, stderr=follower, start_new_session=True,
        env={**ENVIRONMENT, "TERM": "dumb", "PS1": "$ ", "HISTFILE": "",
             "INPUTRC": "/dev/null",
             "PATH": f"{BUILD / 'checkerd'}:{os.environ['PATH']}"})
    os.close(follower)
    seen = b""

    def until(text):
        nonlocal seen
        deadline = time.monotonic() + 30
        while text not in seen:
            assert select.select([leader], [], [],
                                 deadline - time.monotonic())[0], seen
            seen += os.read(leader, 4096)
        seen = b""

    try:
        until(b"$ ")
        os.write(leader, f"source {COMPLETION}; echo re''ady\n".encode())
        until(b"ready")
        os.write(leader, f"checkerctl -s {segment} pool re\t".encode())
        until(b"pool remove ")
        os.write(leader, b"wes\t")
        until(b"west ")
        os.write(leader, b"\x15checkerctl -s %s down web/10.0.0.2:\t"
                 % str(segment).encode())
        until(b"web/10.0.0.2:8080 ")
    finally:
        shell.kill()
        shell.wait()
        os.close(leader)
