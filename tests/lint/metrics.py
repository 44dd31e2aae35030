#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The table of metrics and what speaks of them are the same: the man page has
each metric with its type, labels and sentence; alert rules, their tests and the
Grafana dashboard know no metric and no label that does not exist; and each
alert is tested.

usage: metrics.py LIST_METRICS     the program that prints the table
"""
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "checkerd/checkerd-metrics.7"
RULES = ROOT / "etc/prometheus/checkerd.rules.yml"
RULES_TEST = ROOT / "tests/prometheus/checkerd.rules.test.yml"
DASHBOARD = ROOT / "etc/grafana/checkerd.json"
# what Prometheus adds, and __name__ and the like
FOREIGN_LABELS = {"job", "instance", "le", "alertname", "severity"}
errors = []


def complain(path, text):
    errors.append(f"{path.relative_to(ROOT)}: {text}")


def table(program):
    text = subprocess.run([program], check=True, capture_output=True,
                          text=True).stdout
    rows = [line.split("\t") for line in text.splitlines()]
    return {name: (kind, labels, sentence)
            for name, kind, labels, sentence in rows}


def from_man():
    """As table(); the sentence is the whole text."""
    found = {}
    for item in re.split(r"^\.It Cm ", MAN.read_text(), flags=re.M)[1:]:
        head, _, body = item.partition("\n")
        match = re.fullmatch(r"(\w+) No (\w+)(?: : Ar ([\w ]+))?", head)
        if not match:
            complain(MAN, f"cannot read: .It Cm {head}")
            continue
        if match[1] in found:
            complain(MAN, f"{match[1]} is there twice")
        found[match[1]] = match[2], match[3] or "", " ".join(body.split())
    return found


def check_man(metrics):
    man = from_man()
    if list(man) != list(metrics):
        for name in sorted(set(metrics) ^ set(man)):
            where = "is not there" if name in metrics else "does not exist"
            complain(MAN, f"{name} {where}")
        complain(MAN, "metrics are not in the order of the table")
    for name in metrics.keys() & man.keys():
        if man[name][:2] != metrics[name][:2]:
            complain(MAN, f"{name} is {metrics[name][:2]}")
        if not man[name][2].startswith(metrics[name][2]):
            complain(MAN, f"{name} does not begin with {metrics[name][2]!r}")


def check_names(path, text, metrics):
    """Every name and every label in PromQL."""
    series = set()
    for name, (kind, *_) in metrics.items():
        series |= ({name + suffix for suffix in ("_bucket", "_sum", "_count")}
                   if kind == "histogram" else {name})
    labels = FOREIGN_LABELS.union(*(row[1].split()
                                    for row in metrics.values()))
    for name in set(re.findall(r"\bcheckerd_\w+", text)):
        if name not in series:
            complain(path, f"{name} does not exist")
    groups = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", text)
    matchers = re.findall(r"\{([^{}]*=[^{}]*)\}", text)
    used = {label.strip() for group in groups for label in group.split(",")}
    used |= {label for matcher in matchers
             for label in re.findall(r"(\w+)(?:=~|!~|!=|=)\\?\"", matcher)}
    used |= set(re.findall(r"\$labels\.(\w+)", text))
    for label in used - labels:
        complain(path, f"label {label} does not exist")


def check_alerts():
    rules = RULES.read_text()
    tests = RULES_TEST.read_text()
    alerts = re.split(r"^      - alert: ", rules, flags=re.M)[1:]
    if not alerts:
        complain(RULES, "no alerts")
    for alert in alerts:
        name = alert.split()[0]
        for key in ("severity:", "summary:", "description:"):
            if key not in alert:
                complain(RULES, f"{name} has no {key[:-1]}")
        cases = re.findall(rf"alertname: {name}\n.*\n( *exp_alerts.*)", tests)
        if not any(case.endswith("[]") for case in cases) or \
           all(case.endswith("[]") for case in cases):
            complain(RULES_TEST, f"{name} is not tested to fire and not to")
    for name in set(re.findall(r"alertname: (\w+)", tests)):
        if f"- alert: {name}\n" not in rules:
            complain(RULES_TEST, f"no alert {name}")


def check_dashboard(metrics):
    document = json.loads(DASHBOARD.read_text())
    variables = {variable["name"]: variable
                 for variable in document["templating"]["list"]}
    if variables.get("datasource", {}).get("type") != "datasource":
        complain(DASHBOARD, "no variable for the data source")
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    cells = set()
    for panel in panels:
        title = panel["title"]
        if panel["datasource"]["uid"] != "${datasource}":
            complain(DASHBOARD, f"{title}: a data source of its own")
        if not panel.get("description"):
            complain(DASHBOARD, f"{title}: no description")
        for target in panel["targets"]:
            check_names(DASHBOARD, target["expr"], metrics)
            for variable in re.findall(r"\$(\w+)", target["expr"]):
                if not variable.startswith("__") and variable not in variables:
                    complain(DASHBOARD, f"{title}: no variable {variable}")
        place = panel["gridPos"]
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])}
        if mine & cells or place["x"] + place["w"] > 24:
            complain(DASHBOARD, f"{title} lies over another panel")
        cells |= mine
    ids = [panel["id"] for panel in document["panels"]]
    if not panels or len(set(ids)) != len(ids):
        complain(DASHBOARD, "panels without an id of their own")
    return "\n".join(target["expr"] for panel in panels
                     for target in panel["targets"])


def main():
    metrics = table(sys.argv[1])
    check_man(metrics)
    for path in RULES, RULES_TEST:
        text = re.sub(r"^ *#.*", "", path.read_text(), flags=re.M)
        check_names(path, re.sub(r"checkerd\.rules\S*", "", text), metrics)
    check_alerts()
    shown = check_dashboard(metrics) + RULES.read_text()
    for name in metrics:
        if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", shown):
            complain(DASHBOARD, f"{name} is neither shown nor alerted on")
    for error in errors:
        print(error)
    sys.exit(bool(errors) or not metrics)


if __name__ == "__main__":
    main()
