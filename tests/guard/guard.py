# SPDX-License-Identifier: BSD-2-Clause
"""Holds what things cost to limits.py, and fails for what has become dearer.

usage: guard.py checks|requests|picks

Prints `name measured limit` and `more` where it is more.
"""

import concurrent.futures
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", name) for name in ("e2e", "bench")]

from limits import LIMITS, MARGIN  # noqa: E402

# Connections that are open when counting begins or ends, and the first time
# that a buffer has to grow.
EDGES = 0.05


def checks():
    import daemon_cost

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for figures in pool.map(daemon_cost.cost, ("fresh", "kept"),
                                ("off", "on")):
            yield from figures.items()


def requests():
    from backends import Backends
    from nginx_overhead import OURS, STOCK, per_request
    from segment import Segment

    for size in (1, 1000):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
                Backends(1) as backends:
            os.chmod(folder, 0o755)
            path = os.path.join(folder, "health.shm")
            servers = f"server {backends[0].address};" * size
            with Segment(path) as segment:
                segment.pools({"primary": backends})
                ours = per_request(f"upstream web {{ {servers} "
                                   f"upstream_health_shm {path}; }}", OURS)
            stock = per_request(f"upstream web {{ {servers} }}", STOCK)
        yield f"request_{size}_added_instructions", ours - stock


def picks():
    from backends import Backends
    from nginx import free_port
    from pool_pick import OURS, PICK, addresses, per_request, pools

    port, costs = free_port(), {}
    for size in (10, 1000):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
                Backends([f"0.0.0.0:{port}"]):
            os.chmod(folder, 0o755)
            path = os.path.join(folder, "health.shm")
            with pools(path, "round_robin", addresses(size, port)):
                costs[size] = per_request(
                    f"upstream web {{ upstream_health_shm {path}; }}",
                    OURS[PICK:PICK + 1])
        yield f"pick_round_robin_{size}_instructions", costs[size]
    yield "pick_round_robin_1000_to_10", costs[1000] / costs[10]


def main():
    group = {"checks": checks, "requests": requests, "picks": picks}
    dearer = 0
    for name, measured in group[sys.argv[1]]():
        limit = LIMITS[name]
        more = measured > limit * (1 + MARGIN) + EDGES
        dearer += more
        print(f"{name:36} {measured:10.2f} {limit:8g} {'more' * more}",
              flush=True)
    sys.exit(1 if dearer else 0)


if __name__ == "__main__":
    main()
