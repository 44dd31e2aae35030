# SPDX-License-Identifier: BSD-2-Clause
"""Changing the fleet while it runs, told from the control socket."""

import contextlib
import http.client
import json
import os
import random
import subprocess
import threading
import time

import pytest

from backends import Backends
from checkerd import Checkerd, timestamp
from nginx import Client, Nginx, wait_for
from rest import Rest

def ini(pools, defaults=""):
    """From {"web": ["127.0.0.1:80 id=a", ...]}."""
    text = f"[defaults]\n{defaults}\n"
    for name, servers in pools.items():
        text += f"[pool {name}]\n"
        text += "".join(f"server = {server}\n" for server in servers)
    return text


def servers(backends):
    return [f"{backend.address} id={backend.name}" for backend in backends]


def error_of(answer):
    status, body = answer
    return status, body["error"]["key"]


# --- one change at a time ---------------------------------------------------

TWO = ini({"web": ["127.0.0.1:1001 id=a weight=3", "127.0.0.1:1002 id=b"]},
          "check = none")


def test_a_host_taken_down_and_put_back(folder):
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        status, host = rest.patch("/v1/pools/web/hosts/a",
                                  {"admin": "down", "reason": "new disk"})
        assert (status, host["state"], host["admin"], host["reason"]) == \
            (200, "down", "down", "new disk")
        status, host = rest.patch("/v1/pools/web/hosts/a", {"admin": "auto"})
        assert (host["state"], host["admin"], host["reason"]) == \
            ("up", "auto", None)
        events = [(event["event"], event["outcome"], event["reason"])
                  for event in checkerd.events()]
        assert events == [("host_down", "ADMIN", "new disk"),
                          ("host_up", "ADMIN", None)]
        assert checkerd.log.lines(r"web/a ordered .*new disk.* by uid 0")


def test_drain_weight_and_the_segment(folder):
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        rest.patch("/v1/pools/web/hosts/a", {"admin": "drain"})
        assert checkerd.host("web/a")["state"] == "drain"
        status, host = rest.patch("/v1/pools/web/hosts/b", {"weight": 7})
        assert (status, host["weight"], host["effective_weight"]) == (200, 7, 7)
        assert host["settings"]["weight"] == "7"
        assert rest.get("/v1/changes")[1]["changes"][0]["runtime"] == "drain"
        rest.patch("/v1/pools/web/hosts/b", {"weight": 8, "reason": "bigger"})
        assert rest.get("/v1/changes")[1]["changes"][1]["reason"] == "bigger"
        assert checkerd.log.lines("web/b ordered .*bigger")


def test_up_forgets_what_probes_found(folder):
    with Backends(1) as backends:
        backends[0].stop()
        with Checkerd(folder, ini({"web": servers(backends)},
                                  "interval = 200ms\nfall = 3")) as checkerd, \
                checkerd.rest() as rest:
            checkerd.wait_state("web/a", "down")
            # the next probe may come before we look: it is one failure then
            status, host = rest.patch("/v1/pools/web/hosts/a",
                                      {"admin": "up"})
            assert (status, host["state"]) == (200, "up")
            assert host["failcount"] <= 1
            checkerd.wait_state("web/a", "down")  # the checks go on
            assert [event["event"] for event in checkerd.events()] == \
                ["host_down", "host_up", "host_down"]


@pytest.mark.parametrize("passes", [True, False])
def test_a_lease_keeps_a_host_down_and_ends(folder, passes):
    with Backends(1) as backends:
        if not passes:
            backends[0].stop()
        with Checkerd(folder, ini({"web": servers(backends)},
                                  "interval = 100ms\nfall = 1\nrise = 1")) \
                as checkerd, checkerd.rest() as rest:
            checkerd.wait_state("web/a", "up" if passes else "down")
            status, host = rest.patch("/v1/pools/web/hosts/a",
                                      {"admin": "down", "for": "2s"})
            until = timestamp(host["until"])
            assert status == 200 and 1.5 < until - time.time() < 2.5
            probes = checkerd.host("web/a")["probes"]
            checkerd.wait_probes("web/a", probes + 5)
            assert checkerd.host("web/a")["state"] == "down"
            wait_for(lambda: checkerd.host("web/a")["admin"] == "auto",
                     "the lease to end")
            assert abs(time.time() - until) < 1
            assert checkerd.host("web/a")["until"] is None
            assert checkerd.host("web/a")["state"] == \
                ("up" if passes else "down")
            names = [event["event"] for event in checkerd.events()
                     if event["outcome"] == "ADMIN"]
            assert names == (["host_down", "host_up"] if passes else [])
            assert rest.get("/v1/changes")[1]["changes"] == []


