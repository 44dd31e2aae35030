# SPDX-License-Identifier: BSD-2-Clause
"""The segment, written by hand: drives segment_tool, see there."""

import os
import signal
import subprocess

from nginx import BUILD

TOOL = os.path.join(BUILD, "tests", "e2e", "segment_tool")


class Segment:
    def __init__(self, path):
        self.path = str(path)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [TOOL, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer and answer[0] == "ok", f"{line}: {answer}"
        return answer[1] if len(answer) > 1 else ""

    def tell_all(self, lines):
        """Many lines; as many at a time as a pipe takes with its answers."""
        for at in range(0, len(lines), 1000):
            some = lines[at:at + 1000]
            self.process.stdin.write("\n".join(some) + "\n")
            self.process.stdin.flush()
            for line in some:
                assert self.process.stdout.readline().startswith("ok"), line

    def observe(self, mode, fail_status=""):
        """What hosts that are described from here on want to be told."""
        self.tell(f"observe {mode} {fail_status}".rstrip())

    def pools(self, pools, upstream="web"):
        """pools = {name: [backend or address, ...]}; host ids are a, b, ...
        or the backends' own names.  A name may be (name, upstream), or
        (name, upstream, priority, balance); a host (host, "weight=2 ...")."""
        for name, hosts in pools.items():
            if not isinstance(name, tuple):
                name = (name, upstream)
            self.tell("pool " + " ".join(str(word) for word in name))
            for number, host in enumerate(hosts):
                host, keys = host if isinstance(host, tuple) else (host, "")
                if isinstance(host, str):
                    identity, address = f"h{number}", host
                else:
                    identity, address = host.name, host.address
                self.tell(f"host {identity} {address} {keys}".rstrip())
        return self.tell("activate")

    def weigh(self, host, weight, configured=""):
        """Effective weight, in 1/256 of a unit, and the one it comes from."""
        self.tell(f"weigh {host} {weight} {configured}".rstrip())

    def set(self, host, state, failcount=0, outcome="NONE", status=0):
        return int(self.tell(
            f"set {host} {state} {failcount} {outcome} {status}"))

    def heart(self, what):
        self.tell(f"heart {what}")

    def kill(self):
        """The writer dies; the file stays."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
