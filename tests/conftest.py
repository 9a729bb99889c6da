"""What several rooms of tests share: the bundle that ships, and the phantom exam on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores; read as numerical libraries are imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from mammoscope.bundle import Bundle, load_bundle
from mammoscope.example import write_exam
from mammoscope.processes.cores import usable_cores


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that ships with mammoscope."""
    return load_bundle()


@pytest.fixture(scope="session")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the phantom's four views, smaller than the default, and ``truth.json``."""
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder, seed=0, rows=1664, columns=1280)
    return folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for servers."""
    return usable_cores() + 1