def test_leases_end_once_while_others_change_much(folder):
    text = ini({"web": [f"127.0.0.1:{i} id=h{i}" for i in range(1, 11)]},
               "check = none")
    with Checkerd(folder, text) as checkerd, checkerd.rest() as rest:
        for i in range(1, 6):
            rest.patch(f"/v1/pools/web/hosts/h{i}",
                       {"admin": "down", "for": "1s"})
        over = threading.Event()

        def change(host):
            with checkerd.rest() as mine:
                weight = 0
                while not over.is_set():
                    weight = weight % 100 + 1
                    mine.patch(f"/v1/pools/web/hosts/{host}",
                               {"weight": weight})

        threads = [threading.Thread(target=change, args=(f"h{i}",))
                   for i in range(6, 11)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: checkerd.status()["pools"][0]["up"] == 10,
                     "the leases to end")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert len(checkerd.log.lines("host_up .*its lease ended")) == 5
        assert len(checkerd.log.lines("web/h[1-5] lease ended")) == 5


def test_a_probe_now(folder):
    with Backends(1) as backends:
        with Checkerd(folder, ini({"web": servers(backends)},
                                  "interval = 1h")) as checkerd, \
                checkerd.rest() as rest:
            before = checkerd.host("web/a")["probes"]
            status, host = rest.post("/v1/pools/web/hosts/a/probe")
            assert status == 200
            assert host["probes"] == before + 1
            assert host["history"][0]["outcome"] == "L7OK"
            assert host["history"][0]["total_us"] > 0
            # and no other one follows it
            status, host = rest.post("/v1/pools/web/hosts/a/probe")
            assert host["probes"] == before + 2
            assert error_of(rest.post("/v1/pools/web/hosts/x/probe"))[0] == 404


def test_two_operators_do_not_overwrite_each_other(folder):
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        rest.get("/v1/pools/web/hosts/a")
        seen = rest.headers["ETag"]
        assert rest.patch("/v1/pools/web/hosts/a", {"weight": 5},
                          **{"If-Match": seen})[0] == 200
        now = rest.headers["ETag"]
        assert now != seen
        assert rest.patch("/v1/pools/web/hosts/a", {"weight": 6},
                          **{"If-Match": seen})[0] == 412
        assert rest.delete("/v1/pools/web/hosts/a",
                           **{"If-Match": now})[0] == 204
        assert rest.patch("/v1/pools/web", {"priority": 1},
                          **{"If-Match": '"other"'})[0] == 412
        assert checkerd.status()["pools"][0]["priority"] == 0


def test_what_is_ordered_of_a_host_is_another_version_of_its_pool(folder):
    """What was hashed of all its hosts is kept, but not for longer."""
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        versions = []
        for change in ({"weight": 5}, {"admin": "drain"}, {"weight": 6}):
            rest.get("/v1/pools/web")
            versions.append(rest.headers["ETag"])
            rest.get("/v1/pools/web")
            assert rest.headers["ETag"] == versions[-1]
            assert rest.patch("/v1/pools/web", {"panic": "10%"},
                              **{"If-Match": versions[-1]})[0] == 200
            versions.append(rest.headers["ETag"])
            assert rest.patch("/v1/pools/web/hosts/a", change)[0] == 200
            assert rest.patch("/v1/pools/web", {"priority": 1},
                              **{"If-Match": versions[-1]})[0] == 412
        checkerd.write(TWO + "panic = 20%\n")
        assert rest.post("/v1/reload")[0] == 200
        assert rest.patch("/v1/pools/web", {"priority": 1},
                          **{"If-Match": versions[-1]})[0] == 412
        assert len(set(versions)) == 4


