#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the benches and sums them up in a table.

usage: run.py [--readme] [BENCH ...]

Every row that a bench prints comes by; at the end stand, as Markdown, those for
which a limit was set, beside it and beside what is aimed at. --readme puts the
table into README.md, between the lines that mark its place; what the benches
named do not measure stays what it was there. The build is that of
$CHECKERD_BUILD, or of build. Exit status 1: a bench failed; no figure is a
reason to fail.
"""

import argparse
import collections
import os
import re
import signal
import subprocess
import sys
import threading

import rows

README = os.path.join(rows.BENCH, "..", "..", "README.md")
MARKS = "<!-- figures: tests/bench/run.py --readme -->", "<!-- end -->"
TIMEOUT_S = 900

BENCHES = {
    "checker_cost": ["--seconds", "4"],
    "scale": ["--rounds", "1", "100000:10"],
    "nginx_overhead": ["1", "1000"],
    "request_rate": [],
    "pool_pick": ["10", "1000"],
    "takeover": ["100000", "1", "pool_round_robin_1x"],
    "propagation": ["--flips", "100"],
    "refused": [],
    "restart": [],
}

Figure = collections.namedtuple("Figure", "text name column limit aim unit")
OURS, RATIO = 1, 3

# Limit and aim are the most, or after ">=" the least.
FIGURES = [
    Figure("processor time of a check, 10 000 hosts at 1 s, of HAProxy's",
           "cpu_per_check_fresh", RATIO, "1.15", "0.95", ""),
    Figure("the same with `keepalive = on`",
           "cpu_per_check_kept", RATIO, "0.80", "0.45", ""),
    Figure("checks made of those due",
           "checks_made_of_due_fresh", OURS, ">= 99.9", ">= 99.9", "%"),
    Figure("how late a check starts, p99",
           "lateness_p99_fresh", OURS, "20", "5", "ms"),
    Figure("memory of the daemon, 100 000 hosts at 10 s",
           "hosts_100000_rss_changed", OURS, "250", "150", "MB"),
    Figure("share of one core, 100 000 hosts at 10 s",
           "hosts_100000_share_of_core", OURS, "0.60", "0.35", ""),
    Figure("the latest check while such a fleet is reloaded",
           "hosts_100000_reload_by_signal_lateness_max", OURS, "100", "-",
           "ms"),
    Figure("nginx, overlay: instructions added to a request",
           "overlay_added_1000_off", OURS, "180", "100", ""),
    Figure("nginx, overlay: requests a second, of stock's",
           "requests_overlay_10", RATIO, ">= 0.98", ">= 0.995", ""),
    Figure("nginx, pool mode, round robin: instructions of a pick among 1 000, "
           "of stock's", "pool_pick_round_robin_1000", RATIO, "0.05", "0.01",
           ""),
    Figure("the same, of a pick among 10",
           "pool_pick_round_robin_1000_to_10", RATIO, "2.5", "1.5", ""),
    Figure("nginx, pool mode: slowest request while 100 000 hosts are taken "
           "over", "takeover_pool_round_robin_1x100000_replaced", OURS, "20",
           "-", "ms"),
    Figure("last failing answer to last request, overlay, p99",
           "propagation_overlay_p99", OURS, "5000", "1000", "µs"),
    Figure("the same, pool mode",
           "propagation_pool_p99", OURS, "5000", "1000", "µs"),
    Figure("death of a backend under traffic to down, `observe = connect`, p99",
           "refused_p99", OURS, "150", "30", "ms"),
    Figure("exec of a restarted daemon to its first probe, 10 000 hosts",
           "restart_stopped_first_probe", OURS, "1000", "200", "ms"),
    Figure("the same after `kill -9`",
           "restart_killed_first_probe", OURS, "1000", "200", "ms"),
]

ROW = re.compile(r"(\w\S*) +(-|[\d.]+) +(-|[\d.]+) +(-|[\d.]+) +(\S+)")


def run(bench):
    """The rows that it printed, and whether it came to its end."""
    path = os.path.join(rows.BENCH, bench + ".py")
    if not os.path.exists(path):
        return [], False
    command = ["/usr/bin/python3", path, *BENCHES[bench]]
    rows.ran(*command)
    found = []
    with rows.Child(command, end=signal.SIGTERM, stdout=subprocess.PIPE,
                    text=True) as process:
        limit = threading.Timer(TIMEOUT_S, process.terminate)
        limit.start()
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                match = ROW.match(line)
                if match:
                    found.append(match.groups())
            status = process.wait()
        finally:
            limit.cancel()
            process.terminate()
            process.communicate()
    return found, status == 0


def within(value, bound):
    if bound.startswith(">="):
        return value >= float(bound[2:])
    return value <= float(bound)


def bound_text(bound, unit):
    if bound == "-":
        return ""
    sign = "≥ " if bound.startswith(">=") else "≤ "
    return f"{sign}{bound.lstrip('>= ')} {unit}".rstrip()


def figure_text(figure, value):
    """What is beyond the limit stands out."""
    text = f"{value} {figure.unit}".rstrip()
    return text if within(float(value), figure.limit) else f"**{text}**"


def table(found, before):
    """`before` has the figures of those that were not measured now."""
    lines = ["| | figure | limit | aim |", "|---|---|---|---|"]
    for figure in FIGURES:
        value = found.get(figure.name, ["-"] * 5)[figure.column]
        text = (figure_text(figure, value) if value != "-" else
                before.get(figure.text, "not measured"))
        lines.append(f"| {figure.text} | {text} "
                     f"| {bound_text(figure.limit, figure.unit)} "
                     f"| {bound_text(figure.aim, figure.unit)} |")
    return "\n".join(lines)


class Readme:
    """The text around the table, and the figures in it."""

    def __init__(self):
        with open(README) as file:
            self.head, rest = file.read().split(MARKS[0])
        old, self.tail = rest.split(MARKS[1], 1)
        self.figures = {}
        for line in old.splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) == 6:
                self.figures[cells[1]] = cells[2]

    def write(self, text):
        with open(README, "w") as file:
            file.write(f"{self.head}{MARKS[0]}\n{text}\n{MARKS[1]}{self.tail}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("bench", nargs="*", choices=[[], *BENCHES])
    arguments = parser.parse_args()
    rows.prepare()
    found, failed = {}, []
    for bench in arguments.bench or BENCHES:
        printed, complete = run(bench)
        found.update((line[0], line) for line in printed)
        if not complete:
            failed.append(bench)
    readme = Readme() if arguments.readme else None
    text = table(found, readme.figures if readme else {})
    print("\n" + text)
    if readme:
        readme.write(text)
    if failed:
        sys.exit("failed: " + " ".join(failed))


if __name__ == "__main__":
    main()
