# SPDX-License-Identifier: BSD-2-Clause
import pathlib
import shutil
import tempfile

import pytest


@pytest.fixture
def folder():
    """A short-lived folder on tmpfs, where segments belong."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="checkerd-e2e-",
                                         dir="/dev/shm"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
