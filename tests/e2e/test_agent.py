# SPDX-License-Identifier: BSD-2-Clause
"""Another process says how a host is to be used: agents over TCP, and header
fields in the answers to checks."""

import re
import threading
import time

import pytest

from backends import Backends
from checkerd import Checkerd
from nginx import Nginx, wait_for
from services import Script

SETTINGS = """
[defaults]
path = /healthz
interval = 50ms
connect_timeout = 300ms
read_timeout = 300ms
jitter = 0
"""


class Agent(Script):
    """Says `line` to whoever connects; counts who did and what they sent."""

    def __init__(self, line="up\n"):
        super().__init__(self.say)
        self.line = line
        self.asked = 0
        self.heard = b""
        self.patience = threading.Event()

    def say(self, connection):
        self.asked += 1
        line = self.line
        if callable(line):
            line(connection)
            return
        connection.sendall(line.encode())
        while received := connection.recv(4096):
            self.heard += received

    @property
    def port(self):
        return self.address.rsplit(":", 1)[1]

    def wait_asked(self, more):
        """Answers that were given before are known by then."""
        wanted = self.asked + more + 1
        wait_for(lambda: self.asked >= wanted, "the agent to be asked")


def pool(backend, more, name="web", weight=10):
    return (f"\n[pool {name}]\nserver = {backend.address} id=a "
            f"weight={weight}\n{more}\n")


def wait_host(checkerd, name="web/a", **wanted):
    """Until the host is as `wanted`; agent's members are named agent_..."""
    def look():
        host = checkerd.host(name)
        agent = host["agent"] or {}
        seen = {key: agent.get(key[6:]) if key.startswith("agent_") else
                host[key] for key in wanted}
        return host if seen == wanted else None
    return wait_for(look, f"{name} to be {wanted}")


@pytest.fixture
def backend():
    with Backends(1) as one:
        yield one[0]


@pytest.fixture
def agent():
    with Agent() as listening:
        yield listening


@pytest.fixture
def checkerd(folder, backend, agent):
    with Checkerd(folder, SETTINGS +
                  pool(backend, f"agent = tcp://:{agent.port}")) as running:
        running.wait_state("web/a", "up")
        wait_host(running, agent_said="up")
        yield running


def transitions(checkerd):
    return [(e["event"], e["from"], e["to"], e["outcome"])
            for e in checkerd.events()]


# --- agents over TCP --------------------------------------------------------

def test_the_weight_follows(checkerd, agent):
    assert checkerd.host("web/a")["effective_weight"] == 10
    generation = checkerd.status()["segment"]["generation"]
    for line, effective in (("50%\n", 5), ("75%\r\n", 7.5), ("1%", 0.09765625),
                            ("200%\n", 10)):
        if line == "1%":
            agent.line = lambda connection: connection.sendall(b"1%")
        else:
            agent.line = line
        host = wait_host(checkerd, effective_weight=effective, state="up")
        assert host["weight"] == 10
    assert host["agent"]["weight_percent"] == 100
    assert checkerd.status()["segment"]["generation"] == generation + 4
    assert transitions(checkerd) == []  # nobody came, nobody went


def test_no_weight_is_a_drain(checkerd, agent):
    agent.line = "0%\n"
    host = wait_host(checkerd, state="drain", effective_weight=0)
    assert (host["admin"], host["verdict"], host["agent"]["order"]) == (
        "auto", "up", "drain")
    agent.line = "30%\n"
    assert wait_host(checkerd, state="up")["effective_weight"] == 3
    assert transitions(checkerd) == [
        ("host_drain", "up", "drain", "AGENT"),
        ("host_up", "drain", "up", "AGENT")]


