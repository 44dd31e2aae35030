#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The story that ./demo tells: three backends, one falls sick, nobody notices.

Every claim it prints is checked; the first that does not hold ends it with
status 1.
"""
import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "e2e"))
sys.dont_write_bytecode = True

from backends import Backends  # noqa: E402
from checkerd import CHECKERCTL, Checkerd  # noqa: E402
from nginx import Crowd, Nginx  # noqa: E402

INI = """
[defaults]
interval = 500ms
path = /healthz
rise = 2
fall = 3

[pool web]
"""

COLOUR = sys.stdout.isatty()


def tell(text):
    print(f"\n\033[1m{text}\033[0m" if COLOUR else f"\n{text}", flush=True)


def show(text):
    print("".join(f"    {line}\n" for line in text.splitlines()), end="",
          flush=True)


def claim(holds, text):
    mark = "ok" if holds else "FAILED"
    print(f"  [{mark}] {text}", flush=True)
    if not holds:
        raise SystemExit(1)


class Story:
    def __init__(self, folder, backends):
        self.backends = backends
        servers = "".join(f"server = {b.address} id={b.name}\n"
                          for b in backends)
        self.checkerd = Checkerd(f"{folder}/checkerd", INI + servers)
        self.nginx = Nginx(f"{folder}/nginx", f"""
upstream web {{
{backends.servers()}
    upstream_health_shm {self.checkerd.segment};
}}
""")

    def ask(self, count):
        """Sends requests over many connections; says who answered."""
        self.backends.reset()
        with Crowd(self.nginx) as crowd:
            statuses = crowd.get(count)
        counts = {b.name: b.requests for b in self.backends}
        show(f"{count} requests, statuses {statuses}, answered by {counts}")
        return statuses == {200: count}, counts

    def table(self):
        show(self.checkerd.ctl("status")[1])

    def order(self, *words):
        show("checkerctl " + " ".join(
            f"'{word}'" if " " in word else word for word in words))
        status, text = self.checkerd.ctl(*words)
        show(text)
        claim(status == 0, "it is done")

    def tell(self):
        backends, checkerd, nginx = self.backends, self.checkerd, self.nginx

        tell("Three backends, checkerd and nginx with two workers.")
        show(nginx.configuration().split("http {", 1)[1].strip())
        checkerd.wait_state("web/c", "up")
        good, counts = self.ask(300)
        claim(good and min(counts.values()) > 0, "all three answer")
        self.table()

        tell("The health page of b turns 503 (its other pages still work).")
        backends[1].health = 503
        start = time.monotonic()
        checkerd.wait_state("web/b", "down")
        took = time.monotonic() - start
        good, counts = self.ask(3000)
        claim(took < 2.5, f"down after {took:.1f} s: three failures, one "
              "every 0.5 s")
        claim(good, "not one request failed")
        claim(counts["b"] == 0, "not one request reached b")
        nginx.log.wait("host_down")
        show(nginx.health_lines("host_down")[-1])
        self.table()

        tell("It recovers.")
        backends[1].health = 200
        checkerd.wait_state("web/b", "up")
        good, counts = self.ask(300)
        claim(good and counts["b"] > 0, "b answers again")
        nginx.log.wait("host_up")
        show(nginx.health_lines("host_up")[-1])

        tell("a falls sick, and checkerd is killed with -9.")
        backends[0].health = 503
        checkerd.wait_state("web/a", "down")
        checkerd.kill()
        good, counts = self.ask(3000)
        claim(good and counts["a"] == 0,
              "nginx goes on with what it knows: none failed, none to a")

        tell("checkerd is started again.")
        checkerd.start()
        backends[0].health = 200
        checkerd.wait_state("web/a", "up")
        good, counts = self.ask(300)
        claim(good and min(counts.values()) > 0, "all three answer again")
        show("\n".join(nginx.health_lines("host_")))
        claim(len(nginx.health_lines("host_")) == 4,
              "one line for each change, two workers and a restart "
              "notwithstanding")

        tell("c gets new disks: somebody takes it out for three seconds.")
        self.order("down", "web/c", "--for", "3s", "--reason", "new disks")
        nginx.log.wait("host_down .*host=\"c\"")
        good, counts = self.ask(300)
        claim(good and counts["c"] == 0, "nobody reaches c, no file was "
              "edited")
        self.table()
        checkerd.wait_state("web/c", "up")
        nginx.log.wait("host_up .*host=\"c\"")
        good, counts = self.ask(300)
        claim(good and counts["c"] > 0, "it is back by itself")


def main():
    parser = argparse.ArgumentParser(prog="./demo")
    parser.add_argument("--stay", action="store_true",
                        help="leave everything running until Ctrl-C")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="checkerd-demo-")
    os.chmod(folder, 0o755)
    try:
        with Backends(3) as backends:
            story = Story(folder, backends)
            with story.checkerd, story.nginx:
                story.tell()
                if arguments.stay:
                    stay(story)
    finally:
        shutil.rmtree(folder)
    tell("That is all. The whole of it is in README.md.")


def stay(story):
    tell("All of it stays until Ctrl-C:")
    show(f"""nginx      http://127.0.0.1:{story.nginx.port}/
status     {CHECKERCTL} -s {story.checkerd.segment} watch
control    {CHECKERCTL} -s {story.checkerd.segment} -S {story.checkerd.control} help
events     {CHECKERCTL} -s {story.checkerd.segment} events -f
nginx log  {story.nginx.log.path}
backends   """ + "  ".join(f"http://{b.address}/" for b in story.backends))
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
