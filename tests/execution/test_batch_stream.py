"""A long batch: outcomes stream, failures stay single, and any backend gives the same."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from installed import PACKAGES, with_step
from mammoscope.batch import Options, analyze_files
from mammoscope.batch.result_names import result_names
from mammoscope.bundle import MANIFEST, Bundle, load_bundle
from mammoscope.errors import BundleError
from mammoscope.findings import ANALYSED_ALONE, Analysis


@pytest.fixture
def dark(tmp_path: Path) -> list[Path]:
    """Sixty small images without a breast, three of them cut off."""
    folder = tmp_path / "in"
    folder.mkdir()
    _, encoded = cv2.imencode(".png", np.full((64, 64), 7, np.uint8))
    for number in range(60):
        content = encoded.tobytes()
        (folder / f"{number:03}.png").write_bytes(content[:40] if number in (7, 27, 47) else content)
    return sorted(folder.iterdir())


def test_outcomes_are_let_go_as_they_are_told(dark: list[Path], tmp_path: Path, quick_bundle: Bundle) -> None:
    gc.collect()
    before = _living_analyses()
    failed, most = [], 0
    for number, done in enumerate(analyze_files(dark, tmp_path / "out", quick_bundle, Options(workers=2)), start=1):
        if done.error:
            failed.append(done.path.name)
        if number % 10 == 0:
            most = max(most, _living_analyses() - before)
    assert sorted(failed) == ["007.png", "027.png", "047.png"]
    assert len(list((tmp_path / "out").glob("*.json"))) == 57
    assert most <= 8


def _living_analyses() -> int:
    return sum(isinstance(thing, Analysis) for thing in gc.get_objects())


def test_a_batch_that_was_left_is_resumed(dark: list[Path], tmp_path: Path, quick_bundle: Bundle) -> None:
    options = Options(workers=2)
    with closing(analyze_files(dark[:20], tmp_path / "out", quick_bundle, options)) as outcomes:
        for _, done in zip(range(5), outcomes, strict=False):
            assert not done.skipped
    finished = len(list((tmp_path / "out").glob("*.json")))
    assert 4 <= finished < 20
    assert not list((tmp_path / "out").glob(".*"))
    again = list(analyze_files(dark[:20], tmp_path / "out", quick_bundle, options))
    assert sum(done.skipped for done in again) == finished
    assert len(list((tmp_path / "out").glob("*.json"))) == 19


@pytest.mark.parametrize("backend", ["processes", pytest.param("one-after-another", marks=pytest.mark.load)])
def test_any_backend_gives_what_threads_give(
    exam: Path, dark: list[Path], tmp_path: Path, quick_bundle: Bundle, backend: str
) -> None:
    paths = [exam / "phantom-L-CC.dcm", exam / "phantom-R-CC.dcm", dark[0], dark[7]]
    results, files = {}, {}
    for name in ("threads", backend):
        options = Options(workers=2, backend=name)
        outcomes = list(analyze_files(paths, tmp_path / name, quick_bundle, options))
        assert [done.path for done in outcomes if done.error] == [dark[7]]
        files[name] = sorted(file.name for file in (tmp_path / name).iterdir())
        analyses = (file for file in files[name] if file.endswith(".json") and not file.endswith(".exam.json"))
        results[name] = [_without_times(tmp_path / name / file) for file in analyses]
    assert len(results["threads"]) == 3
    assert files[backend] == files["threads"]
    assert results[backend] == results["threads"]


def _without_times(report: Path) -> object:
    return {key: value for key, value in json.loads(report.read_text()).items() if key != "seconds"}


def test_a_worker_that_is_killed_under_way_costs_no_file(
    dark: list[Path], tmp_path: Path, quick_bundle: Bundle
) -> None:
    options = Options(workers=1, backend="processes")
    with closing(analyze_files(dark[:6], tmp_path / "out", quick_bundle, options)) as outcomes:
        done = [next(outcomes)]
        for process in multiprocessing.active_children():
            process.kill()
        done += outcomes
    assert sorted(one.path for one in done) == dark[:6] and not any(one.error for one in done)


def test_a_file_that_kills_its_worker_is_named(exam: Path, tmp_path: Path) -> None:
    step = {"name": "deadly", "role": "other", "implementation": "deadly-left"}
    deadly = load_bundle(with_step(tmp_path / "bundle", step))
    paths = sorted(exam.glob("*-CC.dcm"))
    options = Options(workers=1, backend="processes")
    done = {one.path.name: one for one in analyze_files(paths, tmp_path / "out", deadly, options)}
    assert (analysis := done["phantom-R-CC.dcm"].analysis) and ANALYSED_ALONE in analysis.warnings
    assert str(done["phantom-L-CC.dcm"].error) == f"{paths[0]}: the process that analysed it ended (exit code 9)"


def test_a_bundle_that_changes_under_way_is_refused(dark: list[Path], tmp_path: Path) -> None:
    settings = {"tolerance": 0.2, "weight": 0.5}
    step = {"name": "pair", "role": "rescore", "implementation": "paired-views", "settings": settings}
    bundle = load_bundle(with_step(tmp_path / "bundle", step))
    manifest = tmp_path / "bundle" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"tolerance": 0.2', '"tolerance": 0.3'))
    with pytest.raises(BundleError, match="bundle: the bundle was changed while files were analysed with it"):
        list(analyze_files(dark[:2], tmp_path / "out", bundle, Options(backend="processes")))


@dataclass(frozen=True)
class _ManyFiles:
    """As many paths as wanted, made as they are asked for."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Path]:
        return (Path(f"/exams/{number // 4}/{number % 4}.dcm") for number in range(self.count))


def test_naming_many_files_holds_no_list_of_names() -> None:
    def peak_of(count: int) -> int:
        tracemalloc.start()
        first = [name for _, name in zip(range(5), result_names(_ManyFiles(count)), strict=False)]  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert first == ["0_0", "0_1", "0_2", "0_3", "1_0"]
        return peak

    # The least of some: another thread may need memory meanwhile, and Python keeps some at first.
    many, some = (min(peak_of(count) for _ in range(3)) for count in (3_000, 1_000))
    assert (many - some) / 2_000 < 60  # bytes a file: the names alone would take more


def test_the_command_prints_no_long_table(dark: list[Path], tmp_path: Path) -> None:
    def analyze(backend: str, paths: list[Path]) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(PACKAGES)])}
        options = ["--out", tmp_path / "out", "--backend", backend]
        command = [sys.executable, "-m", "mammoscope", "analyze", *options, *paths]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    long = analyze("one-after-another", dark)
    assert long.returncode == 3
    assert long.stdout.splitlines() == ["57 of 60 analysed, 3 failed", str(tmp_path / "out")]
    assert "007.png: " in long.stderr
    short = analyze("threads", dark[:9])
    assert short.returncode == 3
    assert "no breast found" in short.stdout and "8 of 9 analysed (8 of them earlier" in short.stdout
    other = analyze("dask", dark[:1])
    assert other.returncode == 2
    assert "error: backend 'dask' is not known; known are: one-after-another, processes, ray, threads\n" in other.stderr
