# SPDX-License-Identifier: BSD-2-Clause
"""The packages on a machine with a booted systemd, from `apt install` to
`apt purge`; one machine, so the stories are told in their order."""
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from booted import Machine, cgroup2

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from backends import Backends  # noqa: E402

HERE = Path(__file__).resolve().parent
PACKAGES = Path(os.environ["CHECKERD_BUILD"]) / "packages"
MODULE = "libnginx-mod-http-upstream-health-shm"
ENABLED = "etc/nginx/modules-enabled/50-mod-http-upstream-health-shm.conf"
A, B = "127.0.0.1:8081", "127.0.0.1:8082"

INI = f"""
[defaults]
path = /healthz
interval = 50ms
fall = 2

[pool web]
server = {A} id=a
server = {B} id=b

[notify]
exec = /usr/bin/python3 /usr/local/lib/sandbox.py
"""

SITE = f"""
upstream_health_shm;
upstream web {{
    server {A};
    server {B};
}}
server {{
    listen 127.0.0.1:8080;
    location / {{
        proxy_pass http://web;
        proxy_next_upstream off;
    }}
}}
"""

# What a package may have left when it is purged: what apt, dpkg and systemd
# keep for themselves, logs, and Debian's own way with users.
KEPT = re.compile(r"/var/(cache|log|lib/(apt|dpkg))/|/run/(log|systemd)/"
                  r"|/var/lib/systemd/catalog/database$"
                  r"|/etc/(passwd|group|shadow|gshadow)-?$")


class Traffic(threading.Thread):
    """Asks nginx for one page after the other; `served` says by whom, in the
    order of the requests."""

    def __init__(self, port=8080):
        super().__init__(daemon=True)
        self.port = port
        self.served = []
        self.enough = threading.Event()

    def get(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, 10)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            return answer.getheader("X-Backend") or str(answer.status)
        except OSError as error:
            return repr(error)
        finally:
            connection.close()

    def run(self):
        while not self.enough.wait(0.005):
            self.served.append(self.get())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.join()


class Server:
    """The machine with both packages, nginx, and the hosts a and b."""

    def __init__(self, machine, backends):
        self.machine = machine
        self.run = machine.run
        self.wait = machine.wait
        self.a, self.b = backends

    def path(self, name):
        return self.machine.root / name.lstrip("/")

    def packages(self, *what):
        """apt itself, without a network: what these need is installed."""
        folder = self.path("root/packages")
        folder.mkdir(exist_ok=True)
        for package in what:
            if isinstance(package, Path):
                shutil.copy(package, folder)
        self.run("apt-get", "install", "-y", "--no-install-recommends",
                 "--allow-downgrades",
                 *(f"/root/packages/{word.name}" if isinstance(word, Path)
                   else word for word in what))

    def status(self):
        return json.loads(self.run("checkerctl", "status", "--json",
                                   check=False))

    def host(self, host_id):
        [host] = [host for pool in self.status()["pools"]
                  for host in pool["hosts"] if host["id"] == host_id]
        return host

    def wait_state(self, host_id, state):
        return self.wait(lambda: (lambda host: host if host["state"] == state
                                  else None)(self.host(host_id)),
                         f"{host_id} to be {state}")

    def show(self, name, unit="checkerd"):
        return self.machine.show(unit, name)

    def wait_new(self, pid):
        """Until another process than that serves."""
        self.wait(lambda: self.show("MainPID") not in ("0", pid) and
                  self.show("ActiveState") == "active", "a new checkerd")

    def wait_said(self, pattern, *match):
        """Until the journal has it, which may be some time later."""
        self.wait(lambda: re.search(pattern, self.run(
            "journalctl", "--no-pager", "-u", "checkerd", *match)), pattern)

    def segment(self):
        return self.path("run/checkerd/health.shm").stat().st_ino


