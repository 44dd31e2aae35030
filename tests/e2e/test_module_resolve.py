# SPDX-License-Identifier: BSD-2-Clause
"""`server NAME resolve`: nginx changes its list of peers by itself, and health
follows them.  Nothing of it is there before nginx 1.27.3."""

import pytest

from backends import Backends
from names import Names
from nginx import Crowd, Nginx, free_port, nginx_version, wait_for
from segment import Segment

pytestmark = pytest.mark.skipif(
    nginx_version() < (1, 27, 3),
    reason="open-source nginx has `resolve` from 1.27.3 on")


class Fleet(Backends):
    """Three hosts on one port, as addresses of one name are."""

    def __init__(self):
        port = free_port()
        super().__init__([f"127.0.0.{number}:{port}" for number in (2, 3, 4)])

    def addresses(self, *numbers):
        return [self[number].address.split(":")[0] for number in numbers]

    def shares(self, crowd):
        """Which of them serve."""
        self.reset()
        assert crowd.get(60) == {200: 60}
        return [backend.name for backend in self if backend.requests]


def upstream(fleet, names, folder, balancer):
    port = fleet[0].address.split(":")[1]
    return f"""upstream web {{
        zone web 256k;
        {balancer}
        resolver 127.0.0.1:{names.port} valid=1s ipv6=off;
        server web.test:{port} resolve;
        upstream_health_shm {folder}/health.shm;
    }}"""


@pytest.mark.parametrize("balancer", [
    "", "least_conn;", "hash $request_id consistent;", "random two;"])
def test_hosts_come_and_go_by_name(folder, balancer):
    with Fleet() as fleet, Names({"web.test": fleet.addresses(0, 1)}) as names, \
            Segment(folder / "health.shm") as segment:
        segment.pools({"primary": fleet})
        segment.set("primary/b", "down")
        segment.set("primary/c", "down")
        with Nginx(folder, upstream(fleet, names, folder, balancer)) as nginx, \
                Crowd(nginx) as crowd:
            wait_for(lambda: nginx.get().status == 200, "the first answer")
            assert fleet.shares(crowd) == ["a"]

            # a host that is down already when its address appears
            names.tell("web.test", fleet.addresses(0, 1, 2))
            assert fleet.shares(crowd) == ["a"]
            segment.set("primary/c", "up")
            assert fleet.shares(crowd) == ["a", "c"]

            # one that goes, and comes back after its verdict has changed
            names.tell("web.test", fleet.addresses(1, 2))
            assert fleet.shares(crowd) == ["c"]
            segment.set("primary/a", "down")
            names.tell("web.test", fleet.addresses(0, 1, 2))
            assert fleet.shares(crowd) == ["c"]

            # one that goes while it is down, and comes back up
            names.tell("web.test", fleet.addresses(0, 2))
            segment.set("primary/b", "up")
            names.tell("web.test", fleet.addresses(0, 1, 2))
            assert fleet.shares(crowd) == ["b", "c"]


def test_a_reload_keeps_names_and_health(folder):
    """nginx hands the resolved peers on to the new configuration."""
    with Fleet() as fleet, \
            Names({"web.test": fleet.addresses(0, 1, 2)}) as names, \
            Segment(folder / "health.shm") as segment:
        segment.pools({"primary": fleet})
        segment.set("primary/b", "down")
        with Nginx(folder, upstream(fleet, names, folder, "")) as nginx:
            wait_for(lambda: nginx.get().status == 200, "the first answer")
            nginx.reload()
            with Crowd(nginx) as crowd:
                assert fleet.shares(crowd) == ["a", "c"]
            segment.set("primary/b", "up")
            with Crowd(nginx) as crowd:
                assert fleet.shares(crowd) == ["a", "b", "c"]


def test_an_order_in_nginx_conf_survives_ours(folder):
    with Fleet() as fleet, \
            Names({"web.test": fleet.addresses(0, 1),
                   "spare.test": fleet.addresses(2)}) as names, \
            Segment(folder / "health.shm") as segment:
        segment.pools({"primary": fleet})
        http = upstream(fleet, names, folder, "").replace(
            "upstream_health_shm", "server spare.test:%s resolve down;"
            "upstream_health_shm" % fleet[0].address.split(":")[1])
        with Nginx(folder, http) as nginx, Crowd(nginx) as crowd:
            wait_for(lambda: nginx.get().status == 200, "the first answer")
            for state in ("down", "up"):
                segment.set("primary/c", state)
                names.tell("spare.test", fleet.addresses(2))
                assert fleet.shares(crowd) == ["a", "b"]
