"""How a chain is run over an exam: which step sees what, and what it must not give back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from held.release import RELEASE
from mammoscope.bundle import BundledStep, load_bundle
from mammoscope.candidates import Candidates
from mammoscope.errors import BundleError
from mammoscope.geometry import Frame, FrameChange
from mammoscope.mammogram import Laterality
from mammoscope.pipeline import analyze, examine_views, run_steps
from mammoscope.readers import read_mammogram
from mammoscope.stages.manifests import StepManifest
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.step import PreparedExam, PreparedView, StepSettings
from mammoscope.stopwatch import Stopwatch


class OneByView:
    """Finds one candidate a view, as wide as the breast's image."""

    scope, row_by_row, Settings = "view", False, StepSettings

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        assert len(exam.views) == 1 and (found.view == 0).all()
        breast = exam.breast()
        box = np.array([[0, 0, breast.width, breast.height]])
        return Candidates.joined([found, Candidates.on_view(box, np.array([0.5]))])


class Counterparts:
    """Scores a candidate by how many others the exam has: a step that needs the whole exam."""

    scope, row_by_row, Settings = "exam", False, StepSettings

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        return replace(found, detection_score=np.full(len(found), 1 - 1 / (1 + len(found))))


def _step(step: object, name: str = "step") -> BundledStep:
    made = BundledStep(Path("bundle"), StepManifest(name=name, role="other", implementation="tiny"))
    made.__dict__.update(step=step, implementation=type(step), settings=StepSettings())
    return made


def _view(width: int) -> PreparedView:
    pixels = np.full((20, width), 9, np.uint8)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)
    return PreparedView(Preprocessed(pixels, np.ones(pixels.shape, bool), change, 1.0), Laterality.LEFT, "CC")


EXAM = PreparedExam((_view(30), PreparedView(None), _view(50)))


def test_a_step_of_scope_view_sees_one_breast_at_a_time_and_rows_keep_their_view() -> None:
    found = run_steps([_step(OneByView()), _step(OneByView())], EXAM, Candidates.none())
    assert found.view.tolist() == [0, 0, 2, 2]
    assert found.boxes[:, 2].tolist() == [30, 30, 50, 50]


def test_a_step_of_scope_exam_sees_all_at_once_and_the_time_of_each_is_kept() -> None:
    watch = Stopwatch()
    found = run_steps([_step(OneByView(), "find"), _step(Counterparts(), "pair")], EXAM, Candidates.none(), watch)
    assert found.detection_score == pytest.approx([2 / 3, 2 / 3])
    assert list(watch.seconds) == ["find", "pair"]


def test_without_a_breast_nothing_is_run() -> None:
    assert len(run_steps([_step(OneByView())], PreparedExam((PreparedView(None),)), Candidates.none())) == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"view": np.array([0, 7])}, "gave a view that the exam of 3 does not have"),
        ({"view": np.array([0, 1])}, "gave a candidate on a view without a breast"),
        ({"detection_score": np.array([0.5, np.nan])}, "gave a detection_score that is not a number"),
    ],
)
def test_a_step_that_gives_no_candidates_of_this_exam_is_named(wrong: dict[str, object], named: str) -> None:
    class Broken(Counterparts):
        def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
            return replace(found, **wrong)

    with pytest.raises(BundleError, match=rf"bundle: step 'broken' \(tiny\) {named}"):
        run_steps([_step(OneByView()), _step(Broken(), "broken")], EXAM, Candidates.none())


def test_steps_of_single_views_see_those_of_an_exam_as_each_alone(exam: Path) -> None:
    bundle = load_bundle(manifest=RELEASE)
    views = [read_mammogram(exam / f"phantom-{name}.dcm") for name in ("R-CC", "L-CC", "L-MLO")]
    together = [examination.analysis for examination in examine_views(views, bundle, threshold=0.2)]
    assert sum(len(analysis.findings) for analysis in together) > 1
    for view, analysis in zip(views, together, strict=True):
        assert analysis.input.name == view.name
        assert analysis.findings == analyze(view, bundle, threshold=0.2).findings
