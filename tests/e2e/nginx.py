# SPDX-License-Identifier: BSD-2-Clause
"""A real nginx in a folder of its own, for tests.

    with Nginx(folder, http="...", port=8080) as nginx:
        nginx.reload()

The error log is part of every test: when nginx is stopped, any [alert],
[emerg], [crit], signal or sanitizer line in it fails the test, unless the test
has named it with `expect`.  `wait_for` polls a condition and says what it
waited for when it gives up; `settle` alone sleeps for a fixed time.
"""

import http.client
import itertools
import os
import re
import signal
import socket
import subprocess
import time

BUILD = os.path.abspath(os.environ.get("CHECKERD_BUILD", os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")))
NGINX = os.environ.get("CHECKERD_NGINX", "/usr/sbin/nginx")
# Empty: it is part of NGINX.
MODULE = os.environ.get("CHECKERD_MODULE", os.path.join(
    BUILD, "nginx-module", "ngx_http_upstream_health_shm_module.so"))
# the module that binds to events
HOOK = os.environ.get("CHECKERD_HOOK", os.path.join(
    BUILD, "tests", "e2e", "ngx_http_health_log_module.so"))
PRELOAD = os.environ.get("CHECKERD_PRELOAD", "")

ALARMING = re.compile(r"\[(alert|emerg|crit)\]|exited on signal|Sanitizer"
                      r"|runtime error:")


def nginx_version():
    said = subprocess.run([NGINX, "-v"], capture_output=True, text=True).stderr
    return tuple(int(n) for n in re.search(r"(\d+)\.(\d+)\.(\d+)",
                                           said).groups())


def wait_for(condition, what, timeout=10.0):
    """Polls until `condition()` is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.01)


def settle():
    """Every worker's timer runs once a second: a second line would show now.
    For what must not happen; what must has something to wait for."""
    time.sleep(1.05)


# Programs that run at once have ranges of their own, below what the kernel
# hands out.
_first_port = int(os.environ.get("CHECKERD_PORTS",
                                 30000 + os.getpid() % 8 * 300))
_ports = itertools.cycle(range(_first_port, _first_port + 300))


def free_port():
    """A port that nobody listens on, from the range of this test program."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Log:
    """A log file that grows."""

    def __init__(self, path):
        self.path = path

    def lines(self, pattern=""):
        try:
            with open(self.path, errors="replace") as file:
                return [line.rstrip("\n") for line in file
                        if re.search(pattern, line)]
        except FileNotFoundError:
            return []

    def wait(self, pattern, count=1, timeout=10.0):
        return wait_for(
            lambda: (lambda found: found if len(found) >= count else None)(
                self.lines(pattern)),
            f"{count} x {pattern!r} in {self.path}", timeout)


class Nginx:
    patience_s = 10

    def __init__(self, folder, http="", workers=2, main="", level="notice",
                 modules=(), master=True, listen="reuseport"):
        """`http` goes into http{}, where @PORT@ is the port of `get`; a
        server{} that proxies to upstream "web" is added if it has none."""
        self.folder = str(folder)
        self.port = free_port()
        self.workers = workers
        self.main = main
        self.level = level
        self.modules = [MODULE, *modules] if MODULE else list(modules)
        self.master = master
        self.listen = listen
        self.http = http
        self.process = None
        self.expected = []
        self.log = Log(os.path.join(self.folder, "error.log"))
        os.makedirs(self.folder, exist_ok=True)

    def configuration(self):
        http = self.http
        if "server {" not in http:
            http += """
server {
    listen 127.0.0.1:@PORT@ @LISTEN@;
    location / {
        proxy_pass http://web;
    }
}
"""
        http = http.replace("@PORT@", str(self.port))
        http = http.replace("@LISTEN@", self.listen)
        temporary = "".join(
            f"    {name}_temp_path {self.folder}/{name};\n" for name in
            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        modules = "".join(f"load_module {module};\n"
                          for module in self.modules)
        # nginx gives nothing else of its environment to the program that
        # replaces it
        sanitized = "env LD_PRELOAD; env ASAN_OPTIONS;" if PRELOAD else ""
        return f"""{modules}
daemon off;
{"" if self.master else "master_process off;"}
worker_processes {self.workers};
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log {self.level};
{sanitized}
{self.main}
events {{ worker_connections 512; }}
http {{
    access_log off;
{temporary}
{http}
}}
"""

    def write(self, http=None):
        if http is not None:
            self.http = http
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w") as file:
            file.write(self.configuration())
        return path

    def command(self, *arguments):
        return [NGINX, "-p", self.folder, "-e", self.log.path,
                "-c", os.path.join(self.folder, "nginx.conf"), *arguments]

    def environment(self):
        environment = dict(os.environ)
        if PRELOAD:
            environment["LD_PRELOAD"] = PRELOAD
        # nginx frees nothing at exit, and all modules define ngx_modules[]
        environment["ASAN_OPTIONS"] = ("detect_leaks=0:detect_odr_violation=0:"
                                       "quarantine_size_mb=64")
        return environment

    def test(self):
        """nginx -t: (exit status, what it printed)."""
        self.write()
        done = subprocess.run(self.command("-t"), env=self.environment(),
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        open(self.log.path, "w").close()
        return done.returncode, done.stdout

    def start(self):
        self.write()
        with open(os.path.join(self.folder, "output.log"), "ab") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=output,
                env=self.environment())
        wait_for(lambda: self.process.poll() is not None or self.answers(),
                 "nginx to listen", self.patience_s)
        assert self.process.poll() is None, self.describe()
        wait_for(lambda: len(self.worker_pids()) == self.workers
                 or not self.master, "the workers")
        return self

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def children(self):
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]

    def worker_pids(self):
        """Workers that take new connections."""
        found = []
        for pid in self.children():
            try:
                with open(f"/proc/{pid}/cmdline") as file:
                    title = file.read()
            except OSError:
                continue
            if "worker process" in title and "shutting down" not in title:
                found.append(pid)
        return found

    def reload(self, http=None):
        """Returns when new workers serve and the old ones take nothing."""
        self.write(http)
        old = set(self.worker_pids())
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: (lambda now: len(now) == self.workers
                          and not old & now)(set(self.worker_pids())),
                 "the new workers")

    def expect(self, pattern):
        """Alarming lines that match are part of the test."""
        self.expected.append(pattern)

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(10)
        status = self.process.returncode
        self.process = None
        self.check_log()
        assert status == 0, f"nginx ended with {status}"

    def check_log(self):
        output = Log(os.path.join(self.folder, "output.log"))
        bad = [line for line in self.log.lines() + output.lines()
               if ALARMING.search(line)
               and not any(re.search(p, line) for p in self.expected)]
        assert not bad, "\n".join(["alarming lines in the log:", *bad])

    def describe(self):
        output = Log(os.path.join(self.folder, "output.log"))
        return "\n".join(output.lines() + self.log.lines())

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.stop()
            return
        if self.process is not None and self.process.poll() is None:
            for pid in self.children():
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        print(self.describe()[-8000:])

    def health_lines(self, pattern=""):
        """The module's lines, without the time and process before them."""
        return [line[line.index("upstream_health: "):]
                for line in self.log.lines("upstream_health: .*" + pattern)]

    def get(self, path="/", headers=None):
        """One request on a connection of its own."""
        with Client(self.port) as client:
            return client.get(path, headers)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read().decode(errors="replace")


class Client:
    """One connection to nginx, kept as long as nginx keeps it."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, 10)

    def get(self, path="/", headers=None):
        self.connection.request("GET", path, headers=headers or {})
        return Answer(self.connection.getresponse())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


class Crowd:
    """Several connections at once, so that every worker has some."""

    def __init__(self, nginx, size=16):
        self.clients = [Client(nginx.port) for _ in range(size)]

    def get(self, count, path="/", headers=None):
        """Statuses of `count` requests, as {status: how many}."""
        statuses = {}
        for i in range(count):
            answer = self.clients[i % len(self.clients)].get(path, headers)
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
        return statuses

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.connection.close()
