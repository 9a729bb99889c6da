"""What several rooms of tests share: the bundle that ships, and the phantom exam on disk."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores; read as numerical libraries are imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Hundreds of processes are started: without it each would compile all of mammoscope anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from mammoscope.bundle import MANIFEST, Bundle, default_bundle_folder, load_bundle
from mammoscope.example import write_exam
from mammoscope.processes.cores import usable_cores


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The bundle that ships with mammoscope."""
    return load_bundle()


@pytest.fixture(scope="session")
def quick_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The models that ship, but no more than two candidates a view, each classified once and not in four flips."""
    folder = tmp_path_factory.mktemp("bundles") / "quick"
    shutil.copytree(default_bundle_folder(), folder)
    manifest = load_bundle(folder).manifest.with_settings("detect", max_regions=2)
    manifest = manifest.with_settings("classify", flips=False)
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return load_bundle(folder)


@pytest.fixture(scope="session")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the phantom's four views, smaller than the default, and ``truth.json``."""
    folder = tmp_path_factory.mktemp("exam")
    write_exam(folder, seed=0, rows=1664, columns=1280)
    return folder


@pytest.fixture(autouse=True)
def _exporter(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("training"):
        _parse_operators_once()


@functools.cache
def _parse_operators_once() -> None:
    """Keep what torch's exporter parses anew for each network: the source of 500 operators, more than a second."""
    from torch.onnx._internal.exporter import _registration

    operators: Any = _registration.onnxscript_apis
    operators.get_torchlib_ops = functools.cache(operators.get_torchlib_ops)


# Longest first (half a minute and more), so that no core waits for one of them at the end.
_LONG = (
    "families/test_every_family",
    "execution/test_batch_stream",
    "execution/test_ray",
    "pacs/test_pacs_watch",
    "exams/test_analyze_exams",
    "pacs/test_pacs_probe",
    "studies/test_study",
    "server/test_server_life",
    "server/test_server_exam_steps",
    "training/test_build",
    "pacs/test_pacs_send",
    "held/test_held",
    "test_cli",
    "pacs/test_pacs_exams",
    "training/test_joint",
    "evaluation/test_evaluation_reports",
    "pacs/test_pacs_dicom_archive",
    "test_contributing",
    "test_extensions",
    "server/test_server_uploads",
    "training/test_two_kinds",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take long."""
    folder = Path(__file__).parent
    order = {folder / f"{name}.py": number for number, name in enumerate(_LONG)}
    items.sort(key=lambda item: order.get(item.path, len(_LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are cores: many tests wait for servers and for processes that they start."""
    return usable_cores() + 2
