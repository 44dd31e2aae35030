# SPDX-License-Identifier: BSD-2-Clause
"""nginx as it runs in production: it is a daemon, and its program may be
replaced while it serves.
"""

import ctypes
import os
import signal
import subprocess

from actions import ANCHORS, FRONT, OVER, PLAIN, POOLS
from nginx import Nginx, wait_for

PR_SET_CHILD_SUBREAPER = 36


class Process:
    """A process that is not our child but comes to us when its parent ends;
    what of subprocess.Popen the harness asks for."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            except ChildProcessError:  # another's still
                if not os.path.exists(f"/proc/{self.pid}"):
                    self.returncode = 0
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=30):
        try:
            wait_for(lambda: self.poll() is not None, f"{self.pid} to end",
                     timeout)
        except AssertionError:
            raise subprocess.TimeoutExpired("nginx", timeout) from None
        return self.returncode


def http(segment, ports):
    def servers(members):
        return "".join(f"server 127.0.0.1:{ports[n]}"
                       + (" max_fails=0;\n" if n in ANCHORS else ";\n")
                       for n in members)

    locations = "".join(f"location /{name}/ {{ proxy_pass http://{name}; }}\n"
                        for name in (OVER, PLAIN, FRONT))
    return f"""
upstream_health_shm {segment};
upstream over {{ zone over 256k; least_conn; {servers(POOLS[OVER])}
                 keepalive 16; }}
upstream plain {{ random; {servers(POOLS[PLAIN])} }}
upstream front {{ upstream_health_shm {segment} key=$request_uri;
                  keepalive 16; }}
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_connect_timeout 3s;
proxy_read_timeout 3s;
proxy_next_upstream error timeout invalid_header http_500 http_502 http_503
                    http_504;
add_header X-Upstream $upstream_addr always;
add_header X-Statuses $upstream_status always;
server {{ listen 127.0.0.1:@PORT@; {locations} }}
"""


class Server(Nginx):
    def __init__(self, folder, segment, ports):
        super().__init__(folder, http(segment, ports))
        self.pid_path = os.path.join(self.folder, "nginx.pid")
        self.killed = 0
        # a new program's master has the old one for a parent, which ends
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def configuration(self):
        return super().configuration().replace("daemon off", "daemon on")

    def read_pid(self):
        try:
            with open(self.pid_path) as file:
                return int(file.read())
        except (OSError, ValueError):
            return None

    def start(self):
        self.write()
        subprocess.run(self.command(), env=self.environment(), check=True,
                       timeout=60)
        self.process = Process(wait_for(self.read_pid, "nginx.pid", 60))
        wait_for(lambda: len(self.worker_pids()) == self.workers,
                 "the workers", 60)
        return self

    def upgrade(self):
        """USR2, and QUIT to the old one when the new one's workers serve."""
        old = self.process
        old.send_signal(signal.SIGUSR2)
        new = Process(wait_for(lambda: (lambda pid: pid if pid != old.pid
                                        else None)(self.read_pid()),
                               "the new program", 30))
        self.process = new
        wait_for(lambda: len(self.worker_pids()) == self.workers,
                 "the new program's workers", 30)
        old.send_signal(signal.SIGQUIT)
        old.wait(60)

    def kill_worker(self, pid):
        self.expect(f"worker process {pid} exited on signal 9")
        self.killed += 1
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(self.worker_pids()) == self.workers and
                 pid not in self.worker_pids(), "another worker", 30)