BAD = [
    ("PATCH", "web/hosts/a", b"{", 400, None),
    ("PATCH", "web/hosts/a", b"[]", 400, None),
    ("PATCH", "web/hosts/a", b'{"weight":1,"weight":2}', 400, None),
    ("PATCH", "web/hosts/a", {"wieght": 1}, 422, "wieght"),
    ("PATCH", "web/hosts/a", {"weight": 0}, 422, "weight"),
    ("PATCH", "web/hosts/a", {"weight": 65536}, 422, "weight"),
    ("PATCH", "web/hosts/a", {"weight": 1.5}, 422, "weight"),
    ("PATCH", "web/hosts/a", {"admin": "off"}, 422, "admin"),
    ("PATCH", "web/hosts/a", {"admin": "down", "for": "-1"}, 422, "for"),
    ("PATCH", "web/hosts/a", {"admin": "down", "reason": "x" * 257}, 422,
     "reason"),
    ("PATCH", "web/hosts/a", {"admin": "down", "reason": "a\u0000b"}, 400,
     None),
    ("PATCH", "web/hosts/a", {"reason": "why not"}, 422, "admin"),
    ("PATCH", "web/hosts/x", {"weight": 1}, 404, None),
    ("PATCH", "no/hosts/a", {"weight": 1}, 404, None),
    ("PUT", "web/hosts/a", {"address": "127.0.0.1:9"}, 409, None),
    ("PUT", "web/hosts/n", {}, 422, "address"),
    ("PUT", "web/hosts/n", {"address": 7}, 422, "address"),
    ("PUT", "web/hosts/n", {"address": "nowhere."}, 422, "address"),
    ("PUT", "web/hosts/n", {"address": "localhost:80"}, 422, "address"),
    ("PUT", "web/hosts/n", {"address": "127.0.0.1:9", "interval": "1"
                            "ms"}, 422, "interval"),
    ("PUT", "web/hosts/n", {"address": "127.0.0.1:9", "path": "/a\r\nX: y"},
     422, "path"),
    ("PUT", "web/hosts/n", {"address": "127.0.0.1:9", "expect_body": "("},
     422, "expect_body"),
    ("PUT", "web/hosts/n", {"address": "127.0.0.1:9", "weight": 70000}, 422,
     "weight"),
    ("PUT", "web/hosts/n%00", {"address": "127.0.0.1:9"}, 400, None),
    ("PUT", "web/hosts/%20", {"address": "127.0.0.1:9"}, 400, None),
    ("PUT", "web", {}, 409, None),
    ("PUT", "w%20b", {}, 400, None),
    ("PUT", "n", {"priority": 70000}, 422, "priority"),
    ("PUT", "n", {"server": "127.0.0.1:9"}, 422, "server"),
    ("PATCH", "web", {"balance": "fair"}, 422, "balance"),
    ("PATCH", "web", {"interval": "1s"}, 422, "interval"),
    ("DELETE", "no", None, 404, None),
    ("DELETE", "web/hosts/x", None, 404, None),
]


def test_what_is_refused_changes_nothing(folder):
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        before = rest.get("/v1/pools/web")[1]
        assert rest.delete("/v1/changes/web/hosts/a")[0] == 204  # as it is
        for path in ("no", "no/hosts/a", "web/hosts/x"):
            assert error_of(rest.delete("/v1/changes/" + path))[0] == 404
        for method, path, body, status, key in BAD:
            answer = rest.request(method, "/v1/pools/" + path, body)
            assert error_of(answer) == (status, key), (method, path, answer)
            assert answer[1]["error"]["message"]
        assert rest.get("/v1/pools/web")[1] == before
        assert rest.get("/v1/changes")[1] == {"changes": []}
        assert checkerd.events() == []


# --- against a model --------------------------------------------------------