def test_orders_last_until_they_are_taken_back(checkerd, agent):
    story = (
        ("drain", "drain", "drain"),
        ("up 50%", "drain", "drain"),
        ("ready", "up", None),
        ("maint #backup", "down", "maint"),
        ("up", "down", "maint"),
        ("ready", "up", None),
        ("down #disk full", "down", "down"),
        ("ready 20%", "down", "down"),
        ("UP", "up", None),
        ("fail", "down", "down"),
        ("up,100%", "up", None),
        ("stopped", "down", "down"),
    )
    for line, state, order in story:
        agent.line = line + "\n"
        host = wait_host(checkerd, agent_said=line, state=state,
                         agent_order=order)
        assert (host["admin"], host["verdict"]) == ("auto", "up")
    events = checkerd.events()
    assert [e["to"] for e in events] == ["drain", "up", "down", "up", "down",
                                         "up", "down", "up", "down"]
    assert {e["outcome"] for e in events} == {"AGENT"}
    where = f"the agent at {agent.address} says "
    assert events[2]["reason"] == where + '"maint #backup"'
    assert re.search(re.escape(where + '"down #disk full"'),
                     "\n".join(checkerd.log.lines("host_down")))
    why = checkerd.ctl("why", "web/a")[1]
    assert "its agent says down, which no check undoes; checks say up" in why
    assert 'says "stopped"' in why


def test_checks_go_on_below_an_agent(checkerd, agent, backend):
    agent.line = "up\n"
    backend.health = 500
    host = checkerd.wait_state("web/a", "down")
    assert host["outcome"] == "L7STS"
    agent.line = "drain\n"
    wait_host(checkerd, state="drain", verdict="down")
    agent.line = "ready\n"
    checkerd.wait_state("web/a", "down")
    backend.health = 200
    checkerd.wait_state("web/a", "up")


def slow_drip(connection):
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def silence(connection):
    while connection.recv(4096):
        pass


def flood(connection):
    while True:
        connection.sendall(b"what is this " * 1000)


@pytest.mark.parametrize("line, problem", [
    ("who are you?\n", "L7RSP"),
    ("HTTP/1.1 400 Bad Request\r\n", "L7RSP"),
    ("\x00\x01\x7f%\n", "L7RSP"),
    ("\n", "L7RSP"),
    (lambda connection: connection.close(), "L7RSP"),
    (silence, "L7TOUT"),
    (slow_drip, "L7TOUT"),
    (flood, "L7RSP"),
], ids=["garbage", "http", "bytes", "nothing", "close", "silence", "drip",
        "flood"])
def test_what_makes_no_sense_changes_nothing(checkerd, agent, line, problem):
    agent.line = "drain 40%\n"
    wait_host(checkerd, state="drain")
    agent.line = line
    host = wait_host(checkerd, agent_problem=problem)
    assert (host["state"], host["effective_weight"],
            host["agent"]["said"]) == ("drain", 4, "drain 40%")
    probes = host["probes"]
    checkerd.wait_probes("web/a", probes + 3)  # which nobody held up
    agent.wait_asked(1)
    assert len(checkerd.log.lines("changes nothing")) == 1
    assert problem in checkerd.ctl("why", "web/a")[1]
    agent.line = "ready\n"
    host = wait_host(checkerd, state="up", agent_missed=0)
    assert host["agent"]["problem"] is None
    assert len(checkerd.log.lines("makes sense again")) == 1


def test_an_agent_that_is_gone_changes_nothing(folder, backend):
    agent = Agent("25%\n")
    with agent:
        text = SETTINGS + pool(backend, f"agent = tcp://{agent.address}")
        checkerd = Checkerd(folder, text).start()
        wait_host(checkerd, effective_weight=2.5)
    host = wait_host(checkerd, agent_problem="L4CON", state="up")
    assert host["effective_weight"] == 2.5
    checkerd.stop()


def test_it_is_sent_what_it_is_to_be_sent(folder, backend, agent):
    text = SETTINGS + pool(backend, f"agent = tcp://localhost:{agent.port}\n"
                           r"agent_send = state\x20of\x20a\n")
    with Checkerd(folder, text):
        wait_for(lambda: b"state of a\n" in agent.heard, "what it is sent")


