# SPDX-License-Identifier: BSD-2-Clause
"""Many hosts: what the loop does itself of a change, and what it leaves to a
thread or to later. Counted, not timed: see tests/bench/scale.py for times."""

import os
import threading

from checkerd import Checkerd
from nginx import wait_for
from rest import Rest

MANY = 20000


def ini(hosts, also=""):
    return ("[defaults]\ncheck = none\n[pool web]\n"
            + "".join(f"server = 127.0.0.1:{i} id=h{i} {also}\n"
                      for i in range(1, hosts + 1)))


def loop_ms(pid):
    with open(f"/proc/{pid}/task/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e6


def all_ms(pid):
    """Of the threads that have ended, too."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def test_the_loop_does_the_least_part_of_a_change(folder):
    with Checkerd(folder, ini(MANY)) as checkerd, checkerd.rest() as rest:
        pid = checkerd.process.pid
        loop, both = loop_ms(pid), all_ms(pid)
        for _ in range(5):
            assert rest.put("/v1/pools/web/hosts/new",
                            {"address": "127.0.0.2:1"})[0] == 201
            assert rest.delete("/v1/pools/web/hosts/new")[0] == 204
        loop, both = loop_ms(pid) - loop, all_ms(pid) - both
        assert loop < both / 3


def test_orders_of_many_are_told_once_each(folder):
    hosts = 3000
    with Checkerd(folder, ini(hosts)) as checkerd, checkerd.rest() as rest:
        for also, state, told in (("drain", "drain", "host_drain"),
                                  ("", "up", "host_up")):
            checkerd.write(ini(hosts, also))
            assert rest.post("/v1/reload")[0] == 200
            wait_for(lambda: all(host["state"] == state for host in
                                 checkerd.status()["pools"][0]["hosts"]),
                     "all to be told of")
            assert len(checkerd.log.lines(told)) == hosts


def test_changes_without_a_pause_keep_no_document_from_its_end(folder):
    with Checkerd(folder, ini(3 * MANY)) as checkerd:
        gone = threading.Event()

        def change():
            with checkerd.rest() as rest:
                while not gone.is_set():
                    assert rest.put("/v1/pools/web/hosts/new",
                                    {"address": "127.0.0.2:1"})[0] == 201
                    assert rest.delete("/v1/pools/web/hosts/new")[0] == 204

        changer = threading.Thread(target=change)
        changer.start()
        try:
            with Rest(checkerd.status_socket, 20) as rest:
                for _ in range(2):
                    status, document = rest.get("/v1/pools")
                    assert status == 200
                    assert len(document["pools"][0]["hosts"]) >= 3 * MANY
        finally:
            gone.set()
            changer.join()
