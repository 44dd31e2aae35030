#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions of a pick by each balance method, beside stock round robin.

Counted by callgrind over pick_cost, which has the methods and the loop of
nginx's round robin in it, without nginx around them; weights are 1 to 10. A
pick of ours includes the question whether the host is usable, and the begin
and end of its connection.

Prints `name ours peer ratio unit` for each method and number of hosts, and for
each method how 1 000 hosts compare with 10.
"""

import re
import subprocess
import sys
import tempfile

import rows
from rows import row

SIZES = [10, 100, 1000, 10000]
METHODS = ["round_robin", "least_conn", "random", "hash"]

def instructions(function, method, size, picks):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["valgrind", "--tool=callgrind",
                        "--collect-atstart=no",
                        f"--toggle-collect={function}",
                        f"--callgrind-out-file={out.name}",
                        rows.built("tests", "bench", "pick_cost"), str(method),
                        str(size), str(picks)],
                       check=True, stderr=subprocess.DEVNULL)
        return int(re.search(rb"^(?:summary|totals): (\d+)", out.read(),
                             re.M).group(1)) / picks


def main():
    rows.need("valgrind")
    rows.ran("valgrind --tool=callgrind",
             rows.built("tests", "bench", "pick_cost"), "METHOD HOSTS PICKS")
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    stock = {size: instructions("pick_cost_stock", "stock", size, 100)
             for size in sizes}
    for number, method in enumerate(METHODS):
        ours = {size: instructions("pick_cost", number, size,
                                   max(5000, 3 * size))
                for size in sizes}
        for size in sizes:
            row(f"pick_{method}_{size}", ours[size], stock[size],
                "instructions")
        if {10, 1000} <= set(sizes):
            row(f"pick_{method}_1000_to_10", ours[1000], ours[10],
                "instructions")


if __name__ == "__main__":
    main()
