#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the api can be asked is what checkerd(8) says, each once."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    table = re.findall(r'\{ "([A-Z]+)", "(/[^"]*)", HTTP_',
                       (ROOT / "checkerd/api.c").read_text())
    page = re.findall(r"^\.It Cm ([A-Z]+) Li (/\S*)$",
                      (ROOT / "checkerd/checkerd.8").read_text(), re.M)
    page = [(method, re.sub(r"/[PH](?=/|$)", "/*", path))
            for method, path in page]
    found = [f"checkerd.8: {method} {path} stands there "
             f"{page.count((method, path))} times"
             for method, path in table if page.count((method, path)) != 1]
    found += [f"api.c: no route for {method} {path}"
              for method, path in page if (method, path) not in table]
    print("\n".join(found))
    sys.exit(1 if found or not table else 0)


if __name__ == "__main__":
    main()
