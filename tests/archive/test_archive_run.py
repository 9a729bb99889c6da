"""Files into an archive: any source, any backend, and what its summary says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pydicom import dcmread

from archive.contents import assert_whole, rows
from archive.images import make_images
from installed import PACKAGES, with_step
from mammoscope.archive.progress import Progress, duration
from mammoscope.archive.run import ArchiveOptions, analyze_to_archive
from mammoscope.archive.schema import TABLES, schema_of
from mammoscope.archive.sources.sources import Sources
from mammoscope.archive.summary import summary_of
from mammoscope.archive.writer import Outcome
from mammoscope.bundle import Bundle, load_bundle
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.writers.dicom.results import ResultKind

ROOT = Path(__file__).parents[2]


def run(archive: Path | str, bundle: Bundle, *sources: object, **options: Any) -> tuple[list[Outcome], Progress]:
    """What a run says of each file; it refuses nothing."""
    progress, refused = Progress(), list[InputError]()
    outcomes = list(
        analyze_to_archive(
            Sources([str(source) for source in sources]),
            str(archive),
            bundle,
            ArchiveOptions(**options),
            progress,
            refused.append,
        )
    )
    assert not refused
    return outcomes, progress


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(PACKAGES)])}
    whole = [sys.executable, "-m", "mammoscope", *map(str, arguments)]
    return subprocess.run(whole, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("backend", ["threads", pytest.param("processes", marks=pytest.mark.load)])
def test_an_exam_and_what_is_no_image(exam: Path, tmp_path: Path, quick_bundle: Bundle, backend: str) -> None:
    source = make_images(tmp_path / "in", 3)
    for view in ("L-CC", "R-CC"):
        (source / f"{view}.dcm").write_bytes((exam / f"phantom-{view}.dcm").read_bytes())
    (source / "copy.dcm").write_bytes((exam / "phantom-L-CC.dcm").read_bytes())
    (source / "torn.png").write_bytes((source / "00" / "00000.png").read_bytes()[:30])
    outcomes, progress = run(tmp_path / "a", quick_bundle, source, workers=2, backend=backend)
    kinds = {"analysed": 5, "duplicate": 1, "refused": 1}
    assert dict(progress.kinds) == kinds and len(outcomes) == 7
    assert_whole(tmp_path / "a", 5)
    both = max(rows(tmp_path / "a", "exams"), key=lambda row: len(row["images"]))
    assert (both["views"], both["not_analysed"]) == (["R CC", "L CC"], 0)
    (torn,) = [row for row in rows(tmp_path / "a", "errors") if row["kind"] == "refused"]
    assert torn["problem"] and "torn" not in torn["problem"] and str(tmp_path) not in json.dumps(torn)
    again, progress = run(tmp_path / "a", quick_bundle, source, source / "torn.png", backend=backend)
    assert not again and progress.known == 8
    found = summary_of(str(tmp_path / "a"), 0.5).models[0]
    assert (found.images, found.different_images, found.exams) == (5, 5, 4)
    findings = rows(tmp_path / "a", "findings")
    assert found.findings.total() == len(findings) > 0
    assert found.findings_above == sum(row["detection_score"] >= 0.5 for row in findings)
    assert found.malignant == sum(row["malignancy"] == "malignant" for row in findings)
    assert found.errors == {"refused": 1, "duplicate": 1}
    assert found.bundle_sha256 == quick_bundle.sha256 and found.outcomes["no_breast_found"] == 3


def test_another_threshold_is_another_part_of_the_archive(tmp_path: Path, quick_bundle: Bundle) -> None:
    source = make_images(tmp_path / "in", 2)
    run(tmp_path / "a", quick_bundle, source)
    outcomes, _ = run(tmp_path / "a", quick_bundle, source, threshold=0.9)
    assert len(outcomes) == 2
    default = quick_bundle.manifest.thresholds.detection
    assert [(one.images, one.threshold) for one in summary_of(str(tmp_path / "a")).models] == [(2, default), (2, 0.9)]


def test_from_an_object_store_into_another(exam: Path, tmp_path: Path, quick_bundle: Bundle) -> None:
    store, name = fsspec.filesystem("memory"), os.urandom(6).hex()
    store.put(str(make_images(tmp_path / "in", 3)), f"/{name}/in", recursive=True)
    store.put_file(str(exam / "phantom-L-CC.dcm"), f"/{name}/in/left.dcm")
    store.pipe_file(f"/{name}/in/letter.dcm", b"dear radiologist")
    archive = f"memory://{name}/out/a.parquet"
    outcomes, progress = run(archive, quick_bundle, f"memory://{name}/in", dicom=frozenset({ResultKind.SR}), workers=2)
    problems = sorted(one.problem for one in outcomes if one.problem and one.kind == "analysed")
    assert len(problems) == 3 and dict(progress.kinds) == {"analysed": 4, "refused": 1}
    assert run(archive, quick_bundle, f"memory://{name}/in")[1].known == 5
    store.get(f"/{name}/out/a.parquet", str(tmp_path / "fetched"), recursive=True)
    assert_whole(tmp_path / "fetched", 4)
    (report,) = (tmp_path / "fetched" / "objects").rglob("*.sr.dcm")
    (left,) = [row for row in rows(tmp_path / "fetched", "images") if row["file_format"] == "DICOM"]
    assert report.name == f"{left['image']}.sr.dcm" and dcmread(report).Modality == "SR"
    assert summary_of(archive).models[0].images == 4


def test_models_that_see_exams_get_them_whole(exam: Path, tmp_path: Path) -> None:
    settings = {"tolerance": 0.2, "weight": 0.5}
    step = {"name": "pair", "role": "rescore", "implementation": "paired-views", "settings": settings}
    bundle = load_bundle(with_step(tmp_path / "bundle", step))
    run(tmp_path / "a", bundle, exam / "phantom-L-*.dcm")
    assert [row["views"] for row in rows(tmp_path / "a", "exams")] == [["L CC", "L MLO"]]
    assert not any("alone" in warning for row in rows(tmp_path / "a", "images") for warning in row["warnings"])


@pytest.mark.load
def test_a_file_that_kills_its_worker_takes_no_other_with_it(exam: Path, tmp_path: Path) -> None:
    step = {"name": "deadly", "role": "other", "implementation": "deadly-left"}
    deadly = load_bundle(with_step(tmp_path / "bundle", step))
    _, progress = run(tmp_path / "a", deadly, exam / "phantom-?-CC.dcm", backend="processes", keep_sources=True)
    assert dict(progress.kinds) == {"analysed": 1, "crashed": 1}
    (error,) = rows(tmp_path / "a", "errors")
    assert error["kind"] == "crashed" and error["source"] == str(exam / "phantom-L-CC.dcm")
    assert error["problem"] == "the process that analysed it ended (exit code 9)"
    assert [row["view"] for row in rows(tmp_path / "a", "images")] == ["CC"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.load)])
def test_the_command_goes_on_where_it_was_stopped(tmp_path: Path, quick_bundle: Bundle, number: signal.Signals) -> None:
    source, archive = make_images(tmp_path / "in", 60, side=800), tmp_path / "a.parquet"
    (source / "letter.dcm").write_text("dear radiologist")
    arguments = ["analyze", source, "--out", archive, "--bundle", quick_bundle.folder, "--part-images", "10"]
    whole = [sys.executable, "-m", "mammoscope", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first = subprocess.Popen(whole, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((archive / "images").rglob("part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(number)
    first.wait()
    assert 0 < len(rows(archive, "images")) < 60
    second = command(*arguments)
    assert second.returncode == 3 or "letter" not in second.stderr  # where the first run had not come to it
    assert re.match(r"\d+ analysed, \d+ done earlier", second.stdout)
    assert_whole(archive, 60)
    said = command("archive", "summary", archive)
    assert said.returncode == 0 and re.search(r"images +│ 60 ", said.stdout) and "Research use only" in said.stdout
    (models,) = json.loads(command("archive", "summary", archive, "--json").stdout)["models"]
    assert (models["images"], models["errors"], models["outcomes"]) == (60, {"refused": 1}, {"no_breast_found": 60})


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        *(
            (
                ["analyze", "a.png", "--out", "x.parquet", option],
                "--overwrite, --save-preprocessed and --exam-sr need a folder",
            )
            for option in ("--overwrite", "--exam-sr")
        ),
        (["analyze", "a.png", "--keep-paths"], "--keep-paths and --retry-failed need an archive as --out"),
        (["archive", "summary", "nowhere"], "nowhere: is no archive of mammoscope, it lacks archive.json"),
    ],
)
def test_what_cannot_be_is_said(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    from mammoscope.cli.app import app

    with pytest.raises(MammoscopeError, match=problem):
        app(arguments, standalone_mode=False)


def test_progress_in_a_line() -> None:
    now = [0.0]
    progress = Progress(total=1_000_000, known=10_000, clock=lambda: now[0])
    assert progress.text() == "10,000 of 1,000,000 done, 10,000 earlier"
    for number in range(200):
        now[0] += 0.5
        progress.add("crashed" if number == 7 else "refused" if number % 100 == 9 else "analysed")
    said = "10,200 of 1,000,000 done, 10,000 earlier, 2 a second, 5 d 17 h left, 1 crashed, 2 refused"
    assert progress.text() == said
    assert [duration(seconds) for seconds in (0, 59.6, 3600, 90061)] == ["0 s", "1 min", "1 h", "1 d 1 h"]


def test_the_page_describes_every_column() -> None:
    page = (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `(\w+)`(.*?)(?=^##|\Z)", page, flags=re.MULTILINE | re.DOTALL))
    for table in TABLES:
        described = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", sections[table], flags=re.MULTILINE)
        columns = [(field.name, str(field.type), field.metadata[b"meaning"].decode()) for field in schema_of(table)]
        assert described == columns, table
