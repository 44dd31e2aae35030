# SPDX-License-Identifier: BSD-2-Clause
"""An nginx in pool mode: what the tests of it share."""

import re
import threading

from nginx import Client, wait_for


def upstream(folder, *directives, options="", name="web"):
    """Without servers; every answer names its hosts in X-Upstream."""
    lines = "\n".join(f"    {directive}" for directive in directives)
    return f"""
upstream {name} {{
    upstream_health_shm {folder}/health.shm {options};
{lines}
}}
add_header X-Upstream $upstream_addr always;
"""


def pool(name, priority=0, balance="round_robin", of="web"):
    """The key of a pool for Segment.pools()."""
    return name, of, priority, balance


def serves(nginx, path="/"):
    """nginx has hosts (again)."""
    wait_for(lambda: nginx.get(path).status == 200, "an answer from a host")


def worker_memory(nginx):
    """Resident kilobytes of each worker."""
    sizes = []
    for pid in nginx.worker_pids():
        with open(f"/proc/{pid}/status") as file:
            sizes.append(int(re.search(r"VmRSS:\s+(\d+)",
                                       file.read()).group(1)))
    return sizes


class Request(threading.Thread):
    """One that takes its time; `answer` is there after join()."""

    def __init__(self, nginx, path="/"):
        super().__init__(daemon=True)
        self.port, self.path = nginx.port, path
        self.answer = None
        self.start()

    def run(self):
        with Client(self.port) as client:
            self.answer = client.get(self.path)

    def status(self):
        self.join(20)
        assert self.answer is not None, "no answer"
        return self.answer.status