def test_the_interval_is_its_own(folder, backend, agent):
    text = SETTINGS + pool(backend, f"agent = tcp://:{agent.port}\n"
                           "agent_interval = 30s") + \
        pool(backend, "check = none\nagent_interval = 50ms\n"
             f"agent = tcp://:{agent.port}", "unprobed")
    with Checkerd(folder, text) as checkerd:
        agent.wait_asked(5)
        asked = checkerd.host("web/a")["agent"]["said_at"]
        agent.line = "drain\n"
        host = checkerd.wait_state("unprobed/a", "drain")
        assert host["probes"] == 0
        # asked once in 30 s, if at all yet
        assert checkerd.host("web/a")["agent"]["said_at"] == asked


def test_the_same_question_is_asked_once(folder, backend, agent):
    text = SETTINGS + "".join(
        pool(backend, f"agent = tcp://:{agent.port}\nagent_interval = 200ms",
             f"p{n}") for n in range(50))
    with Checkerd(folder, text) as checkerd:
        agent.line = "drain\n"
        for n in range(50):
            checkerd.wait_state(f"p{n}/a", "drain")
        before, began = agent.asked, time.monotonic()
        agent.wait_asked(5)
        seconds = time.monotonic() - began
        assert agent.asked - before <= seconds / 0.2 + 2


def test_a_persons_order_outranks_the_agents(folder, backend, agent):
    def text(order):
        return SETTINGS + pool(backend, f"agent = tcp://:{agent.port}").replace(
            "weight=10", f"weight=10 {order}")

    agent.line = "up ready 100%\n"
    with Checkerd(folder, text("down")) as checkerd:
        host = wait_host(checkerd, agent_said="up ready 100%")
        assert (host["state"], host["admin"]) == ("down", "down")
        checkerd.reload(text("drain"))
        agent.line = "maint\n"
        host = wait_host(checkerd, agent_order="maint")
        assert (host["state"], host["admin"]) == ("drain", "drain")
        # once the person lets go, the agent's word counts
        checkerd.reload(text(""))
        host = checkerd.wait_state("web/a", "down")
        assert (host["admin"], host["agent"]["order"]) == ("auto", "maint")


# --- memory -----------------------------------------------------------------

@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_remembers(folder, backend, how):
    with Agent("drain 40%\n") as agent:
        text = SETTINGS + pool(backend, f"agent = tcp://{agent.address}")
        checkerd = Checkerd(folder, text).start()
        wait_host(checkerd, state="drain", effective_weight=4)
        getattr(checkerd, how)()
    with checkerd:  # and nobody there to ask
        host = wait_host(checkerd, agent_problem="L4CON")
        assert (host["state"], host["effective_weight"],
                host["agent"]["said"]) == ("drain", 4, "drain 40%")
        assert len(checkerd.events()) == 1


def test_a_reload_remembers_while_the_agent_is_the_same(folder, backend):
    with Agent() as agent, Agent("\n") as other:
        text = SETTINGS + pool(backend, f"agent = tcp://{agent.address}")
        with Checkerd(folder, text) as checkerd:
            checkerd.wait_state("web/a", "up")
            agent.line = "drain 40%\n"
            wait_host(checkerd, state="drain")
            agent.line = "\n"
            # another segment, and other settings beside the agent
            checkerd.reload(text + "rise = 4\n" + pool(backend, "", "more"))
            wait_host(checkerd, state="drain", agent_said="drain 40%",
                      effective_weight=4)
            agent.wait_asked(1)
            checkerd.reload(text.replace(agent.address, other.address))
            host = wait_host(checkerd, state="up", effective_weight=10)
            assert host["agent"]["said"] is None
            other.line = "maint\n"
            wait_host(checkerd, state="down", agent_order="maint")
            checkerd.reload(SETTINGS + pool(backend, ""))
            assert wait_host(checkerd, state="up")["agent"] is None
            assert transitions(checkerd) == [
                ("host_drain", "up", "drain", "AGENT"),
                ("host_up", "drain", "up", "ADMIN"),
                ("host_down", "up", "down", "AGENT"),
                ("host_up", "down", "up", "ADMIN")]


