# SPDX-License-Identifier: BSD-2-Clause
"""What is in the packages; tests/system/test_booted.py installs them."""
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["CHECKERD_BUILD"])
MODULE = "libnginx-mod-http-upstream-health-shm"
NAMES = ["checkerd", "checkerd-dev", MODULE]
VERSION = re.search(r"project\(checkerd VERSION (\S+)",
                    (ROOT / "CMakeLists.txt").read_text())[1]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          timeout=120).stdout


def package(name):
    [path] = (BUILD / "packages").glob(f"{name}_*.deb")
    return path


def field(name, key):
    return run("dpkg-deb", "-f", str(package(name)), key).strip()


def depends(name):
    return [word for part in field(name, "Depends").split(", ")
            for word in part.split(" | ")]


def files(name):
    return {line.split()[5].lstrip(".")
            for line in run("dpkg-deb", "-c",
                            str(package(name))).splitlines()
            if not line.startswith("d")}


def test_lintian():
    """The one exception is for who uploads to Debian."""
    run("lintian", "--allow-root", "--fail-on", "error,warning",
        "--suppress-tags", "initial-upload-closes-no-bugs",
        *(str(package(name)) for name in NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_one_version(name):
    assert re.fullmatch(re.escape(VERSION) + r"-\d+", field(name, "Version"))


def test_the_program_is_of_that_version():
    assert run(str(BUILD / "checkerd/checkerd"), "-V") == \
        f"checkerd {VERSION}\n"


def test_libraries_of_the_daemon():
    found = {word.split()[0] for word in depends("checkerd")}
    assert {"libc6", "libcurl4", "libinih1", "libjansson4", "libmicrohttpd12",
            "libpcre2-8-0", "libssl3", "libsystemd0", "systemd"} <= found


def test_module_needs_that_nginx():
    abi = [word for word in depends(MODULE) if word.startswith("nginx-abi-")]
    provided = run("dpkg-query", "-W", "-f", "${Provides}", "nginx")
    assert abi and abi[0] in provided.split(", ")


def test_headers_need_nothing():
    assert field("checkerd-dev", "Depends") == ""
    assert field("checkerd-dev", "Architecture") == "all"


def test_configuration_is_the_operators(tmp_path):
    run("dpkg-deb", "-e", str(package("checkerd")), str(tmp_path))
    assert set((tmp_path / "conffiles").read_text().split()) == {
        file for file in files("checkerd") if file.startswith("/etc/")}
    assert not any(file.startswith("/etc/") for file in files(MODULE))


def test_every_file_has_one_package():
    everywhere = [file for name in NAMES for file in files(name)]
    assert len(everywhere) == len(set(everywhere))


@pytest.mark.parametrize("name, file", [
    ("checkerd", "/usr/sbin/checkerd"),
    ("checkerd", "/usr/bin/checkerctl"),
    ("checkerd", "/etc/checkerd/checkerd.ini"),
    ("checkerd", "/usr/lib/systemd/system/checkerd.service"),
    ("checkerd", "/usr/lib/systemd/catalog/checkerd.catalog"),
    ("checkerd", "/usr/lib/sysusers.d/checkerd.conf"),
    ("checkerd", "/usr/share/bash-completion/completions/checkerctl"),
    ("checkerd", "/usr/share/man/man1/checkerctl.1.gz"),
    ("checkerd", "/usr/share/man/man5/checkerd.ini.5.gz"),
    ("checkerd", "/usr/share/man/man7/checkerd-metrics.7.gz"),
    ("checkerd", "/usr/share/man/man8/checkerd.8.gz"),
    ("checkerd", "/usr/share/doc/checkerd/examples/checkerd.rules.yml"),
    ("checkerd", "/usr/share/doc/checkerd/examples/checkerd.json"),
    (MODULE, "/usr/lib/nginx/modules/ngx_http_upstream_health_shm_module.so"),
    (MODULE,
     "/usr/share/nginx/modules-available/mod-http-upstream-health-shm.conf"),
    ("checkerd-dev", "/usr/include/checkerd/health_shm.h"),
    ("checkerd-dev", "/usr/include/checkerd/health_report.h"),
    ("checkerd-dev", "/usr/include/checkerd/ngx_http_upstream_health_shm.h"),
    *((name, f"/usr/share/doc/{name}/{file}") for name in NAMES
      for file in ("copyright", "changelog.gz", "changelog.Debian.gz")),
])
def test_holds(name, file):
    assert file in files(name)
