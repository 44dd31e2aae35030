#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What `-h` lists, the man page and the completion are the same; so is what
`help COMMAND` and the man page say that a command takes.

usage: options.py PROGRAM...     PROGRAM is a built checkerd or checkerctl
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAN_PAGES = {"checkerctl": "checkerctl.1", "checkerd": "checkerd.8"}
COMPLETIONS = {"checkerctl": ROOT / "etc/checkerctl.bash"}


def from_help(program):
    text = subprocess.run([program, "-h"], check=True, capture_output=True,
                          text=True).stdout
    options, commands = set(), set()
    for line in text.splitlines():
        match = re.match(r"\s+((?:-\w, )?)(--[\w-]+)?(.*)", line)
        if match and (match[1] or match[2]):
            options |= {match[1].rstrip(", "), match[2]} - {"", None}
            continue
        match = re.match(r"  ([a-z]+(?: [a-z]+)*)(?=  | [A-Z\[]|$)", line)
        if match:
            commands.add(match[1])
    return options, commands


def from_man(page):
    options, commands = set(), set()
    for line in page.read_text().splitlines():
        if line.startswith(".It Fl "):
            spelled = re.sub(r" Ar .*", "", line.removeprefix(".It Fl "))
            options |= {"-" + word for word in spelled.split(" , ")}
        elif re.match(r"\.It Cm [a-z]", line):
            commands.add(re.match(r"\.It Cm ([a-z]+(?: [a-z]+)*)", line)[1])
    return options, commands


def from_completion(path):
    text = path.read_text()
    options = set(re.findall(r"(?<![\w=$-])--?[a-zA-Z][\w-]*",
                             "\n".join(re.findall(r'options\+?="([^"]*)"',
                                                  text))))
    commands = set(re.search(r'\bcommands="([^"]*)"', text)[1].split())
    for first, rest in re.findall(r'\b([a-z]+)_commands="([^"]*)"', text):
        commands.discard(first)
        commands |= {f"{first} {second}" for second in rest.split()}
    return options, commands


def usages(program, commands):
    """What each command takes, as `help` says it."""
    for command in sorted(commands):
        text = subprocess.run([program, "help", *command.split()], check=True,
                              capture_output=True, text=True).stdout
        yield text.splitlines()[0].removeprefix("usage: checkerctl ")


def rendered(page):
    """The lines of a man page as a reader sees them, none of them broken; a
    short item has its text beside it."""
    text = subprocess.run(["mandoc", "-T", "ascii", "-O", "width=1000", page],
                          check=True, capture_output=True, text=True).stdout
    return {line.strip().split("  ")[0]
            for line in re.sub(".\b", "", text).splitlines()}


def main():
    bad = False
    for program in sys.argv[1:]:
        name = Path(program).name
        truth = from_help(program)
        others = {MAN_PAGES[name]: from_man(ROOT / "checkerd" / MAN_PAGES[name])}
        if name in COMPLETIONS:
            others[COMPLETIONS[name].name] = from_completion(COMPLETIONS[name])
        if not truth[0]:
            print(f"{name} -h: lists no option")
            bad = True
        for where, found in others.items():
            for kind, ours, theirs in zip(("option", "command"), truth, found):
                for missing in sorted(ours - theirs):
                    print(f"{where}: lacks {kind} {missing}")
                for extra in sorted(theirs - ours):
                    print(f"{where}: {kind} {extra} is not in `{name} -h`")
                bad = bad or ours != theirs
        page = ROOT / "checkerd" / MAN_PAGES[name]
        lines = rendered(page) if truth[1] else set()
        for usage in usages(program, truth[1]):
            if usage not in lines:
                print(f"{page.name}: does not say: {usage}")
                bad = True
    sys.exit(bad or len(sys.argv) < 2)


if __name__ == "__main__":
    main()