class Model:
    """What a fleet is after operations, thought out again and simply."""

    def __init__(self, pools):
        self.files = list(pools)
        self.born = 0
        self.pools = {}
        for name, servers in pools.items():
            self.pools[name] = {"priority": 0, "balance": "round_robin",
                                "rank": self.files.index(name), "hosts": {}}
            for server in servers:
                address, *words = server.split()
                words = dict(word.split("=") for word in words)
                self.pools[name]["hosts"][words["id"]] = {
                    "address": address, "admin": "auto",
                    "weight": int(words.get("weight", 1))}

    def rank(self, name):
        self.born += 1
        return self.files.index(name) if name in self.files \
            else len(self.files) + self.born

    def apply(self, operation):
        """Returns the status that the operation must be answered with."""
        kind, pool, host, body = operation
        known = self.pools.get(pool)
        hosts = known["hosts"] if known else {}
        if kind == "add_pool":
            if known:
                return 409
            self.pools[pool] = {"priority": body.get("priority", 0),
                                "balance": body.get("balance", "round_robin"),
                                "rank": self.rank(pool), "hosts": {}}
            return 201
        if not known or (host and kind != "add_host" and host not in hosts):
            return 404
        if kind == "set_pool":
            known.update(body)
        elif kind == "remove_pool":
            del self.pools[pool]
            return 204
        elif kind == "add_host":
            if host in hosts:
                return 409
            hosts[host] = {"address": body["address"], "admin": "auto",
                           "weight": body.get("weight", 1)}
            return 201
        elif kind == "remove_host":
            del hosts[host]
            return 204
        else:
            order = dict(body)
            if order.get("admin") == "up":
                order["admin"] = "auto"
            hosts[host].update(order)
        return 200

    def document(self):
        ranked = sorted(self.pools.items(),
                        key=lambda item: (item[1]["priority"],
                                          item[1]["rank"]))
        return [(name, pool["priority"], pool["balance"],
                 [(host, it["address"], it["weight"], it["admin"])
                  for host, it in pool["hosts"].items()])
                for name, pool in ranked]


def document(rest):
    return [(pool["name"], pool["priority"], pool["balance"],
             [(host["id"], host["address"], host["weight"], host["admin"])
              for host in pool["hosts"]])
            for pool in rest.get("/v1/pools")[1]["pools"]]


def ask(rest, operation):
    kind, pool, host, body = operation
    path = f"/v1/pools/{pool}" + (f"/hosts/{host}" if host else "")
    method = {"add": "PUT", "set": "PATCH", "remove": "DELETE",
              "order": "PATCH"}[kind.split("_")[0]]
    return rest.request(method, path, body)[0]


def some_operation(dice):
    pool = dice.choice(["web", "api", "new", "spare"])
    host = dice.choice("abcdef")
    return dice.choice([
        ("add_pool", pool, None, {"priority": dice.randrange(3)}),
        ("set_pool", pool, None, dice.choice([
            {"priority": dice.randrange(3)},
            {"balance": dice.choice(["hash", "random", "round_robin"])}])),
        ("remove_pool", pool, None, None),
        ("add_host", pool, host, {
            "address": f"127.0.0.1:{dice.randrange(1000, 1010)}",
            "weight": dice.randrange(1, 5)}),
        ("add_host", pool, host, {"address": "unix:/run/x.sock"}),
        ("remove_host", pool, host, None),
        ("order_host", pool, host, {"admin": dice.choice(
            ["up", "down", "drain", "auto"])}),
        ("order_host", pool, host, {"weight": dice.randrange(1, 5)}),
    ])


POOLS = {"web": ["127.0.0.1:1001 id=a weight=3", "127.0.0.1:1002 id=b"],
         "api": ["127.0.0.1:1003 id=c"]}


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_changes_is_as_the_model_has_it(folder, seed):
    dice = random.Random(seed)
    model = Model(POOLS)
    with Checkerd(folder, ini(POOLS, "check = none")) as checkerd, \
            checkerd.rest() as rest:
        for step in range(150):
            operation = some_operation(dice)
            assert ask(rest, operation) == model.apply(operation), operation
            assert document(rest) == model.document(), operation
            if step % 25 == 0:
                checkerd.reload()
                assert document(rest) == model.document(), "after a reload"
        checkerd.stop()
        checkerd.start()
        with checkerd.rest() as again:
            assert document(again) == model.document(), "after a restart"


def test_kill_9_loses_no_acknowledged_change(folder):
    """500 rounds: what was answered is there; what was not may be."""
    dice = random.Random(2026)
    models = [Model(POOLS)]  # those that may hold
    with Checkerd(folder, ini(POOLS, "check = none")) as checkerd:
        for round_number in range(500):
            with checkerd.rest() as rest:
                held = document(rest)
                models = [model for model in models
                          if model.document() == held][:1]
                assert models, f"round {round_number}: {held}"
                killer = threading.Timer(dice.random() * 0.012,
                                         checkerd.process.kill)
                killer.start()
                try:
                    while True:
                        operation = some_operation(dice)
                        after = json_copy(models[0])
                        expected = after.apply(operation)
                        models.append(after)
                        assert ask(rest, operation) == expected, operation
                        models = [after]
                except (OSError, http.client.HTTPException):
                    pass  # cut off, perhaps in the middle of an answer
                finally:
                    killer.join()
            checkerd.process.wait()
            checkerd.process = None
            checkerd.start()


