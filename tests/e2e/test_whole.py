# SPDX-License-Identifier: BSD-2-Clause
"""checkerd, the segment and nginx together, as a user has them."""

import re
import signal
import subprocess
import threading
import time

import pytest

from backends import Backends
from checkerd import Checkerd, timestamp
from nginx import Crowd, Nginx, wait_for

FAST = """
[defaults]
interval = 50ms
path = /healthz
connect_timeout = 500ms
read_timeout = 500ms
"""


def ini(backends, pool="web", more=""):
    servers = "".join(f"server = {b.address} id={b.name}\n" for b in backends)
    return f"{FAST}\n[pool {pool}]\n{servers}{more}\n"


def http(checkerd, backends, more="", parameters=None):
    return f"""
upstream_health_shm {checkerd.segment};
upstream web {{
{backends.servers(parameters)}
{more}
}}
"""


def events_of(nginx, kind):
    return [line for line in nginx.health_lines() if f": {kind} " in line]


@pytest.fixture
def backends():
    with Backends(3) as three:
        yield three


@pytest.fixture
def checkerd(folder, backends):
    with Checkerd(folder / "checkerd", ini(backends)) as running:
        running.wait_probes("web/a", 1)
        yield running


def test_a_sick_backend_gets_no_request_and_returns(folder, checkerd,
                                                     backends):
    with Nginx(folder / "nginx", http(checkerd, backends)) as nginx, \
            Crowd(nginx) as crowd:
        assert crowd.get(300) == {200: 300}
        assert min(backends.counts()) > 50

        backends[1].health = 503
        checkerd.wait_state("web/b", "down")
        # whoever asks from here on is not sent there, event line or not
        backends.reset()
        assert crowd.get(10000) == {200: 10000}
        assert backends[1].requests == 0
        nginx.log.wait("host_down")

        backends[1].health = 200
        checkerd.wait_state("web/b", "up")
        backends.reset()
        assert crowd.get(300) == {200: 300}
        assert min(backends.counts()) > 50
        nginx.log.wait("host_up")
        assert len(events_of(nginx, "host_down")) == 1
        assert len(events_of(nginx, "host_up")) == 1
        line = events_of(nginx, "host_down")[0]
        assert re.fullmatch(
            r'upstream_health: host_down upstream="web" pool="web" host="b" '
            rf'addr={backends[1].address} failcount=3 outcome=L7STS '
            r'status=503 seq=1', line)


def test_all_down_is_502_until_one_is_back(folder, checkerd, backends):
    with Nginx(folder / "nginx", http(checkerd, backends)) as nginx:
        for backend in backends:
            backend.health = 500
        for backend in backends:
            checkerd.wait_state(f"web/{backend.name}", "down")
        assert nginx.get().status == 502
        backends[2].health = 200
        checkerd.wait_state("web/c", "up")
        assert nginx.get().status == 200


def test_checkerd_killed_and_restarted_is_invisible(folder, checkerd,
                                                    backends):
    with Nginx(folder / "nginx", http(checkerd, backends)) as nginx, \
            Crowd(nginx) as crowd:
        backends[0].health = 503
        checkerd.wait_state("web/a", "down")
        before = checkerd.host("web/a")
        checkerd.kill()
        backends.reset()
        assert crowd.get(500) == {200: 500}
        checkerd.start()
        assert crowd.get(500) == {200: 500}
        assert backends[0].requests == 0
        after = checkerd.wait_probes("web/a", before["probes"] + 2)
        assert after["failcount"] > before["failcount"]
        assert after["changed_at"] == before["changed_at"]
        backends[0].health = 200
        checkerd.wait_state("web/a", "up")
        nginx.log.wait("host_up")
        assert len(events_of(nginx, "host_down")) == 1
        assert [event["seq"] for event in checkerd.events()] == [1, 2]


