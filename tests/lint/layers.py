#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Holds every #include in checkerd/ to the layers.

    0 contract -> 1 leaves -> 2 reading -> 3 domain -> 4 the loop
      -> 5 mechanisms -> 6 wiring -> 7 entry

A file includes lower layers only. Leaves, reading and the domain may include
their siblings; a mechanism includes none but the files of its own noun
(probe_http.c and probe.h). What reads a segment serves both programs: checkerctl
stands beside the daemon, on contract, leaves and reading. The domain stands
beside the reading, since that looks at clocks and files.
A file that is in no layer yet is an error: decide where it belongs.

And no header, of the module's neither, includes itself by way of others.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("include", "checkerd", "nginx-module")

CONTRACT, LEAF, READING, DOMAIN, LOOP, MECHANISM, WIRING, ENTRY = range(8)
TOOL = "checkerctl"

LAYERS = {
    LEAF: """address agent_line arena clock dashboard discard grpc_health hash log message_ids
        name_index nearest parse path_pattern status_mask utf8 util
        segment_reader terminal time_text""",
    READING: "event_reader explanation selection snapshot view_json",
    DOMAIN: """backoff changes changes_apply changes_private
        changes_reconcile config config_amend config_builder
        config_builder_private config_conflicts config_errors config_finish
        config_index config_keys config_value counts etag expectation fleet
        fleet_agents http_reader lag metric readers schedule server_line
        topology transition verdict""",
    LOOP: "curl_loop",
    MECHANISM: """config_file config_loader config_state http_private
        http_request http_server http_socket notify notify_exec
        notify_private notify_webhook probe probe_agent probe_direct probe_grpc
        probe_http probe_judge probe_line probe_private probe_request
        probe_talk probe_tls report_receiver segment_draft segment_private
        segment_writer""",
    WIRING: """api api_change api_dashboard api_document api_events api_fleet
        api_metrics api_private api_readers control daemon once publication
        rounds rounds_agent rounds_demand rounds_install rounds_order
        rounds_prepare rounds_private rounds_ramp rounds_report
        rounds_sweep""",
    ENTRY: "main",
    TOOL: """cell checkerctl command command_control command_segment
        control_client events view view_answer view_host view_table watch""",
}
LAYER_OF = {noun: layer for layer, nouns in LAYERS.items()
            for noun in nouns.split()}

# Header -> where it may be included: nouns and families of nouns, or
# everything from a layer on.
# What is not named here is free.
FOREIGN = {
    r"curl/.*": {"curl_loop", "control_client"},
    r"openssl/.*": {"probe_tls"},
    r"ini\.h": {"config_file"},
    r"pcre2\.h": {"expectation"},
    r"jansson\.h": {"api", "changes", "config_amend", "config_loader",
                    "config_state", "notify", "view_json", "control_client",
                    "command_control", "view_answer"},
    r"microhttpd\.h": {"http"},
    r"systemd/sd-journal\.h": {"log"},
    r"systemd/sd-daemon\.h": {"daemon", "main"},
    r"systemd/sd-event\.h": LOOP,
    r"ngx_.*": set(),
    r"pthread\.h": {"config_loader", "discard"},
}
CONTRACTS = {"../include/health_shm.h", "../include/health_report.h"}

# The domain is pure: no clock, no log, nothing to wait for.
IMPURE = re.compile(r"clock\.h|log\.h|time\.h|sys/(time|epoll|mman|stat)\.h|"
                    r"fcntl\.h|poll\.h|signal\.h")


def family(noun):
    return noun.split("_")[0]


def own_problem(noun, included):
    """What is wrong with including a file of ours, or None."""
    if included not in LAYER_OF:
        return "which is in no layer"
    mine, other = LAYER_OF[noun], LAYER_OF[included]
    if TOOL in (mine, other):
        if mine == other or mine == TOOL and other in (LEAF, READING):
            return None
        return "across the border between checkerctl and the daemon"
    if other > mine:
        return "which is in a higher layer"
    if (mine, other) == (DOMAIN, READING):
        return "which is not pure"
    if mine == other == MECHANISM and family(noun) != family(included):
        return "which is another mechanism"
    return None


def foreign_problem(noun, header):
    for pattern, allowed in FOREIGN.items():
        if not re.fullmatch(pattern, header):
            continue
        if isinstance(allowed, set):
            if not {noun, family(noun)} & allowed:
                names = ", ".join(sorted(allowed)) or "no file of checkerd/"
                return f"which only {names} may"
        elif LAYER_OF[noun] == TOOL or LAYER_OF[noun] < allowed:
            return "which lower layers do without"
    return None


def problems(path):
    noun = path.stem
    if noun not in LAYER_OF:
        yield f"{path}: in no layer: add it to LAYERS in tests/lint/layers.py"
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
        if not match:
            continue
        quote, header = match.groups()
        problem = None
        if LAYER_OF[noun] == DOMAIN and IMPURE.fullmatch(header):
            problem = "in the pure domain"
        elif quote == "<":
            problem = foreign_problem(noun, header)
        elif header.startswith("../"):
            if header not in CONTRACTS:
                problem = "which is no part of the contract"
        else:
            problem = own_problem(noun, Path(header).stem)
        if problem:
            yield f"{path}:{number}: includes {header}, {problem}"


def cycles():
    headers = {path.resolve(): [] for folder in FOLDERS
               for path in (ROOT / folder).glob("*.h")}
    for path, included in headers.items():
        for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"',
                               path.read_text(), re.M):
            for folder in (path.parent, ROOT / "include"):
                if (folder / name).resolve() in headers:
                    included.append((folder / name).resolve())
                    break

    def walk(path, way):
        if path in way:
            names = [step.name for step in way[way.index(path):] + [path]]
            yield "headers in a circle: " + " -> ".join(names)
        elif path not in done:
            for other in headers[path]:
                yield from walk(other, way + [path])
            done.add(path)

    done = set()
    for path in headers:
        yield from walk(path, [])


def main():
    files = sorted((ROOT / "checkerd").glob("*.[ch]"))
    found = [problem for path in files for problem in problems(path)]
    found += cycles()
    for problem in found:
        print(problem)
    sys.exit(1 if found or not files else 0)


if __name__ == "__main__":
    main()