def json_copy(model):
    copy = Model({})
    copy.files = model.files
    copy.born = model.born
    copy.pools = json.loads(json.dumps(model.pools))
    return copy


# --- persistence ------------------------------------------------------------

def test_a_lease_that_ran_out_while_away_is_over(folder):
    with Checkerd(folder, TWO) as checkerd:
        with checkerd.rest() as rest:
            rest.patch("/v1/pools/web/hosts/a", {"admin": "down", "for": "1s"})
            rest.patch("/v1/pools/web/hosts/b", {"admin": "down", "for": "1h"})
            until = timestamp(checkerd.host("web/a")["until"])
        checkerd.kill()
        wait_for(lambda: time.time() > until, "the lease to end")
        checkerd.start()
        assert checkerd.host("web/a")["state"] == "up"
        assert checkerd.host("web/b")["state"] == "down"


@pytest.mark.parametrize("damage", [
    b"", b"{", b"{}", b'{"version":99,"changes":[]}',
    b'{"version":1,"changes":[{}]}', os.urandom(100), b"[" * 100000])
def test_a_damaged_state_file_is_kept_aside(folder, damage):
    checkerd = Checkerd(folder, TWO)
    os.makedirs(checkerd.state_dir, exist_ok=True)
    with open(os.path.join(checkerd.state_dir, "changes.json"), "wb") as file:
        file.write(damage)
    with checkerd:
        assert checkerd.log.lines("cannot be read: .* kept as")
        aside = [name for name in os.listdir(checkerd.state_dir)
                 if "refused" in name]
        assert len(aside) == 1
        with open(os.path.join(checkerd.state_dir, aside[0]), "rb") as file:
            assert file.read() == damage
        with checkerd.rest() as rest:
            assert rest.patch("/v1/pools/web/hosts/a", {"weight": 2})[0] == 200


def test_a_state_file_that_cannot_be_opened_is_kept_aside(folder):
    checkerd = Checkerd(folder, TWO)
    os.symlink("changes.json",
               os.path.join(checkerd.state_dir, "changes.json"))
    with checkerd, checkerd.rest() as rest:
        assert checkerd.log.lines("cannot be read: .* kept as")
        assert rest.patch("/v1/pools/web/hosts/a", {"weight": 2})[0] == 200
        assert [name for name in os.listdir(checkerd.state_dir)
                if "refused" in name]


def test_no_directory_no_changes(folder):
    checkerd = Checkerd(folder, TWO)
    os.rmdir(checkerd.state_dir)
    with checkerd, checkerd.rest() as rest:
        status, body = rest.patch("/v1/pools/web/hosts/a", {"weight": 2})
        assert (status, body["error"]["code"]) == (500, "not_kept")
        assert checkerd.host("web/a")["weight"] == 3


def test_a_full_disk_refuses_the_change(folder):
    checkerd = Checkerd(folder, TWO)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none",
                    checkerd.state_dir], check=True)
    try:
        with checkerd, checkerd.rest() as rest:
            assert rest.patch("/v1/pools/web/hosts/a", {"weight": 2})[0] == 200
            with open(os.path.join(checkerd.state_dir, "filler"), "wb",
                      buffering=0) as file:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * 512)
            before = rest.get("/v1/pools/web")[1]
            for change in ({"weight": 4}, {"admin": "down"}):
                status, body = rest.patch("/v1/pools/web/hosts/a", change)
                assert (status, body["error"]["code"]) == (507, "no_space")
            status, body = rest.put("/v1/pools/n", {})
            assert status == 507
            assert rest.get("/v1/pools/web")[1] == before
            os.unlink(os.path.join(checkerd.state_dir, "filler"))
            assert rest.patch("/v1/pools/web/hosts/a", {"weight": 4})[0] == 200
    finally:
        subprocess.run(["umount", checkerd.state_dir], check=True)


def kept_changes(checkerd):
    with open(os.path.join(checkerd.state_dir, "changes.json")) as file:
        return json.load(file)["changes"]


