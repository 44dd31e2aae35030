#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tries what checkerd's unit refuses and what it must allow, from inside: as
the program of [notify] exec.  Writes what came of it to checkerd's folder, as
{what: [expected, got]}; "done" is an attempt that succeeded.
"""
import ctypes
import errno
import json
import mmap
import os
import socket
import subprocess
import time
from pathlib import Path

STATE = Path("/var/lib/checkerd")
CLONE_NEWUSER = 0x10000000
PTRACE_ATTACH = 16
ADDR_NO_RANDOMIZE = 0x0040000
AF_ALG = 38

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write(path):
    Path(path).write_text("")


def setuid_file():
    path = STATE / "setuid"
    write(path)
    path.chmod(0o4755)


def connect_status():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("/run/checkerd/status.sock")


ATTEMPTS = [
    # the file system
    ("write /etc", "EROFS", lambda: write("/etc/checkerd/new")),
    ("write /usr", "EROFS", lambda: write("/usr/new")),
    ("write /var/lib", "EROFS", lambda: write("/var/lib/new")),
    ("write /run", "EACCES", lambda: write("/run/new")),
    ("read /root", "EACCES", lambda: os.listdir("/root")),
    ("write to a control group", "EROFS",
     lambda: write("/sys/fs/cgroup/cgroup.procs")),
    ("read a kernel's setting", "ENOENT",
     lambda: Path("/proc/sys/kernel/hostname").read_text()),
    ("make a setuid file", "EPERM", setuid_file),
    ("make a device", "EPERM",
     lambda: os.mknod(STATE / "device", 0o20600, os.makedev(1, 1))),
    ("mount", "EPERM", lambda: call("mount", b"new", b"/tmp", b"tmpfs", 0, 0)),
    ("chroot", "EPERM", lambda: os.chroot("/tmp")),
    # processes
    ("see another's process", "ENOENT",
     lambda: Path("/proc/1/cmdline").read_text()),
    ("signal another's process", "EPERM", lambda: os.kill(1, 0)),
    ("trace checkerd", "EPERM",
     lambda: call("ptrace", PTRACE_ATTACH, os.getppid(), 0, 0)),
    ("become root", "EPERM", lambda: os.setuid(0)),
    ("a name space", "EPERM", lambda: call("unshare", CLONE_NEWUSER)),
    ("real-time scheduling", "EPERM",
     lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
    ("memory to write and run", "EPERM",
     lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)),
    ("another personality", "EPERM",
     lambda: call("personality", ADDR_NO_RANDOMIZE)),
    # the kernel
    ("load a module", "EPERM", lambda: call("init_module", 0, 0, b"")),
    ("set the clock", "EPERM",
     lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
    ("set the host's name", "EPERM", lambda: socket.sethostname("new")),
    ("read the kernel's log", "EPERM", lambda: call("klogctl", 10, 0, 0)),
    # the network
    ("a raw socket", "EPERM",
     lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()),
    ("a packet socket", "EAFNOSUPPORT",
     lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
    ("a netlink socket", "EAFNOSUPPORT",
     lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
    ("a crypto socket", "EAFNOSUPPORT",
     lambda: socket.socket(AF_ALG, socket.SOCK_SEQPACKET).close()),
    # what it needs
    ("write the segment's folder", "done", lambda: write("/run/checkerd/new")),
    ("write the state's folder", "done", lambda: write(STATE / "new")),
    ("write a /tmp of its own", "done", lambda: write("/tmp/new")),
    ("read the configuration", "done",
     lambda: Path("/etc/checkerd/checkerd.ini").read_text()),
    ("run a program", "done",
     lambda: subprocess.run(["/bin/true"], check=True)),
    ("connect over IPv4", "done",
     lambda: socket.create_connection(("127.0.0.1", 8081), 5).close()),
    ("a socket for IPv6", "done",
     lambda: socket.socket(socket.AF_INET6).close()),
    ("connect to a unix socket", "done", connect_status),
    ("resolve a name", "done", lambda: socket.getaddrinfo("localhost", 80)),
]


def outcome(attempt):
    try:
        attempt()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]


def main():
    found = {what: [expected, outcome(attempt)]
             for what, expected, attempt in ATTEMPTS}
    path = STATE / "sandbox.json"
    path.with_suffix(".new").write_text(json.dumps(found))
    path.with_suffix(".new").rename(path)


if __name__ == "__main__":
    main()