@contextlib.contextmanager
def unnoticed(server):
    """What happens to checkerd meanwhile: nginx goes on, b stays down, and no
    event is lost or told again."""
    server.wait_state("b", "down")
    before, segment = server.host("b"), server.segment()
    events = server.run("checkerctl", "events", "--json")
    nginx = server.show("MainPID", "nginx")
    with Traffic() as traffic:
        yield
        probes = server.host("a")["probes"] or 0
        server.wait(lambda: (server.host("a")["probes"] or 0) > probes,
                    "probes to go on")
    after = server.host("b")
    assert set(traffic.served) == {"a"}
    assert (after["state"], after["changed_at"]) == ("down",
                                                     before["changed_at"])
    assert after["failures"] >= before["failures"]
    assert server.segment() == segment
    assert server.run("checkerctl", "events", "--json") == events
    assert server.show("MainPID", "nginx") == nginx


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """With nginx as Debian sets it up, but for the level of its log.  apt
    knows what is installed, and nothing of what else there is."""
    with Machine(tmp_path_factory.mktemp("machine")) as machine:
        machine.run("sh", "-c", "rm -rf /var/lib/apt/lists/*"
                    " /etc/apt/apt.conf.d/*packagekit* /var/lib/man-db/auto*")
        machine.run("sed", "-i", "/^error_log/s/;/ notice;/",
                    "/etc/nginx/nginx.conf")
        machine.run("systemctl", "start", "nginx")
        yield machine


@pytest.fixture(scope="module")
def before(machine):
    """What there was before."""
    return machine.files()


@pytest.fixture(scope="module")
def server(machine, before):
    with machine.network(), Backends([A, B]) as backends:
        server = Server(machine, backends)
        server.packages(newest("checkerd"), newest(MODULE))
        shutil.copy(HERE / "sandbox.py", server.path("usr/local/lib"))
        server.path("etc/checkerd/checkerd.ini").write_text(INI)
        server.path("etc/nginx/sites-enabled/default").unlink()
        server.path("etc/nginx/conf.d/web.conf").write_text(SITE)
        yield server


def newest(package):
    [path] = PACKAGES.glob(f"{package}_*.deb")
    return path


def repacked(package, version, folder):
    """The same files as another version."""
    unpacked = folder / version
    subprocess.run(["dpkg-deb", "-R", package, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}",
                              control.read_text()))
    result = folder / f"checkerd_{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Z", "none", "-b",
                    unpacked, result],
                   check=True, stdout=subprocess.DEVNULL)
    return result


def test_machine_ends_with_its_test(machine, tmp_path):
    """However that ends."""
    code = ("import sys; from booted import Machine\n"
            "with Machine(sys.argv[1]) as machine:\n"
            "    print(machine.leader, flush=True)\n"
            "    sys.stdin.read()\n")
    test = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)],
                            cwd=HERE, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    leader = Path("/proc") / test.stdout.readline().strip()
    group = cgroup2() / (leader / "cgroup").read_text().split("0::/")[1] \
        .split("/")[0]
    assert group.name.startswith("machine-")
    test.kill()
    test.wait()
    machine.wait(lambda: not leader.exists() and not group.exists(),
                 "the machine to be gone")


def test_installed_is_started(server):
    assert server.show("ActiveState") == "active"
    assert server.run("systemctl", "is-enabled", "checkerd") == "enabled\n"
    assert server.show("User") == "checkerd"
    assert server.status()["pools"] == []
    assert server.path(ENABLED).is_symlink()
    assert server.path("run/checkerd").stat().st_mode & 0o777 == 0o755
    assert server.path("var/lib/checkerd").stat().st_mode & 0o777 == 0o750


def test_nginx_routes_by_it(server):
    server.run("systemctl", "reload", "checkerd")
    server.run("systemctl", "reload", "nginx")
    traffic = Traffic()
    server.wait(lambda: {traffic.get() for _ in range(10)} == {"a", "b"},
                "nginx to use both hosts")
    server.b.health = 503
    server.wait_state("b", "down")
    server.wait(lambda: "host_down" in
                server.path("var/log/nginx/error.log").read_text(),
                "nginx to have heard")
    assert {traffic.get() for _ in range(10)} == {"a"}


