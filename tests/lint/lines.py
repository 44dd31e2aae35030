#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Everything that checkerd or the nginx module may log is explained in
docs/operations.md."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALL = re.compile(r"\b(?:log_(?:error|warning|notice|info|debug|fields)"
                  r"|ngx_(?:conf_)?log_error)\(")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
VALUE = re.compile(r"%[-0-9.*]*(?:l{0,2}|z|j)[a-zA-Z]*|%|\n")


def first_format(source, at):
    """The literals of the first argument, from `at` on, that has any: a line
    each."""
    depth, text = 1, ""
    while depth:
        literal = LITERAL.match(source, at)
        if literal:
            text += literal.group(1) + "\n"
            at = literal.end()
            continue
        if source[at] == "," and depth == 1 and text:
            return text
        depth += {"(": 1, ")": -1}.get(source[at], 0)
        at += 1
    return text


def formats(path):
    source = path.read_text()
    for call in CALL.finditer(source):
        text = first_format(source, call.end())
        if text:
            yield text.replace('\\"', '"')


def pieces(text):
    """What is said whatever the values are."""
    stripped = [piece.strip(" ,:;\"$") for piece in VALUE.split(text)]
    return [piece for piece in stripped if len(piece) > 8]


def main():
    page = (ROOT / "docs/operations.md").read_text()
    page = re.sub(r"\s+", " ", page)
    found, seen = [], 0

    for path in sorted([*ROOT.glob("checkerd/*.c"),
                        *ROOT.glob("nginx-module/*.c")]):
        for text in formats(path):
            for piece in pieces(text):
                seen += 1
                if piece not in page:
                    found.append(f"{path.name}: docs/operations.md does not "
                                 f"explain \"{piece}\"")

    print("\n".join(found))
    sys.exit(1 if found or not seen else 0)


if __name__ == "__main__":
    main()