def test_no_room_for_the_segment_refuses_the_change(folder):
    checkerd = Checkerd(folder, TWO)
    place = os.path.join(checkerd.folder, "run")
    os.mkdir(place)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", place],
                   check=True)
    try:
        checkerd.segment = os.path.join(place, "health.shm")
        checkerd.write(TWO)
        with checkerd, checkerd.rest() as rest:
            rest.patch("/v1/pools/web/hosts/a", {"weight": 9})
            kept = kept_changes(checkerd)
            with open(os.path.join(place, "filler"), "wb") as file:
                os.posix_fallocate(file.fileno(), 0, 1 << 20)
            before = rest.get("/v1/pools/web")[1]
            status, body = rest.put("/v1/pools/web/hosts/n",
                                    {"address": "127.0.0.1:9"})
            assert (status, body["error"]["code"]) == (507, "no_space")
            assert kept_changes(checkerd) == kept
            checkerd.write(TWO.replace("weight=3", "weight=4") +
                           "server = 127.0.0.1:1003 id=c\n")
            assert rest.post("/v1/reload")[0] == 507
            assert rest.get("/v1/pools/web")[1] == before
            wait_for(lambda: kept_changes(checkerd) == kept,
                     "the changes to be put back")
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_what_does_not_fit_any_more_is_kept_aside(folder):
    with Checkerd(folder, TWO) as checkerd:
        ca = folder / "ca.pem"
        ca.write_text("none yet")
        with checkerd.rest() as rest:
            assert rest.put("/v1/pools/web/hosts/n", {
                "address": "127.0.0.1:9", "check": "https",
                "tls_ca": str(ca)})[0] == 201
            rest.patch("/v1/pools/web/hosts/a", {"weight": 7})
        checkerd.stop()
        ca.unlink()
        checkerd.start()
        assert checkerd.host("web/n") is None
        assert checkerd.host("web/a")["weight"] == 7
        name = checkerd.log.lines("do not fit are kept in")[0].split()[-1]
        with open(name) as file:
            assert str(ca) in file.read()


# --- reload -----------------------------------------------------------------

def test_the_files_last_word_wins_and_is_told(folder):
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        rest.patch("/v1/pools/web/hosts/a", {"weight": 9})
        rest.patch("/v1/pools/web/hosts/b", {"admin": "down"})
        rest.put("/v1/pools/web/hosts/n", {"address": "127.0.0.1:1003"})
        checkerd.reload()
        assert checkerd.host("web/a")["weight"] == 9
        checkerd.reload(TWO.replace("weight=3", "weight=4"))
        assert checkerd.host("web/a")["weight"] == 4
        assert checkerd.log.lines("web/a gives way: the files say 4")
        assert checkerd.host("web/b")["admin"] == "down"
        checkerd.reload(TWO + "server = 127.0.0.1:2000 id=n\n")
        assert checkerd.host("web/n")["address"] == "127.0.0.1:2000"
        # a pool that goes takes along what was added to it
        checkerd.reload(ini({"other": ["127.0.0.1:1 id=x"]}, "check = none"))
        assert rest.get("/v1/changes")[1] == {"changes": []}


@pytest.mark.parametrize("text", [
    "[defaults]\ncheck = tcp\n[pool web]\n",  # where a path is of no use
    "[pool other]\n"], ids=["a check", "a pool"])
def test_many_changes_that_do_not_fit_any_more_go_at_once(folder, text):
    checkerd = Checkerd(folder, "[defaults]\ninterval = 1h\n[pool web]\n")
    row = {"pool": "web", "ini": None, "since": "2026-01-01T00:00:00Z",
           "by": 0, "reason": None, "until": None}
    with open(os.path.join(checkerd.state_dir, "changes.json"), "w") as file:
        json.dump({"version": 1, "changes": [
            {**row, "host": f"n{i}", "key": key, "runtime": runtime}
            for i in range(3000)
            for key, runtime in (("server", f"127.0.0.1:9 id=n{i}"),
                                 ("path", "/n"))]}, file)
    with checkerd, checkerd.rest() as rest:
        assert checkerd.status()["pools"][0]["total"] == 3000
        checkerd.reload(text)
        assert rest.get("/v1/changes")[1] == {"changes": []}
        assert checkerd.log.lines("any more|gives way")


def test_revert_goes_back_to_the_files(folder):
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        rest.patch("/v1/pools/web/hosts/a", {"weight": 9, "admin": "down"})
        rest.patch("/v1/pools/web", {"priority": 7})
        assert rest.delete("/v1/changes/web/hosts/a")[0] == 204
        host = checkerd.host("web/a")
        assert (host["weight"], host["state"]) == (3, "up")
        assert rest.delete("/v1/changes/web")[0] == 204
        assert checkerd.status()["pools"][0]["priority"] == 0
        assert rest.get("/v1/changes")[1] == {"changes": []}


