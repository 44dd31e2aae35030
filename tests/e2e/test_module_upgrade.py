# SPDX-License-Identifier: BSD-2-Clause
"""nginx is replaced while it runs (SIGUSR2): two masters and two sets of workers
read one segment, and nobody notices."""

import os
import pathlib
import signal
import subprocess
import threading

import pytest

import pools
from backends import Backends
from nginx import MODULE, NGINX, Client, Nginx, wait_for
from segment import Segment

# what nginx is upgraded from, if that is another one
BEFORE = (os.environ.get("CHECKERD_NGINX_BEFORE", NGINX),
          os.environ.get("CHECKERD_MODULE_BEFORE", MODULE))
AFTER = (NGINX, MODULE)


class Master:
    """A master that has gone into the background, handled as a child is."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = 0

    def poll(self):
        try:
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return 0 if stat.rsplit(")", 1)[1].split()[0] == "Z" else None

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=10):
        wait_for(lambda: self.poll() == 0, f"process {self.pid} to end",
                 timeout)


class UpgradedNginx(Nginx):
    """In the background, as nginx takes no SIGUSR2 in the foreground, and by
    names that lead to another program and module later on."""

    def configuration(self):
        return super().configuration().replace("daemon off;", "")

    def command(self, *arguments):
        return [f"{self.folder}/nginx",
                *super().command(*arguments)[1:]]

    def install(self, program, module):
        self.modules = [f"{self.folder}/module.so"] if module else []
        for name, target in ("nginx", program), ("module.so", module):
            path = pathlib.Path(self.folder, name)
            path.unlink(missing_ok=True)
            if target:
                path.symlink_to(target)

    def pid(self, suffix=""):
        try:
            return int(pathlib.Path(f"{self.folder}/nginx.pid{suffix}")
                       .read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def ready(self):
        wait_for(lambda: len(self.worker_pids()) == self.workers,
                 "the workers")

    def start(self):
        self.install(*BEFORE)
        self.write()
        with open(f"{self.folder}/output.log", "ab") as output:
            subprocess.run(self.command(), check=True, stdout=output,
                           stderr=output, env=self.environment())
        wait_for(self.answers, "nginx to listen")
        self.process = Master(wait_for(self.pid, "its pid"))
        self.ready()
        return self

    def upgrade(self):
        """Returns the old master, which has its workers still."""
        old = self.process
        self.install(*AFTER)
        # each reads the file, and its own modules are what it can load
        self.write()
        old.send_signal(signal.SIGUSR2)
        wait_for(lambda: self.pid() not in (0, old.pid), "the new master")
        self.process = Master(self.pid())
        self.ready()
        return old


class Traffic:
    """Requests without a pause until the end; what went wrong is `failed`."""

    def __init__(self, nginx, threads=2):
        self.nginx = nginx
        self.ending = False
        self.served = 0
        self.failed = []
        self.threads = [threading.Thread(target=self.ask)
                        for _ in range(threads)]

    def ask(self):
        while not self.ending:
            try:
                with Client(self.nginx.port) as client:
                    status = client.get().status
            except OSError as error:
                status = repr(error)
            if status == 200:
                self.served += 1
            else:
                self.failed.append(status)

    def more(self, count=50):
        """Requests that began after the call have been served."""
        target = self.served + count
        wait_for(lambda: self.served >= target or self.failed,
                 "requests to be served")
        assert not self.failed

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        for thread in self.threads:
            thread.join(20)


def test_no_event_is_lost_between_two_instances(folder):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends}, upstream="web")
        with UpgradedNginx(folder, overlay(folder, backends),
                           workers=1) as nginx:
            # a worker has just looked: its next look is a second away
            segment.set("primary/a", "down")
            nginx.log.wait(r"seq=1\b")
            segment.set("primary/b", "down")
            old = nginx.upgrade()
            old.send_signal(signal.SIGQUIT)
            old.wait()
            segment.set("primary/b", "up")
            nginx.log.wait(r"seq=3\b")
            numbers = [line.split("seq=")[1] for line in
                       nginx.health_lines("seq=")]
            assert sorted(numbers) == ["1", "2", "3"]


def overlay(folder, backends):
    return f"""upstream web {{
        upstream_health_shm {folder}/health.shm;
        zone web 64k;
        {backends.servers()}
    }}"""


def pooled(folder, _):
    return pools.upstream(folder)


@pytest.mark.parametrize("upstream", [overlay, pooled])
@pytest.mark.parametrize("outcome", ["goes on", "is taken back"])
def test_no_request_fails_while_nginx_is_replaced(folder, upstream, outcome):
    with Backends(2) as backends, Segment(folder / "health.shm") as segment:
        segment.pools({"primary": backends}, upstream="web")
        with UpgradedNginx(folder, upstream(folder, backends)) as nginx:
            pools.serves(nginx)
            with Traffic(nginx) as traffic:
                old = nginx.upgrade()
                new = nginx.process

                # both instances serve, route and tell
                segment.set("primary/a", "down", 3, "L7STS", 503)
                nginx.log.wait("host_down .*seq=1", 2)
                traffic.more(2)  # those on their way
                backends.reset()
                traffic.more()
                assert backends.counts()[0] == 0

                old.send_signal(signal.SIGWINCH)
                nginx.process = old
                wait_for(lambda: not nginx.worker_pids(), "the workers to go")
                if outcome == "goes on":
                    stays, goes = new, old
                else:
                    stays, goes = old, new
                    old.send_signal(signal.SIGHUP)
                    nginx.ready()
                nginx.process = stays
                goes.send_signal(signal.SIGQUIT)
                goes.wait()
                wait_for(lambda: nginx.pid() == stays.pid, "the pid file")

                segment.set("primary/a", "up")
                nginx.log.wait("host_up .*seq=2")
                backends.reset()
                traffic.more()
                assert min(backends.counts()) > 0
                assert len(nginx.health_lines("seq=1")) == 2
                assert len(nginx.health_lines("seq=2")) == 1
            assert traffic.failed == []
