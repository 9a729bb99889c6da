"""Batches: a failure is one row and never the end; what is done is not done again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammoscope.batch import Done, Options, analyze_files
from mammoscope.batch.result_names import result_names
from mammoscope.bundle import Bundle
from mammoscope.errors import MammoscopeError


@pytest.fixture(scope="module")
def bundle(quick_bundle: Bundle) -> Bundle:
    """Few candidates: it does not matter here what is found."""
    return quick_bundle


@pytest.fixture
def mixed(exam: Path, tmp_path: Path) -> list[Path]:
    """Two good files among three bad ones."""
    folder = tmp_path / "in"
    folder.mkdir()
    good = (exam / "phantom-L-CC.dcm").read_bytes()
    (folder / "a.dcm").write_bytes(good)
    (folder / "b-truncated.dcm").write_bytes(good[: len(good) // 3])
    (folder / "c-letter.dcm").write_text("dear radiologist")
    cv2.imwrite(str(folder / "d-colour.png"), np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8))
    shutil.copy(exam / "phantom-R-CC.dcm", folder / "e.dcm")
    return sorted(folder.iterdir())


def _run(paths: list[Path], out: Path, bundle: Bundle, **options: object) -> dict[str, Done]:
    return {done.path.name: done for done in analyze_files(paths, out, bundle, Options(**options))}  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 3])
def test_bad_files_are_named_and_good_ones_done(
    mixed: list[Path], tmp_path: Path, quick_bundle: Bundle, workers: int
) -> None:
    done = _run(mixed, tmp_path / "out", quick_bundle, workers=workers)
    assert {name for name, result in done.items() if result.error} == {
        "b-truncated.dcm",
        "c-letter.dcm",
        "d-colour.png",
    }
    for name, result in done.items():
        assert (result.analysis is None) == (result.error is not None)
        if result.error:
            assert name in str(result.error) and "\n" not in str(result.error)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.exam.json",  # a and e state one study
        "a.json",
        "a.overlay.png",
        "e.json",
        "e.overlay.png",
    ]


@pytest.mark.load
def test_a_second_run_skips_what_is_done(mixed: list[Path], tmp_path: Path, quick_bundle: Bundle) -> None:
    out, good = tmp_path / "out", [mixed[0], mixed[4]]
    assert not any(done.skipped for done in _run(good, out, quick_bundle).values())
    before = (out / "a.json").stat().st_mtime_ns
    assert all(done.skipped and done.analysis for done in _run(good, out, quick_bundle).values())
    assert (out / "a.json").stat().st_mtime_ns == before
    # Another threshold, another file behind the name, a damaged or missing result: done again.
    assert not any(done.skipped for done in _run(good, out, quick_bundle, threshold=0.9).values())
    assert not any(done.skipped for done in _run(good, out, quick_bundle).values())
    (out / "a.json").write_text("{")
    (out / "e.overlay.png").unlink()
    assert not any(done.skipped for done in _run(good, out, quick_bundle).values())
    shutil.copy(mixed[4], mixed[0])
    done = _run(good, out, quick_bundle)
    assert not done["a.dcm"].skipped and done["e.dcm"].skipped
    assert not any(result.skipped for result in _run(good, out, quick_bundle, overwrite=True).values())


def test_the_preprocessed_view_is_kept_on_request(mixed: list[Path], tmp_path: Path, quick_bundle: Bundle) -> None:
    done = _run(mixed[:1], tmp_path / "out", quick_bundle, save_preprocessed=True)
    picture = cv2.imread(str(tmp_path / "out" / "a.preprocessed.png"), cv2.IMREAD_UNCHANGED)
    assert picture is not None and picture.ndim == 2
    assert tmp_path / "out" / "a.preprocessed.png" in done["a.dcm"].written


def test_results_hold_no_name_of_the_patient(mixed: list[Path], tmp_path: Path, quick_bundle: Bundle) -> None:
    _run(mixed[:1], tmp_path / "out", quick_bundle)
    report = json.loads((tmp_path / "out" / "a.json").read_text())
    assert "PHANTOM" not in json.dumps(report).upper().replace("SYNTHETIC PHANTOM", "")
    assert report["notice"] == "Research use only. Not for diagnostic use."


def test_a_folder_that_cannot_be_made(mixed: list[Path], tmp_path: Path, quick_bundle: Bundle) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MammoscopeError, match="file/out: cannot be made"):
        list(analyze_files(mixed, tmp_path / "file" / "out", quick_bundle, Options()))


def test_a_folder_that_may_not_be_written_to_is_refused_before_the_work(
    mixed: list[Path], tmp_path: Path, quick_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the superuser may write everywhere
    with pytest.raises(MammoscopeError, match="out: cannot be written to, choose another folder"):
        next(analyze_files(mixed, tmp_path / "out", quick_bundle, Options()))


def test_a_result_that_cannot_be_written_is_an_error_of_its_file(
    mixed: list[Path], tmp_path: Path, quick_bundle: Bundle
) -> None:
    (tmp_path / "out" / "a.overlay.png").mkdir(parents=True)
    done = _run([mixed[0], mixed[4]], tmp_path / "out", quick_bundle)
    assert done["a.dcm"].error is not None and done["a.dcm"].error.path == mixed[0]
    assert "a.overlay.png: cannot be written" in done["a.dcm"].error.problem
    assert done["e.dcm"].analysis


@pytest.mark.parametrize("name", [b"caf\xe9.dcm", b"two\nlines.dcm", b"\x1b[2J.dcm", b"a" * 250, b"with space.dcm"])
def test_a_file_of_any_name_is_analysed(exam: Path, tmp_path: Path, quick_bundle: Bundle, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    try:
        shutil.copy(exam / "phantom-R-CC.dcm", path)
    except OSError:
        pytest.skip("the file system has no such names")
    (done,) = analyze_files([path], tmp_path / "out", quick_bundle, Options())
    assert done.error is None and done.analysis
    assert done.analysis.input.name.isprintable()
    assert all(file.name.startswith(done.analysis.input.name) for file in (tmp_path / "out").iterdir())
    (again,) = analyze_files([path], tmp_path / "out", quick_bundle, Options())
    assert again.skipped


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/a.dcm"], ["a"]),
        (["/x/a.dcm", "/x/b.dcm"], ["a", "b"]),
        (["/x/a.dcm", "/y/a.dcm"], ["x_a", "y_a"]),
        (["/x/a.dcm", "/y/A.dcm"], ["x_a", "y_A"]),
        (["/x/a.dcm", "/x/a.png"], ["x_a.dcm", "x_a.png"]),
        (["/p/x/a.dcm", "/q/x/a.dcm", "/q/b.dcm"], ["p_x_a.dcm", "q_x_a.dcm", "b"]),
        (["/x/1.2.840.1", "/x/1.2.840.2"], ["1.2.840.1", "1.2.840.2"]),
        (["/x/a\n.dcm", "/x/a\t.dcm"], ["x_a_.dcm_1", "x_a_.dcm_2"]),
        (["/x/" + "a" * 240 + "1", "/x/" + "a" * 240 + "2"], ["x_" + "a" * 198 + "_1", "x_" + "a" * 198 + "_2"]),
        ([], []),
    ],
)
def test_names_of_results_never_collide(paths: list[str], names: list[str]) -> None:
    assert list(result_names([Path(path) for path in paths])) == names
