# SPDX-License-Identifier: BSD-2-Clause
"""What is handed to systemd, checked by its own tools; no systemd runs."""
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "etc/checkerd.catalog"
IDS = re.findall(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(), re.M)


def run(*command):
    """What it printed; no complaint is taken for less than a failure."""
    result = subprocess.run(command, capture_output=True, text=True,
                            timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def configured(tmp_path_factory):
    """The tree as a distribution configures it: below /usr."""
    build = tmp_path_factory.mktemp("usr")
    run("cmake", "-S", str(ROOT), "-B", str(build), "-DNGINX_MODULE=OFF",
        "-DCMAKE_INSTALL_PREFIX=/usr")
    return build


@pytest.fixture
def unit(configured, tmp_path):
    """The unit, with this build's program for the one that ExecStart names."""
    text = (configured / "etc/checkerd.service").read_text()
    program = Path(os.environ["CHECKERD_BUILD"]) / "checkerd/checkerd"
    path = tmp_path / "checkerd.service"
    path.write_text(text.replace("/usr/sbin/checkerd", str(program)))
    return path


def test_paths_below_usr(configured):
    unit = (configured / "etc/checkerd.service").read_text()
    assert ("\nExecStart=/usr/sbin/checkerd -c /etc/checkerd/checkerd.ini\n"
            in unit)
    script = (configured / "etc/cmake_install.cmake").read_text()
    assert "/usr/etc" not in script


def test_verify(unit):
    assert run("systemd-analyze", "verify", "--man=no", str(unit)) == ""


def test_exposure(unit):
    """1.2 on systemd's scale of ten; the rest is what it is there for: sockets
    to anywhere, and users to tell apart."""
    out = run("systemd-analyze", "security", "--offline=true",
              "--threshold=12", str(unit))
    assert "Overall exposure level" in out


def test_reload_tests_the_file_first(unit):
    reloads = re.findall(r"^ExecReload=(.*)$", unit.read_text(), re.M)
    assert " -t " in reloads[0] and reloads[1].endswith("-HUP $MAINPID")


def test_catalog(tmp_path):
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (folder / CATALOG.name).write_text(CATALOG.read_text())
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    assert run("journalctl", "--update-catalog", f"--root={tmp_path}") == ""
    listed = run("journalctl", "--list-catalog", f"--root={tmp_path}")
    assert re.findall(r"^([0-9a-f]{32}) checkerd:", listed, re.M) == sorted(IDS)


def test_sysusers(tmp_path):
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}",
        str(ROOT / "etc/checkerd.sysusers"))
    line = (tmp_path / "etc/passwd").read_text()
    assert re.match(r"checkerd:x:\d+:\d+:Active health checks for nginx:/:"
                    r"/usr/sbin/nologin\n", line)


def test_the_units_user_is_that_user(unit):
    assert "\nUser=checkerd\nGroup=checkerd\n" in unit.read_text()


def test_installed_files(tmp_path):
    """Into a root of our own, from the build as it is."""
    build = os.environ["CHECKERD_BUILD"]
    subprocess.run(["cmake", "--install", build], check=True, timeout=120,
                   env={**os.environ, "DESTDIR": str(tmp_path)},
                   stdout=subprocess.DEVNULL)
    files = {str(path.relative_to(tmp_path))
             for path in tmp_path.rglob("*") if path.is_file()}
    for end in ("sbin/checkerd", "bin/checkerctl", "lib/systemd/system/checkerd.service",
                "lib/systemd/catalog/checkerd.catalog",
                "lib/sysusers.d/checkerd.conf", "man/man1/checkerctl.1.gz",
                "man/man8/checkerd.8.gz",
                "share/bash-completion/completions/checkerctl",
                "include/checkerd/health_shm.h"):
        assert any(file.endswith(end) for file in files), (end, files)
