# SPDX-License-Identifier: BSD-2-Clause
"""Who reaches the control side, and how: as the README says, and through
nginx."""

import json
import re
import subprocess
from pathlib import Path

from checkerd import Checkerd
from nginx import Nginx

ROOT = Path(__file__).resolve().parents[2]

FLEET = """
[defaults]
check = tcp
interval = 1h
[pool web]
server = 127.0.0.1:1001 id=a
server = 127.0.0.1:1002 id=b/c
"""


def test_the_readmes_examples_do_what_they_say(folder):
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(),
                        re.S)
    examples = [line for block in blocks
                for line in block.replace("\\\n", " ").splitlines()
                if line.startswith("curl ")]
    assert len(examples) >= 7
    with Checkerd(folder, FLEET) as checkerd:
        for example in examples:
            done = subprocess.run(
                ["sh", "-c", example
                 .replace("/run/checkerd", folder.as_posix())
                 .replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)],
                capture_output=True, text=True, timeout=30)
            body, status = done.stdout.rsplit("\n", 1)
            assert status in ("200", "201", "204"), (example, done)
            if "PATCH" in example:
                assert json.loads(body)["reason"] == "new disks"
                assert checkerd.host("web/a")["state"] == "down"
            if "PUT" in example:
                assert checkerd.host("web/d")["weight"] == 5
            if "event-stream" in example:
                assert "event: host_down" in body
        assert checkerd.host("web/d") is None


def test_some_may_look_and_others_change_through_nginx(folder):
    sample = (ROOT / "etc/nginx-control.conf").read_text()
    with Checkerd(folder / "checkerd", FLEET) as checkerd:
        for name, user in ("readers", "jo"), ("admins", "al"):
            digest = subprocess.run(
                ["openssl", "passwd", "-apr1", f"{user}'s"], check=True,
                capture_output=True, text=True).stdout
            (folder / name).write_text(f"{user}:{digest}")
            (folder / name).chmod(0o644)
        # tests run nginx's workers as nobody, who is in no group
        Path(checkerd.control).chmod(0o666)
        config = sample.replace("/etc/nginx/checkerd-", f"{folder}/") \
            .replace("/run/checkerd/", f"{folder}/checkerd/")
        config = re.sub(r"listen 127.0.0.1:\d+", "listen 127.0.0.1:@PORT@",
                        config)
        with Nginx(folder / "nginx", config) as nginx:
            def ask(user, path, *arguments):
                done = subprocess.run(
                    ["curl", "-sS", "-u", f"{user}:{user}'s", "-w",
                     "\n%{http_code}", f"http://127.0.0.1:{nginx.port}{path}",
                     *arguments],
                    capture_output=True, text=True, timeout=30, check=True)
                body, status = done.stdout.rsplit("\n", 1)
                return int(status), body

            down = ("-X", "PATCH", "-H", "Content-Type: application/json",
                    "-d", '{"admin":"down"}')
            host = "/v1/pools/web/hosts/b%2Fc"
            assert ask("jo", "/checkerd/v1/pools")[0] == 200
            assert json.loads(ask("jo", "/checkerd" + host)[1])["id"] == "b/c"
            assert ask("jo", "/checkerd" + host, *down)[0] == 405
            assert ask("jo", "/checkerd-admin" + host, *down)[0] == 401
            assert ask("al", "/checkerd-admin" + host, *down)[0] == 200
            assert checkerd.host("web/b/c")["state"] == "down"
            assert ask("al", "/checkerd/v1/pools")[0] == 401
            # another site's page cannot make a browser do it
            assert ask("al", "/checkerd-admin" + host, *down, "-H",
                       "Origin: http://evil.example")[0] == 403
            assert ask("al", "/checkerd-admin" + host, *down, "-H",
                       f"Origin: http://127.0.0.1:{nginx.port}")[0] == 200