def test_reload_is_answered_when_it_is_done(folder):
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        checkerd.write(TWO + "server = 127.0.0.1:1003 id=c\n")
        assert rest.post("/v1/reload") == \
            (200, {"pools": 1, "hosts": 3, "gave_way": []})
        rest.patch("/v1/pools/web/hosts/a", {"weight": 9})
        checkerd.write(TWO.replace("weight=3", "weight=4") +
                       "server = 127.0.0.1:1003 id=c\n")
        assert rest.post("/v1/reload")[1]["gave_way"] == [
            "runtime: [web] weight: the change of web/a gives way: "
            "the files say 4 now"]
        checkerd.write(TWO + "sorver = x\ninterval = soon\n")
        status, body = rest.post("/v1/reload")
        assert status == 422 and len(body["error"]["errors"]) == 2
        assert checkerd.host("web/c")


# --- what is not for everybody ----------------------------------------------

def test_what_probes_send_is_not_shown(folder):
    """It may hold a password, and the status socket is everybody's."""
    with Checkerd(folder, ini({"web": ["127.0.0.1:1 id=a"]},
                              "header = Authorization: Basic abc\n"
                              "interval = 1h")) as checkerd, \
            checkerd.rest() as rest:
        rest.put("/v1/pools/web/hosts/n", {
            "address": "127.0.0.1:2", "body": "hunter2: x", "method": "POST",
            "header": ["X-Token: hunter2", "Accept: a"]})
        host = rest.get("/v1/pools/web/hosts/n")[1]["settings"]
        assert host["header"] == ["X-Token: (hidden)", "Accept: (hidden)"]
        assert host["body"] == "(hidden)" and host["method"] == "POST"
        assert rest.get("/v1/pools/web")[1]["settings"]["header"] == \
            ["Authorization: (hidden)"]
        assert "hunter2" not in json.dumps(rest.get("/v1/changes")[1])
        assert not checkerd.log.lines("hunter2|abc")


# --- with nginx -------------------------------------------------------------

def test_a_thousand_hosts_come_and_go_under_load(folder):
    """nginx lists two backends; the segment changes a thousand times."""
    with Backends(2) as backends:
        with Checkerd(folder, ini({"web": servers(backends)},
                                  "interval = 1s")) as checkerd, \
                Nginx(folder, f"""
                    upstream web {{
                        {backends.servers()}
                        upstream_health_shm {checkerd.segment};
                    }}""") as nginx, checkerd.rest() as rest:
            failed, served = [], []
            over = threading.Event()

            def load():
                with Client(nginx.port) as client:
                    while not over.is_set():
                        status = client.get().status
                        (served if status == 200 else failed).append(status)

            loads = [threading.Thread(target=load) for _ in range(2)]
            for thread in loads:
                thread.start()
            try:
                for i in range(500):
                    assert rest.put(f"/v1/pools/web/hosts/n{i % 7}", {
                        "address": "127.0.0.1:9", "check": "none"})[0] == 201
                    assert rest.delete(
                        f"/v1/pools/web/hosts/n{i % 7}")[0] == 204
            finally:
                over.set()
                for thread in loads:
                    thread.join()
            assert not failed and len(served) > 1000


def test_a_second_checkerd_that_is_turned_away_leaves_the_state_alone(folder):
    """Started while somebody edits the files."""
    with Checkerd(folder, TWO) as checkerd, checkerd.rest() as rest:
        assert rest.patch("/v1/pools/web/hosts/a", {"weight": 7})[0] == 200
        checkerd.write(TWO.replace("weight=3", "weight=4"))
        assert checkerd.run()[0] == 1
        checkerd.write(TWO)
        checkerd.kill()
        checkerd.start()
        assert checkerd.host("web/a")["weight"] == 7


