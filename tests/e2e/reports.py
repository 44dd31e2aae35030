# SPDX-License-Identifier: BSD-2-Clause
"""What nginx workers tell checkerd, taken by a socket in its place.

The datagram is written down a second time here, on purpose, as the segment
is in health_segment.py.
"""

import collections
import os
import socket
import struct
import threading

from nginx import wait_for

LAYOUT = struct.Struct("=IHHQQQQIIHHIQ")
MAGIC = 0x68637270
HELLO, FAILURE = 1, 2

Report = collections.namedtuple(
    "Report", "magic version kind stream created_at_us sent_mono_us seq host "
    "failures http_status reserved0 reader_version reserved1 pid")


class Reports:
    """Bound as PATH from the start; with reading=False nobody reads."""

    def __init__(self, path, reading=True):
        self.path = str(path)
        self.received = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.thread = threading.Thread(target=self.read, daemon=True)
        if reading:
            self.thread.start()

    def read(self):
        while True:
            data, control, _, _ = self.socket.recvmsg(
                256, socket.CMSG_SPACE(12))
            if data == b"end":
                return
            pid = struct.unpack("=iII", control[0][2])[0]
            assert len(data) == LAYOUT.size == 64
            self.received.append(Report(*LAYOUT.unpack(data), pid))

    def fill(self):
        """Until no datagram more fits; returns how many did."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            count = 0
            try:
                while True:
                    sender.sendto(bytes(LAYOUT.size), self.path)
                    count += 1
            except BlockingIOError:
                return count

    def drain(self):
        self.thread.start()

    def of(self, kind):
        return [report for report in self.received if report.kind == kind]

    def failures(self, host=None):
        """How many failures were told of, of all hosts or of one."""
        return sum(report.failures for report in self.of(FAILURE)
                   if host is None or report.host == host)

    def wait(self, count, host=None):
        """Until so many failures were told of, and no more."""
        wait_for(lambda: self.failures(host) >= count,
                 f"{count} failures of host {host} to be told")
        assert self.failures(host) == count, self.of(FAILURE)
        return self.of(FAILURE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"end", self.socket.getsockname())
            self.thread.join(10)
        self.socket.close()
