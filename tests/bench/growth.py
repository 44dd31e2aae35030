#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How cost grows with the number of hosts: docs/growth.csv and docs/growth.svg.

usage: growth.py [--draw] [--quick] [--sizes N,N,...]

Measures, for 10 to 100 000 hosts, the processor time of a check and the memory
of the checker (ours with fresh and with kept connections, HAProxy, the floor
of epoll), all of them in turn, and the instructions of a pick by each method
and by stock round robin. Each host is checked every 10 s per 100 000 hosts, but
not more often than every 10 ms: 10 000 checks a second, and 1 000 with 10
hosts. Kept connections go as far as there are descriptors; HAProxy has 1 000
servers to a backend.

--draw makes the figure of the table again, without measuring. --quick measures
each once, and shortly: for trying it out. --sizes measures these and keeps what
the table has of others. A row is printed for each value.
"""

import argparse
import csv
import os
import resource
import statistics
import tempfile

import checker_cost
import growth_figure
import pick_cost
import rows
from nginx import BUILD, free_port
from rows import row

SIZES = [10, 100, 1000, 10000, 100000]
DOCS = os.path.join(rows.BENCH, "..", "..", "docs")
TABLE = os.path.join(DOCS, "growth.csv")
FIGURE = os.path.join(DOCS, "growth.svg")
FIELDS = ["panel", "series", "hosts", "value"]


def interval(hosts):
    """Seconds."""
    return max(hosts / 10000, 0.01)


def rounds(hosts):
    """How often, and for how many seconds each time: what takes long to get
    going does not vary much."""
    return (1, 4) if hosts >= 100000 else (2, 3) if hosts >= 10000 else (3, 2)


def checks(hosts, quick):
    """(panel, series, value) of all who check that many hosts."""
    count, seconds = (1, 1) if quick else rounds(hosts)
    arguments = argparse.Namespace(hosts=hosts, interval=interval(hosts),
                                   seconds=seconds, build=BUILD)
    port = free_port()
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, \
            rows.backend(port) as backend:
        modes = [("checkerd", "fresh", "off")]
        if hosts + 1000 < descriptors:
            modes.append(("checkerd, kept", "kept", "on"))
        checkers = {}
        for series, name, keepalive in modes:
            checkers[series] = checker_cost.write_checkerd(
                folder, name, keepalive, port, arguments)
            checkers[series.replace("checkerd", "floor")] = \
                checker_cost.Floor(name, port, arguments)
        checkers["HAProxy"] = checker_cost.write_haproxy(folder, port,
                                                         arguments)
        for checker in checkers.values():
            rows.ran(*checker.command)
        rows.in_turn(count, *(
            lambda checker=checker: checker.measure(backend, arguments)
            for checker in checkers.values()))
    for series, checker in checkers.items():
        yield "check", series, statistics.median(checker.costs)
        if not series.startswith("floor"):
            yield "memory", series, statistics.median(checker.memory) / 1000


def picks(hosts):
    # a stock pick looks at every host, and callgrind takes its time
    yield "pick", "stock nginx", pick_cost.instructions(
        "pick_cost_stock", "stock", hosts, max(20, 1000000 // hosts))
    for number, method in enumerate(pick_cost.METHODS):
        yield "pick", method, pick_cost.instructions(
            "pick_cost", number, hosts, max(5000, 3 * hosts))


UNITS = {"check": "us", "memory": "MB", "pick": "instructions"}


def read():
    """The table as it is: (panel, series, hosts, value)."""
    with open(TABLE, newline="") as file:
        return [(line["panel"], line["series"], int(line["hosts"]),
                 float(line["value"])) for line in csv.DictReader(file)]


def write(table):
    with open(TABLE, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows((*line, f"{value:.4g}")
                         for *line, value in sorted(table))


def measure(hosts, quick):
    for panel, series, value in (*picks(hosts), *checks(hosts, quick)):
        name = f"growth_{panel}_{series}_{hosts}".replace(", ", "_")
        row(name.replace(" ", "_"), value, unit=UNITS[panel])
        yield panel, series, hosts, value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    arguments = parser.parse_args()
    if not arguments.draw:
        rows.prepare()
        rows.need("haproxy", "valgrind")
        sizes = [int(size) for size in arguments.sizes.split(",")]
        table = [line for line in read() if line[2] not in sizes]
        for size in sizes:
            table += measure(size, arguments.quick)
        write(table)
    with open(FIGURE, "w") as file:
        file.write(growth_figure.svg(read()))


if __name__ == "__main__":
    main()
