# SPDX-License-Identifier: BSD-2-Clause
"""What was asked of checkerd over REST, what it acknowledged, and what it has
to know of that, whatever happened meanwhile.

Of each thing that may change there is the set of values that it may have: one
where all was answered, two where an answer got lost with its process.
"""

import http.client
import threading

from actions import FRONT, POOLS
from rest import Rest

EVERY = 15  # changes between two looks at what is kept


class Model:
    def __init__(self, findings):
        self.findings = findings
        self.may = {}  # (pool, host or None, what) -> set
        self.lock = threading.Lock()

    DEFAULTS = {"admin": "auto", "weight": 1, "there": False}

    def values(self, key):
        return self.may.get(key, {self.DEFAULTS[key[2]]})

    def is_there(self, pool, host):
        """None: it may be."""
        if host is not None and f"h{host}" in self.configured(pool):
            return True
        name = None if host is None else f"h{host}"
        values = self.values((pool, name, "there"))
        return None if len(values) > 1 else next(iter(values))

    @staticmethod
    def configured(pool):
        return {f"h{n}" for n in POOLS.get(pool, ())}

    def change(self, changes, certain):
        """{key: set of values} come into force, or may have."""
        with self.lock:
            for key, values in changes.items():
                self.may[key] = values | (set() if certain
                                          else self.values(key))

    def forget(self):
        """The state was damaged: the next look tells."""
        with self.lock:
            self.may = None

    def look(self, rows):
        """Holds GET /v1/changes against what must be there."""
        kept = {}
        for row in rows:
            what = {"admin": "admin", "weight": "weight", "server": "there",
                    "pool": "there"}.get(row["key"])
            if what is None:
                continue
            value = row["runtime"]
            value = int(value) if what == "weight" else \
                value is not None if what == "there" else value
            kept[row["pool"], row["host"], what] = value
        with self.lock:
            if self.may is not None:
                for key in set(self.may) | set(kept):
                    value = kept.get(key, self.DEFAULTS[key[2]])
                    if value not in self.values(key):
                        self.findings.add(
                            f"acknowledged change lost: {key} is {value}, "
                            f"not one of {self.values(key)}")
            self.may = {key: {value} for key, value in kept.items()}
            # a lease may end whenever the clock says so
            for row in rows:
                if row["key"] == "admin" and row.get("until"):
                    self.may[row["pool"], row["host"], "admin"].add("auto")


class Hand:
    """Asks for one change at a time."""

    def __init__(self, daemon, model, addresses):
        self.daemon = daemon
        self.model = model
        self.addresses = addresses
        self.asked = 0
        self.life = None
        self.answers = {}

    def ask(self, method, path, body=None):
        """The status and the body; (None, None) if nobody was there, and
        (0, None) if no answer came."""
        rest = Rest(self.daemon.control, 60)
        try:
            rest.connection.connect()
        except OSError:
            return None, None
        try:
            return rest.request(method, path, body)
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            rest.connection.close()

    def act(self, kind, about):
        # nobody damages what is kept while its fate is open
        with self.daemon.state_lock:
            getattr(self, kind)(**about)
        self.asked += 1
        life = len(self.daemon.lives)
        if life != self.life or self.asked % EVERY == 0:
            if self.look():
                self.life = life

    def look(self):
        with self.daemon.state_lock:
            status, body = self.ask("GET", "/v1/changes")
            if status == 200:
                self.model.look(body["changes"])
        return status == 200

    def request(self, method, path, changes, body=None, expects=None):
        """`changes` is {key: set of values} if it is done."""
        status, answer = self.ask(method, path, body)
        self.answers[status] = self.answers.get(status, 0) + 1
        if status == 0:
            self.change(changes, False)
        elif status is not None and status // 100 == 2:
            self.change(changes, True)
        elif status in (404, 409) and expects == (status == 404):
            self.model.findings.add(
                f"{method} {path} answered with {status}: {answer}")
        elif status == 500 and self.daemon.may_lack_files() and \
                answer["error"]["code"] == "not_kept":
            pass  # and nothing was changed
        elif status not in (None, 404, 409, 507, 503):
            self.model.findings.add(
                f"{method} {path} {body} answered with {status}: {answer}")

    def change(self, changes, certain):
        if self.model.may is not None:
            self.model.change(changes, certain)

    def there(self, pool, host):
        return None if self.model.may is None \
            else self.model.is_there(pool, host)

    # --- kinds of actions.py

    def order(self, pool, host, admin, **lease):
        holds = "auto" if admin == "up" else admin
        values = {holds, "auto"} if lease else {holds}
        self.request("PATCH", f"/v1/pools/{pool}/hosts/h{host}",
                     {(pool, f"h{host}", "admin"): values},
                     {"admin": admin, **lease}, self.there(pool, host))

    lease = order

    def weight(self, pool, host, weight):
        self.request("PATCH", f"/v1/pools/{pool}/hosts/h{host}",
                     {(pool, f"h{host}", "weight"): {weight}},
                     {"weight": weight}, self.there(pool, host))

    def add(self, pool, host):
        self.request("PUT", f"/v1/pools/{pool}/hosts/h{host}",
                     {(pool, f"h{host}", "there"): {True}},
                     {"address": self.addresses(host)},
                     self.there(pool, host))

    def remove(self, pool, host):
        self.request("DELETE", f"/v1/pools/{pool}/hosts/h{host}",
                     self.default(pool, f"h{host}"),
                     expects=self.there(pool, host))

    def default(self, pool, name):
        return {(pool, name, what): {value}
                for what, value in Model.DEFAULTS.items()}

    def revert(self, pool, host):
        self.request("DELETE", f"/v1/changes/{pool}/hosts/h{host}",
                     self.default(pool, f"h{host}"))

    def probe(self, pool, host):
        self.request("POST", f"/v1/pools/{pool}/hosts/h{host}/probe", {},
                     expects=self.there(pool, host))

    def pool(self, pool, priority, balance):
        self.request("PUT", f"/v1/pools/{pool}",
                     {(pool, None, "there"): {True}},
                     {"priority": priority, "balance": balance,
                      "upstream": FRONT}, self.there(pool, None))

    def remove_pool(self, pool, **_):
        self.request("DELETE", f"/v1/pools/{pool}",
                     {(pool, None, "there"): {False}},
                     expects=self.there(pool, None))
