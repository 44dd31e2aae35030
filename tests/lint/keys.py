#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The table of configuration keys, the man page and the sample are the same:
each key once, with its default, under a section where it may stand.

usage: keys.py LIST_KEYS     the program that prints the table
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "checkerd/checkerd.ini.5"
SAMPLE = ROOT / "etc/checkerd.ini"
errors = []


def complain(text):
    errors.append(text)


def table(program):
    text = subprocess.run([program], check=True, capture_output=True,
                          text=True).stdout
    keys, parameters = {}, {}
    for line in text.splitlines():
        kind, name, default, sections = line.split("\t")
        if kind == "key":
            keys[name] = default, set(sections.split())
        else:
            parameters[name] = default
    return keys, parameters


def from_man():
    """Keys as [(name, default)], parameters as [(name, default)]."""
    keys, parameters = [], []
    for item in re.split(r"^\.It ", MAN.read_text(), flags=re.M)[1:]:
        head = item.partition("\n")[0]
        key = re.fullmatch(r'Cm (\w+) No =(?: Li "?([^"]*)"?)?', head)
        parameter = re.fullmatch(r"Cm (\w+) Ns = Ns Ar (\S+)", head)
        if key:
            keys.append((key[1], key[2] or ""))
        elif parameter:
            default = "" if parameter[2] == "ID" else parameter[2]
            parameters.append((parameter[1], default))
    return keys, parameters


def from_sample():
    """Keys as [(name, default, section)]."""
    keys, section = [], ""
    for block in SAMPLE.read_text().split("\n\n"):
        for line in block.splitlines():
            key = re.fullmatch(r";(\w+) = ?(.*)", line)
            header = re.fullmatch(r";?\[(\w+).*\]", line)
            if header:
                section = header[1]
            elif key:
                keys.append((key[1], key[2], section))
            elif line and line[0] != "#":
                complain(f"{SAMPLE.name}: neither key nor comment: {line}")
    return keys


def compare(where, names, found):
    for name in names:
        if found.count(name) != 1:
            complain(f"{where}: {name} stands there {found.count(name)} times")
    for name in sorted(set(found) - set(names)):
        complain(f"{where}: {name} is not in the table")


def main():
    keys, parameters = table(sys.argv[1])
    man_keys, man_parameters = from_man()
    sample = from_sample()

    compare(MAN.name, keys, [name for name, *_ in man_keys])
    compare(MAN.name, parameters, [name for name, _ in man_parameters])
    compare(SAMPLE.name, keys, [name for name, *_ in sample])
    for where, rows in (MAN.name, man_keys), (SAMPLE.name, sample):
        for name, default, *section in rows:
            if name not in keys:
                continue
            true_default, sections = keys[name]
            # the sample shows a host, which has no default
            if default != true_default and (name, section) != ("server",
                                                               ["pool"]):
                complain(f"{where}: {name} = {default}, but the default "
                            f"is {true_default!r}")
            if section and section[0] not in sections:
                complain(f"{where}: {name} does not belong in {section[0]}")
    for name, default in man_parameters:
        if parameters.get(name, default) != default:
            complain(f"{MAN.name}: {name}={default}, but the default is "
                        f"{parameters[name]!r}")
    for error in errors:
        print(error)
    sys.exit(bool(errors) or not keys)


if __name__ == "__main__":
    main()
