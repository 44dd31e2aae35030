# SPDX-License-Identifier: BSD-2-Clause
"""A systemd booted in namespaces of its own, for tests.

    with Machine(folder) as machine:
        machine.run("apt-get", "install", "./checkerd.deb")
        (machine.root / "etc/checkerd/checkerd.ini").write_text(...)
        with machine.network():
            ...                     # sockets of this thread are the machine's

The machine has processes, mounts, network, host name and control groups to
itself.  Its root is this one's; what it writes goes to memory.  It is up in
less than a second, and gone with all it wrote when the block is left.

Who holds it is not the test but a process of its own (`hold` below), which
looks for no more than the end of its standard input: however the test ends,
also by kill -9, nothing is left behind.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000

# What the machine's first process does before it becomes systemd.  Whatever
# reaches beyond namespaces is read-only: /sys, /proc/sys.
BOOT = r"""
mount --make-rprivate /
mount -t tmpfs -o mode=0755 machine "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work machine root
cd root

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in dev run tmp; do
    mount -t tmpfs -o mode=0755 "$folder" "$folder"
done
chmod 1777 tmp
for node in null zero full random urandom tty; do
    touch "dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 shm dev/shm

# Nothing was enabled or forbidden yet, and there are no disks, no modules, no
# message bus and no name server.
rm -rf etc/systemd/system/*.wants etc/rc?.d/S*
rm -f usr/sbin/policy-rc.d etc/resolv.conf
: > etc/resolv.conf
: > etc/machine-id
: > etc/fstab
echo 127.0.0.1 localhost > etc/hosts
for unit in systemd-modules-load.service modprobe@.service dbus.socket; do
    ln -sf /dev/null "etc/systemd/system/$unit"
done

mkdir run/before run/written
mount --bind "$1/upper" run/written
pivot_root . run/before
umount -l /run/before
rmdir /run/before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=multi-user.target \
    --log-target=journal --show-status=no
"""


def cgroup2():
    """Where this machine has its control groups of version 2."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        if after.startswith("cgroup2 "):
            return pathlib.Path(before.split()[4])
    raise RuntimeError("no cgroup2 is mounted here")


def children(pid):
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def hold(folder):
    """Boots a machine, says the number of its first process, and ends it when
    standard input ends."""
    group = cgroup2() / f"machine-{os.getpid()}"
    group.mkdir()
    unshare = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--mount",
         "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child",
         "sh", "-euc", BOOT, "boot", folder],
        stdin=subprocess.DEVNULL, stdout=sys.stderr,
        preexec_fn=lambda: (group / "cgroup.procs").write_text(
            str(os.getpid())))
    try:
        while not (leader := children(unshare.pid)):
            if unshare.poll() is not None:
                raise SystemExit("the machine did not boot")
            time.sleep(0.01)
        print(*leader, flush=True)
        sys.stdin.read()
    finally:
        (group / "cgroup.kill").write_text("1")
        unshare.wait()
        for path, _, _ in os.walk(group, topdown=False):
            while True:
                try:
                    os.rmdir(path)
                    break
                except OSError:     # its last process is on its way out
                    time.sleep(0.01)


class Machine:
    def __init__(self, folder):
        self.folder = str(folder)

    def __enter__(self):
        # No child of ours: who kills the test with all its children shall
        # not get this one.
        self.holder = subprocess.Popen(
            ["setsid", "--fork", sys.executable, __file__, self.folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.holder.stdout.readline()
        assert line, "the machine did not boot"
        self.leader = int(line)
        self.root = pathlib.Path(f"/proc/{self.leader}/root")
        try:
            self.wait(lambda: (self.root / "run/systemd/private").exists(),
                      "systemd to listen")
            # degraded will do: what failed is no part of the test
            self.run("systemctl", "is-system-running", "--wait", check=False)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.stdout.read()   # until there is nothing left
        self.holder.wait()

    def wait(self, condition, what, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.01)
        return value

    def run(self, *command, check=True, user=None, timeout=120):
        """What a command in there printed; not what was asked for, and the
        test fails with it."""
        as_user = ["setpriv", "--reuid", user, "--regid", user,
                   "--init-groups"] if user else []
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", *as_user, *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=timeout,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                 "DEBIAN_FRONTEND": "noninteractive"})
        assert not check or done.returncode == 0, (
            f"{' '.join(command)}: exit status {done.returncode}\n"
            f"{done.stdout}")
        return done.stdout

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit).strip()

    def files(self):
        """All that differs from the machine around, and what is in /run."""
        text = self.run("find", "/run", "-not", "-type", "d",
                        "-not", "-type", "c")
        return {path.removeprefix("/run/written")
                for path in text.splitlines()}

    def journal(self, *match):
        """Records, oldest first."""
        text = self.run("journalctl", "-o", "json", "--no-pager", *match)
        return [json.loads(line) for line in text.splitlines()
                if line.startswith("{")]

    @contextlib.contextmanager
    def network(self):
        """This thread, and those it starts, in the machine's network."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(file):
            if libc.setns(file.fileno(), CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), "setns")

        with open("/proc/thread-self/ns/net") as ours, \
             open(f"/proc/{self.leader}/ns/net") as theirs:
            enter(theirs)
            try:
                yield
            finally:
                enter(ours)


if __name__ == "__main__":
    hold(sys.argv[1])