class Load:
    """wrk with a connection for each request, so that a reload of nginx has no
    idle connection to close under it."""

    def __init__(self, port):
        self.process = subprocess.Popen(
            ["wrk", "-t1", "-c8", "-d600s", "-H", "Connection: close",
             f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end()

    def end(self):
        """(requests, complaints)"""
        self.process.send_signal(signal.SIGINT)
        text = self.process.communicate(timeout=30)[0]
        done = int(re.search(r"(\d+) requests in", text).group(1))
        return done, re.findall(r"Socket errors.*|Non-2xx.*", text)


def test_reloads_and_kills_under_load_lose_nothing(folder, checkerd,
                                                   backends):
    with Nginx(folder / "nginx", http(checkerd, backends),
               listen="backlog=4096") as nginx:
        backends[2].health = 503
        checkerd.wait_state("web/c", "down")
        nginx.log.wait("host_down")
        backends.reset()
        with Load(nginx.port) as load:
            for round in range(50):
                nginx.reload()
                if round % 5 in (1, 3):
                    checkerd.kill()
                    checkerd.start()
            done, complaints = load.end()
        assert complaints == []
        assert done > 1000
        assert backends[2].requests == 0
        assert len(events_of(nginx, "host_down")) == 1
        assert events_of(nginx, "host_up") == []


def test_hosts_added_and_removed_by_a_reload_of_checkerd(folder, backends):
    with Checkerd(folder / "checkerd", ini(backends[:2])) as checkerd, \
            Nginx(folder / "nginx", http(checkerd, backends)) as nginx, \
            Crowd(nginx) as crowd:
        backends[1].health = backends[2].health = 503
        checkerd.wait_state("web/b", "down")
        backends.reset()
        crowd.get(60)
        assert backends[1].requests == 0
        assert backends[2].requests > 0  # nobody checks it yet

        checkerd.reload(ini(backends))
        checkerd.wait_state("web/c", "down")
        wait_for(lambda: (backends.reset(), crowd.get(30),
                          backends[2].requests == 0)[2], "c to be avoided")
        assert checkerd.host("web/b")["state"] == "down"

        checkerd.reload(ini([backends[0], backends[2]]))
        wait_for(lambda: (backends.reset(), crowd.get(30),
                          backends[1].requests > 0)[2],
                 "b to be nobody's business again")
        assert backends[2].requests == 0
        nginx.log.wait("does not know")


def test_an_order_in_the_ini_takes_a_host_out(folder, backends):
    text = ini(backends)
    with Checkerd(folder / "checkerd", text) as checkerd, \
            Nginx(folder / "nginx", http(checkerd, backends)) as nginx, \
            Crowd(nginx) as crowd:
        checkerd.wait_state("web/a", "up")
        checkerd.reload(text.replace("id=a", "id=a drain"))
        assert checkerd.host("web/a")["state"] == "drain"
        backends.reset()
        assert crowd.get(100) == {200: 100}
        assert backends[0].requests == 0
        nginx.log.wait("host_drain")
        event = checkerd.events()[-1]
        assert (event["event"], event["outcome"]) == ("host_drain", "ADMIN")
        checkerd.reload(text)
        checkerd.wait_state("web/a", "up")


def test_panic_serves_sick_hosts_rather_than_none(folder, backends):
    with Checkerd(folder / "checkerd",
                  ini(backends, more="panic = 50%")) as checkerd, \
            Nginx(folder / "nginx", http(checkerd, backends)) as nginx, \
            Crowd(nginx) as crowd:
        backends[0].health = 503
        checkerd.wait_state("web/a", "down")
        backends.reset()
        crowd.get(60)
        assert backends[0].requests == 0

        backends[1].health = 503
        checkerd.wait_state("web/b", "down")
        nginx.log.wait("panic_on")
        backends.reset()
        assert crowd.get(60) == {200: 60}
        assert min(backends.counts()) > 0
        assert checkerd.status()["pools"][0]["panic"] is True

        backends[1].health = 200
        checkerd.wait_state("web/b", "up")
        nginx.log.wait("panic_off")
        backends.reset()
        crowd.get(60)
        assert backends[0].requests == 0


def test_panic_is_told_across_reloads_and_restarts(folder, backends):
    backends[0].health = backends[1].health = 503
    text = ini(backends)
    with Checkerd(folder / "checkerd", text) as checkerd:
        checkerd.wait_state("web/a", "down")
        checkerd.wait_state("web/b", "down")
        checkerd.reload(text + "panic = 50%\n")
        assert checkerd.events()[-1]["event"] == "panic_on"
        checkerd.kill()
        checkerd.start()
        assert checkerd.status()["pools"][0]["panic"] is True
        checkerd.reload(text + "panic = 50%\n[pool other]\n")
        assert checkerd.events()[-1]["event"] == "panic_on"
        checkerd.reload(text)
        assert [e["event"] for e in checkerd.events()][-2:] == [
            "panic_on", "panic_off"]


def test_initial_checking_waits_for_the_first_pass(folder, backends):
    backends[0].health = 503
    with Checkerd(folder / "checkerd", ini(backends, more="""
initial = checking
fall = 100
interval = 200ms
""")) as checkerd, \
            Nginx(folder / "nginx", http(checkerd, backends)) as nginx, \
            Crowd(nginx) as crowd:
        checkerd.wait_state("web/b", "up")
        checkerd.wait_state("web/c", "up")
        assert checkerd.host("web/a")["state"] == "checking"
        backends.reset()
        crowd.get(60)
        assert backends[0].requests == 0
        backends[0].health = 200
        checkerd.wait_state("web/a", "up")
        assert [e["host"] for e in checkerd.events()
                if e["event"] == "host_up"][-1] == "a"


def test_a_stopped_checkerd_takes_nobody_down(folder, backends):
    """SIGSTOP for longer than any deadline, under slow answers."""
    for backend in backends:
        backend.delay = 0.1
    with Checkerd(folder / "checkerd", ini(backends)) as checkerd:
        checkerd.wait_probes("web/a", 3)
        probes = checkerd.host("web/a")["probes"]
        checkerd.signal(signal.SIGSTOP)
        threading.Event().wait(5)  # the fault itself: nothing to wait for
        checkerd.signal(signal.SIGCONT)
        checkerd.wait_probes("web/a", probes + 5)
        assert checkerd.events() == []


def test_a_backend_that_stops_listening_is_out_at_once(folder, backends):
    """Live traffic sees it first: no waiting for the interval."""
    text = ini(backends, more="interval = 2s\nobserve = connect")
    with Checkerd(folder / "checkerd", text) as checkerd, \
            Nginx(folder / "nginx", http(checkerd, backends, parameters={
                # some nginx keep connections by default, and one that is
                # closed tells nothing: the next try does
                1: "max_fails=0"})) as nginx:
        for name in "abc":
            checkerd.wait_state(f"web/{name}", "up")
        with Load(nginx.port) as load:
            wait_for(lambda: backends[1].requests > 100, "traffic")
            began = time.time()
            backends[1].stop()
            down = checkerd.wait_state("web/b", "down")
            took = timestamp(down["changed_at"]) - began
            done, complaints = load.end()
        assert down["outcome"] == "L4CON"
        print(f"out after {took * 1000:.0f} ms")
        assert took < 0.15
        assert complaints == []  # proxy_next_upstream does the rest
        nginx.log.wait("host_down")


def test_status_agrees_with_the_contract(checkerd):
    for name in "abc":
        checkerd.wait_state(f"web/{name}", "up")
    document = checkerd.status()
    assert set(document["segment"]) == {
        "path", "generation", "heartbeat_age_ms", "stale", "writer_pid",
        "started_at"}
    assert document["segment"]["writer_pid"] == checkerd.process.pid
    assert document["segment"]["heartbeat_age_ms"] < 1000
    pool = document["pools"][0]
    assert (pool["name"], pool["upstream"], pool["up"], pool["total"]) == (
        "web", "web", 3, 3)
    host = pool["hosts"][0]
    assert host["state"] == "up" and host["outcome"] == "L7OK"
    assert host["http_status"] == 200 and host["failcount"] == 0
    assert host["history"][0]["total_us"] > 0