def test_reloads_do_not_keep_it_from_being_asked(checkerd, agent):
    """Configurations may come into force faster than it answers."""
    def slow(connection):
        time.sleep(0.2)
        connection.sendall(b"25%\n")

    agent.line = slow
    end = time.monotonic() + 5
    while checkerd.host("web/a")["effective_weight"] != 2.5:
        assert time.monotonic() < end, "the agent's answers get lost"
        checkerd.reload()


# --- header fields ----------------------------------------------------------

def test_answers_to_checks_say_it(folder, backend):
    with Checkerd(folder, SETTINGS +
                  pool(backend, "agent = header")) as checkerd:
        checkerd.wait_state("web/a", "up")
        story = (("50%", "up", 5), ("drain", "drain", 10), ("100%", "up", 10),
                 ("maint", "down", 10), ("up", "up", 10), ("0%", "drain", 0),
                 ("down", "down", 10), ("drain, 20%", "drain", 2),
                 ("up 20%", "up", 2))
        for weight, state, effective in story:
            backend.weight = weight
            host = wait_host(checkerd, agent_said=weight, state=state)
            assert host["effective_weight"] == effective
            assert host["admin"] == "auto"
        # nothing said: nothing changed
        backend.weight = None
        checkerd.wait_probes("web/a", host["probes"] + 3)
        assert checkerd.host("web/a")["effective_weight"] == 2
        backend.weight = "lots"
        host = wait_host(checkerd, agent_problem="L7RSP")
        assert (host["state"], host["effective_weight"]) == ("up", 2)
        # an answer that fails may say why
        backend.health, backend.weight = 503, "maint"
        host = wait_host(checkerd, agent_order="maint", verdict="down")
        reasons = {e["reason"] for e in checkerd.events()}
        assert 'its X-Health-Weight says "drain"' in reasons


def test_nobody_is_heard_who_was_not_asked_for(folder, backend):
    backend.weight = "maint"
    with Checkerd(folder, SETTINGS + pool(backend, "") +
                  pool(backend, "agent = header", "heeds")) as checkerd:
        checkerd.wait_state("heeds/a", "down")
        checkerd.wait_probes("web/a", 3)
        host = checkerd.host("web/a")
        assert (host["state"], host["agent"], host["shared"]) == (
            "up", None, 2)


# --- nginx ------------------------------------------------------------------

def test_nginx_sends_nothing_where_the_agent_says_so(folder):
    with Backends(3) as backends, Agent() as agent:
        servers = "".join(f"server = {b.address} id={b.name}\n"
                          for b in backends)
        text = (SETTINGS + f"[pool web]\n{servers}\n"
                f"[host web/b]\nagent = tcp://{agent.address}\n")
        with Checkerd(folder / "checkerd", text) as checkerd, \
                Nginx(folder / "nginx", f"""
upstream_health_shm {checkerd.segment};
upstream web {{
{backends.servers()}
}}
""") as nginx:
            for line, state in (("drain", "drain"), ("ready", "up"),
                                ("maint", "down"), ("ready", "up"),
                                ("down", "down"), ("up", "up")):
                agent.line = line + "\n"
                checkerd.wait_state("web/b", state)
                head = len(checkerd.events())
                wait_for(lambda: len(nginx.health_lines()) >= head,
                         "nginx to hear of it")
                backends.reset()
                for _ in range(30):
                    assert nginx.get("/").status == 200
                assert (backends[1].requests > 0) == (state == "up"), line
            assert "outcome=AGENT" in nginx.health_lines()[-1]