def test_who_waits_for_a_change_is_told_of_the_end(folder):
    text = ini({"web": [f"10.0.{i // 250}.{i % 250}:80 id=h{i}"
                        for i in range(40000)]}, "check = none")
    statuses, ready, sent = [], threading.Barrier(21), threading.Barrier(21)

    def add(number):
        with checkerd.rest() as rest:
            rest.get("/v1/readers")
            ready.wait()
            rest.connection.request(
                "PUT", f"/v1/pools/web/hosts/new{number}",
                '{"address": "10.1.0.1:80"}',
                {"Content-Type": "application/json"})
            sent.wait()
            statuses.append(rest.connection.getresponse().status)

    # a change that is being made is left, with all its memory, to the end
    with Checkerd(folder, text,
                  ["env", "ASAN_OPTIONS=detect_leaks=0"]) as checkerd:
        clients = [threading.Thread(target=add, args=(number,))
                   for number in range(20)]
        for client in clients:
            client.start()
        ready.wait()
        sent.wait()
        time.sleep(0.2)  # for checkerd to have read it
        checkerd.stop()
        for client in clients:
            client.join()
    assert len(statuses) == 20 and set(statuses) <= {201, 503}
    assert 503 in statuses


# --- slow start -------------------------------------------------------------

def test_a_host_that_comes_back_gets_its_weight_little_by_little(folder):
    with Backends(1) as backends:
        with Checkerd(folder, ini(
                {"web": [f"{backends[0].address} id=a weight=10"]},
                "interval = 50ms\nfall = 1\nrise = 1\nslow_start = 2s")) \
                as checkerd:
            checkerd.wait_state("web/a", "up")
            # not at the start
            assert checkerd.host("web/a")["effective_weight"] == 10
            backends[0].stop()
            checkerd.wait_state("web/a", "down")
            backends[0].start()
            checkerd.wait_state("web/a", "up")
            weights = [checkerd.host("web/a")["effective_weight"]]
            assert weights[0] < 5
            checkerd.reload()  # it goes on
            while weights[-1] < 10:
                weights.append(checkerd.host("web/a")["effective_weight"])
            assert weights == sorted(weights)
            assert len(set(weights)) > 8
            # the whole way up was no event
            assert [event["event"] for event in checkerd.events()] == \
                ["host_down", "host_up"]


def test_a_host_that_comes_back_by_revert_or_reload_starts_slowly(folder):
    text = ini({"web": ["127.0.0.1:1001 id=a weight=10"]},
               "check = none\nslow_start = 1h")
    with Checkerd(folder, text) as checkerd, checkerd.rest() as rest:
        rest.patch("/v1/pools/web/hosts/a", {"admin": "down"})
        rest.delete("/v1/changes/web/hosts/a")
        assert checkerd.host("web/a")["state"] == "up"
        assert checkerd.host("web/a")["effective_weight"] < 1
        checkerd.reload(text.replace("id=a", "id=a down"))
        assert checkerd.host("web/a")["effective_weight"] == 10
        checkerd.reload(text)
        assert checkerd.host("web/a")["effective_weight"] < 1


def test_a_slow_start_ends_when_a_reload_takes_the_host_out(folder):
    """Of a host that comes so late in its pool that the segment is not told
    of it before the next step."""
    def text(flag):
        return ini({"web": [f"10.0.{i // 250}.{i % 250}:80 id=h{i}"
                            for i in range(20000)] +
                           [f"10.1.0.1:80 id=last weight=10 {flag}"]},
                   "check = none\nslow_start = 1h")

    with Checkerd(folder, text("down")) as checkerd, checkerd.rest() as rest:
        host = "/v1/pools/web/hosts/last"
        for _ in range(3):
            checkerd.reload(text(""))
            assert rest.get(host)[1]["effective_weight"] < 1
            checkerd.reload(text("down"))
            assert rest.get(host)[1]["state"] == "down"
        assert [event["event"] for event in checkerd.events()] == \
            ["host_up", "host_down"] * 3


def test_who_is_needed_at_once_does_not_start_slowly(folder):
    """New hosts, and hosts of a pool in a panic."""
    with Backends(1) as backends:
        with Checkerd(folder, ini(
                {"web": servers(backends)},
                "interval = 50ms\nfall = 1\nrise = 1\nslow_start = 1h\n"
                "initial = checking\npanic = 50%")) as checkerd:
            checkerd.wait_state("web/a", "up")
            assert checkerd.host("web/a")["effective_weight"] == 1
            backends[0].stop()
            checkerd.wait_state("web/a", "down")
            backends[0].start()
            checkerd.wait_state("web/a", "up")
            assert checkerd.host("web/a")["effective_weight"] == 1
