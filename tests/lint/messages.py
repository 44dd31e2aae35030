#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every message ID has a text in the journal's catalog, and every text an ID;
each is in use, and every field that a text names is one that is logged."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    found = []
    header = (ROOT / "checkerd/message_ids.h").read_text()
    catalog = (ROOT / "etc/checkerd.catalog").read_text()
    sources = "\n".join(path.read_text()
                        for path in (ROOT / "checkerd").glob("*.c"))

    ids = dict(re.findall(r'#define (MESSAGE_\w+)\s+"([0-9a-f]{32})"', header))
    texts = re.findall(r"^-- (\S+)$", catalog, re.M)
    if len(set(ids.values())) != len(ids) or len(set(texts)) != len(texts):
        found.append("a number is used twice")
    for name, number in ids.items():
        if number not in texts:
            found.append(f"checkerd.catalog: no text for {name}")
        if not re.search(rf"\b{name}\b", sources):
            found.append(f"message_ids.h: {name} is never logged")
    for number in set(texts) - set(ids.values()):
        found.append(f"message_ids.h: no name for {number}")
    for field in sorted(set(re.findall(r"@(\w+)@", catalog))):
        if f'"{field}"' not in sources:
            found.append(f"checkerd.catalog: nobody logs {field}")

    print("\n".join(found))
    sys.exit(1 if found or not ids else 0)


if __name__ == "__main__":
    main()