def test_journal(server):
    server.wait_said("host_down")
    [record] = server.machine.journal(
        "MESSAGE_ID=09325d271f834c80aff52c58dbef224d")
    for field, value in {"_SYSTEMD_UNIT": "checkerd.service",
                         "SYSLOG_IDENTIFIER": "checkerd", "PRIORITY": "4",
                         "CHECKERD_EVENT": "host_down",
                         "CHECKERD_UPSTREAM": "web", "CHECKERD_POOL": "web",
                         "CHECKERD_HOST": "b", "CHECKERD_ADDRESS": B,
                         "CHECKERD_FROM": "up", "CHECKERD_TO": "down",
                         "CHECKERD_OUTCOME": "L7STS",
                         "CHECKERD_HTTP_STATUS": "503",
                         "CHECKERD_FAILCOUNT": "2"}.items():
        assert record.get(field) == value, record
    server.wait_said("Subject: Host web/b is down", "-x")


def test_sandbox(server):
    """Of the program that was told of b."""
    report = server.path("var/lib/checkerd/sandbox.json")
    server.wait(report.exists, "the program of [notify] to be done")
    found = json.loads(report.read_text())
    assert {what: got for what, (expected, got) in found.items()} == \
        {what: expected for what, (expected, got) in found.items()}
    assert not server.path("tmp/new").exists()


