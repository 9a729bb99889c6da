"""What happens before the first file of a batch is analysed: which files belong together, and what that may cost."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import pytest

from exams.two_women import ANNA, STUDY, image, picture
from installed import with_step
from mammoscope.batch import Options, analyze_files
from mammoscope.batch.exams import ALONE, ExamReports, plan_exams
from mammoscope.batch.job import AnalysisJob, Planned, Together
from mammoscope.batch.run import _exam_keys, _plan, _planned
from mammoscope.batch.seats import Seats
from mammoscope.batch.shared_bundle import SharedBundle
from mammoscope.bundle import Bundle, load_bundle
from mammoscope.errors import MammoscopeError
from mammoscope.readers import IsolatedReader
from mammoscope.readers.limits import DEFAULT_LIMITS

STEP = {"name": "pair", "role": "rescore", "implementation": "paired-views", "settings": {"tolerance": 0.15}}


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    return [image(tmp_path / "in" / f"{side}.dcm", ANNA, side) for side in "RL"]


def test_how_far_the_search_is_is_told_before_the_first_file_is_done(
    pair: list[Path], tmp_path: Path, quick_bundle: Bundle
) -> None:
    told: list[tuple[int, int]] = []
    outcomes = analyze_files(
        [*pair, tmp_path / "absent.dcm"], tmp_path / "out", quick_bundle, Options(), looking=lambda *n: told.append(n)
    )
    next(outcomes)
    assert told == [(1, 3), (2, 3), (3, 3)]
    outcomes.close()


def test_an_unknown_backend_is_refused_before_the_search(
    pair: list[Path], tmp_path: Path, quick_bundle: Bundle
) -> None:
    told: list[tuple[int, int]] = []
    options = Options(backend="dask")
    with pytest.raises(MammoscopeError, match="backend 'dask' is not known"):
        next(analyze_files(pair, tmp_path / "out", quick_bundle, options, looking=lambda *n: told.append(n)))
    assert not told


def test_files_that_no_decoder_can_tell_are_alone(pair: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _plan(pair, DEFAULT_LIMITS, None).exam.tolist() == [0, 0]
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert _plan(pair, DEFAULT_LIMITS, None).exam.tolist() == [ALONE, ALONE]


def test_a_decoder_is_started_only_for_dicom_files(pair: list[Path], tmp_path: Path) -> None:
    reader = IsolatedReader()
    assert list(_exam_keys([picture(tmp_path / "a.png"), tmp_path, tmp_path / "absent"], reader, None)) == [None] * 3
    assert reader._worker is None
    assert None not in list(_exam_keys(pair, reader, None)) and reader._worker is not None
    reader.close()


@pytest.fixture
def paired(tmp_path: Path) -> Bundle:
    return load_bundle(with_step(tmp_path / "bundle", STEP))


def test_the_files_of_an_exam_are_named_when_it_is_its_turn(tmp_path: Path, paired: Bundle) -> None:
    paths = [Path(f"/in/{number}.dcm") for number in range(400)]
    plan = plan_exams([f"{number % 100:064x}" for number in range(400)], (path.stem for path in paths))
    planned = _planned(paths, tmp_path, plan, ExamReports(tmp_path, plan), paired)
    gc.collect()  # what errors of earlier tests hold
    before = _planned_now()
    first = next(planned)
    assert [file.path.stem for file in first.files] == ["0", "100", "200", "300"]
    assert first.exam_report == tmp_path / "0.exam.json"
    assert _planned_now() - before <= 8
    assert len(list(planned)) == 99


def _planned_now() -> int:
    return sum(isinstance(thing, Planned) for thing in gc.get_objects())


@pytest.mark.parametrize(("views", "together"), [(16, [16]), (17, [1] * 17)])
def test_a_study_of_very_many_images_is_not_analysed_together(
    tmp_path: Path, paired: Bundle, views: int, together: list[int]
) -> None:
    paths = [Path(f"/in/{number}.dcm") for number in range(views)]
    plan = plan_exams(["a" * 64] * views, (path.stem for path in paths))
    planned = list(_planned(paths, tmp_path, plan, ExamReports(tmp_path, plan), paired))
    assert [len(item.files) for item in planned] == together
    assert all((item.exam_report is None) == (len(item.files) == 1) for item in planned)


def test_a_result_that_cannot_even_be_looked_for_is_an_error_of_its_file(tmp_path: Path, quick_bundle: Bundle) -> None:
    path, out = picture(tmp_path / "a.png"), tmp_path / "out"
    assert [done.analysis is not None for done in analyze_files([path], out, quick_bundle, Options())] == [True]
    target = out / ("n" * 245)  # no file may be called NAME.overlay.png, and asking for one fails too
    (out / "a.json").rename(out / f"{target.name}.json")
    with AnalysisJob(SharedBundle.of(quick_bundle), Options(), Seats(1, DEFAULT_LIMITS)).open() as work:
        (done,) = work(Together((Planned(path, target, ALONE),)))
    assert done.analysis is None and "a.png: the analysis failed (OSError)" in str(done.error)


def test_analyses_that_another_run_replaced_meanwhile_make_no_report(
    pair: list[Path], tmp_path: Path, quick_bundle: Bundle
) -> None:
    out = tmp_path / "out"
    outcomes = analyze_files(pair, out, quick_bundle, Options())
    first = next(outcomes)
    report = first.written[0]
    document = json.loads(report.read_text())
    document["thresholds"]["detection"] = 0.9
    report.write_text(json.dumps(document))
    (second,) = outcomes
    assert second.analysis is not None and second.exam_report is None
    assert "no report on its exam (the analyses of an exam have 2 bundles and thresholds" in str(second.exam_error)
    assert STUDY not in str(second.exam_error) and not list(out.glob("*.exam.json"))
