# SPDX-License-Identifier: BSD-2-Clause
"""What is done to checkerd, nginx, their disks and their clock.  One fault at
a time; each is over, and undone, when its method returns.
"""

import contextlib
import math
import os
import random
import signal
import time

from daemon import FIRST_INI, Fill
from nginx import wait_for

SETTLE_S = 30  # what a loaded machine may take for a reload


@contextlib.contextmanager
def span(spans):
    """Open to those who look while it lasts."""
    this = [time.monotonic(), math.inf]
    spans.append(this)
    try:
        yield
    finally:
        this[1] = time.monotonic()


class Faults:
    def __init__(self, daemon, server, hook, stream, model, stalls, seed):
        self.daemon = daemon
        self.server = server
        self.hook = hook
        self.stream = stream
        self.model = model
        self.stalls = stalls
        self.seed = seed
        self.ini = FIRST_INI
        self.worker_kills = []  # when
        self.upgrades = []      # (from, to)
        self.losses = []        # when a segment was lost
        self.restarts = []      # when checkerd was ended

    def act(self, kind, about):
        self.daemon.wait_ready()
        getattr(self, kind)(**about)

    # --- checkerd's end

    def kill(self, rest_s=0):
        self.restarts.append(time.monotonic())
        self.daemon.hold()
        time.sleep(rest_s)
        self.daemon.release()

    def kill_storm(self, gaps_s):
        """Again and again, also before it is ready."""
        for gap_s in gaps_s:
            self.kill()
            self.daemon.launched.wait()
            time.sleep(gap_s)

    def terminate(self):
        self.restarts.append(time.monotonic())
        self.daemon.hold(signal.SIGTERM)
        self.daemon.release()

    def damage_state(self, how):
        with self.daemon.state_lock:
            self.restarts.append(time.monotonic())
            self.daemon.hold()
            self.damage(os.path.join(self.daemon.state_dir, "changes.json"),
                        how)
            self.model.forget()
            self.daemon.release()
            self.daemon.wait_ready()

    def damage_segment(self, how):
        """Another file takes its place: a truncation under the mappings of
        readers is what nobody survives, and checkerd never does."""
        self.restarts.append(time.monotonic())
        self.daemon.hold()
        self.losses.append(time.monotonic())
        self.damage(self.daemon.segment, how)
        self.stream.begin_anew()
        self.daemon.release()
        self.daemon.wait_ready()
        self.losses.append(time.monotonic())

    def damage(self, path, how):
        chance = random.Random(f"{self.seed} {len(self.restarts)}")
        try:
            with open(path, "rb") as file:
                data = bytearray(file.read())
        except FileNotFoundError:
            return
        if how == "remove":
            os.unlink(path)
            return
        if how == "cut":
            data = data[:chance.randrange(len(data))]
        elif how == "empty":
            data = b""
        elif how == "garbage":
            data = chance.randbytes(len(data))
        elif how == "bits":
            for _ in range(3):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        with open(f"{path}.damaged", "wb") as file:
            file.write(data)
        os.rename(f"{path}.damaged", path)

    # --- who is held up

    def stop_daemon(self, for_s):
        self.daemon.signal(signal.SIGSTOP)
        time.sleep(for_s)
        self.daemon.signal(signal.SIGCONT)

    def stop_worker(self, worker, for_s):
        pid = self.server.worker_pids()[worker]
        start = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(for_s)
        finally:
            os.kill(pid, signal.SIGCONT)
            self.stalls.note(start, time.monotonic() + 0.1)

    # --- what runs out

    def lack(self, lack, for_s, kill):
        """For a while there is too little; perhaps checkerd is killed in the
        midst of it."""
        with lack:
            time.sleep(for_s / 2)
            if kill:
                self.daemon.may_fail = True
                self.kill()
            time.sleep(for_s / 2)
        self.daemon.wait_ready()
        self.daemon.may_fail = False

    def full_state(self, for_s, kill):
        self.lack(Fill(self.daemon.state_dir), for_s, kill)

    def full_segment(self, for_s, kill):
        self.lack(Fill(self.daemon.run_folder), for_s, kill)

    def starve(self, for_s, kill, spare):
        restore = self.daemon.limit_files(spare)
        self.daemon.starves = True
        time.sleep(for_s)
        if kill:
            self.kill()
        else:
            restore()
        self.daemon.starved = time.monotonic()
        self.daemon.starves = False

    def clock(self, jump_s):
        self.daemon.jump(jump_s)

    # --- what people do

    def reload(self, ini):
        self.ini = ini
        self.daemon.write(self.daemon.ini(ini))
        self.hang_up("reloaded")

    def bad_reload(self, line):
        good = self.daemon.ini(self.ini)
        self.daemon.write(good.replace("[pool over]", line + "\n[pool over]"))
        try:
            self.hang_up("refused")
        finally:
            self.daemon.write(good)

    def hang_up(self, outcome):
        log = self.daemon.log
        before = len(log.lines(f"checkerd.ini {outcome}"))
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: len(log.lines(f"checkerd.ini {outcome}")) > before,
                 f"the configuration to be {outcome}", SETTLE_S)

    def receiver(self, answers):
        self.hook.answers.extend(answers)

    # --- nginx

    def nginx_reload(self):
        self.server.reload()

    def nginx_upgrade(self):
        with span(self.upgrades):
            self.server.upgrade()

    def kill_worker(self, worker):
        pid = self.server.worker_pids()[worker]
        with span(self.worker_kills):
            self.server.kill_worker(pid)