def test_daemon_has_no_privileges(server):
    pid = server.show("MainPID")
    status = dict(re.findall(r"(\w+):\t(.*)",
                             server.run("cat", f"/proc/{pid}/status")))
    assert {name: status[name] for name in
            ("CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
            } == {"CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": "0" * 16,
                  "CapAmb": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}
    assert "0" not in status["Uid"].split()


def test_nginx_reads_and_cannot_write(server):
    """As the user that its workers are."""
    def attempt(what):
        return server.run("sh", "-c", what, user="www-data", check=False)

    segment = "/run/checkerd/health.shm"
    assert attempt(f"head -c 8 {segment}") != ""
    for what in (f": >> {segment}", f"rm -f {segment}",
                 f"mv {segment} {segment}2", ": > /run/checkerd/new",
                 "cat /var/lib/checkerd/changes.json",
                 "checkerctl down web/a"):
        assert "ermission denied" in attempt(what), what
    assert '"pools"' in attempt(
        "curl -s --unix-socket /run/checkerd/status.sock http://c/v1/pools")


def test_good_file_is_reloaded(server):
    pid = server.show("MainPID")
    ini = server.path("etc/checkerd/checkerd.ini")
    ini.write_text(INI + "\n[pool more]\nserver = 127.0.0.1:8083\n")
    with Traffic() as traffic:
        server.run("systemctl", "reload", "checkerd")
        server.wait(lambda: len(server.status()["pools"]) == 2, "a new pool")
    assert set(traffic.served) == {"a"}
    ini.write_text(INI)
    server.run("systemctl", "reload", "checkerd")
    server.wait(lambda: len(server.status()["pools"]) == 1, "a pool less")
    assert server.show("MainPID") == pid


def test_bad_file_is_refused(server):
    ini = server.path("etc/checkerd/checkerd.ini")
    ini.write_text(INI.replace("interval", "intervall"))
    line = INI.splitlines().index("interval = 50ms") + 1
    try:
        with unnoticed(server):
            pid = server.show("MainPID")
            said = server.run("systemctl", "reload", "checkerd", check=False)
            assert "failed" in said
            assert server.show("MainPID") == pid
        server.wait_said(rf"/checkerd.ini:{line}: \[defaults\] unknown key ")
    finally:
        ini.write_text(INI)
        server.run("systemctl", "reload", "checkerd")


def test_restart(server):
    with unnoticed(server):
        pid = server.show("MainPID")
        server.run("systemctl", "restart", "checkerd")
        server.wait_new(pid)


def test_stop_and_start(server):
    """The segment stays in place for nginx."""
    with unnoticed(server):
        server.run("systemctl", "stop", "checkerd")
        assert server.show("ActiveState") == "inactive"
        assert server.show("Result") == "success"
        assert server.host("b")["state"] == "down"
        server.run("systemctl", "start", "checkerd")


def test_killed_is_started_again(server):
    with unnoticed(server):
        pid = server.show("MainPID")
        server.run("systemctl", "kill", "--signal=KILL", "checkerd")
        server.wait_new(pid)


@contextlib.contextmanager
def unit_with(server, settings):
    """For tests that cannot wait for so long as the unit does."""
    drop_in = server.path("run/systemd/system/checkerd.service.d/test.conf")
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(f"[Service]\n{settings}\n")
    server.run("systemctl", "daemon-reload")
    server.run("systemctl", "restart", "checkerd")
    yield
    drop_in.unlink()
    server.run("systemctl", "daemon-reload")
    server.run("systemctl", "restart", "checkerd")


def test_stuck_is_started_again(server):
    with unit_with(server, "WatchdogSec=1\nLimitCORE=0"), \
         unnoticed(server):
        pid = server.show("MainPID")
        server.run("systemctl", "kill", "--signal=STOP", "checkerd")
        server.wait_new(pid)
    server.wait_said("Watchdog timeout")


def test_start_is_tried_until_names_resolve(server):
    """As after a boot without a name server; systemd's default is to give up
    after five times."""
    ini = server.path("etc/checkerd/checkerd.ini")
    hosts = server.path("etc/hosts")
    known = hosts.read_text()
    with unit_with(server, "RestartSec=50ms"):
        ini.write_text(INI + "\n[pool late]\nserver = late.test:8081\n")
        server.run("systemctl", "restart", "checkerd", check=False)
        server.wait(lambda: int(server.show("NRestarts")) > 5, "many attempts")
        hosts.write_text(known + "127.0.0.1 late.test\n")
        server.wait(lambda: server.show("ActiveState") == "active",
                    "the name to be found")
        ini.write_text(INI)
        hosts.write_text(known)


@pytest.mark.parametrize("what", ["9.9-1", "9.9-1 again", "as before"])
def test_upgrade_reinstallation_and_downgrade(server, tmp_path, what):
    ours = newest("checkerd")
    with unnoticed(server):
        pid = server.show("MainPID")
        if what == "as before":
            server.packages(ours)
        else:
            server.packages(repacked(ours, "9.9-1", tmp_path), "--reinstall")
        server.wait_new(pid)
    assert server.path("etc/checkerd/checkerd.ini").read_text() == INI


def test_module_comes_again(server):
    """nginx reloads, and no request meets b or fails."""
    nginx = server.show("MainPID", "nginx")
    log = server.path("var/log/nginx/error.log")
    reloads = log.read_text().count("signal 17 (SIGCHLD)")
    with Traffic() as traffic:
        server.packages(newest(MODULE), "--reinstall")
        server.wait(lambda: log.read_text().count("signal 17 (SIGCHLD)") >
                    reloads, "nginx to replace its workers")
    assert set(traffic.served) == {"a"}
    assert server.show("MainPID", "nginx") == nginx


def test_nginx_takes_the_new_module(server):
    """By a new process for the same sockets."""
    nginx = server.show("MainPID", "nginx")
    with Traffic() as traffic:
        server.run("service", "nginx", "upgrade")
        server.wait(lambda: server.show("MainPID", "nginx") not in
                    ("0", nginx), "a new nginx")
    assert set(traffic.served) == {"a"}


def test_disabled_module_stays_disabled(server):
    """Also where nginx.conf needs it: then nginx refuses to reload."""
    link = server.path(ENABLED)
    available = link.readlink()
    link.unlink()
    with Traffic() as traffic:
        server.packages(newest(MODULE), "--reinstall")
    assert not link.is_symlink()
    assert set(traffic.served) == {"a"}
    link.symlink_to(available)


def test_removed(server):
    """nginx keeps to the last states; settings are kept for a return."""
    server.run("checkerctl", "weight", "web/a", "2")
    with Traffic() as traffic:
        server.run("apt-get", "remove", "-y", "checkerd")
        assert server.show("ActiveState") == "inactive"
        assert server.path("etc/checkerd/checkerd.ini").exists()
        assert server.path("var/lib/checkerd/changes.json").exists()
    assert set(traffic.served) == {"a"}


def test_purge_leaves_nothing(server, machine, before):
    server.path("etc/nginx/conf.d/web.conf").unlink()
    server.path("usr/local/lib/sandbox.py").unlink()
    shutil.rmtree(server.path("root/packages"))
    server.run("apt-get", "purge", "-y", "checkerd", MODULE)
    server.run("nginx", "-t")
    left = {path for path in machine.files() - before if not KEPT.match(path)}
    assert left == set()
    for folder in ("etc/checkerd", "run/checkerd", "var/lib/checkerd"):
        assert not server.path(folder).exists()
