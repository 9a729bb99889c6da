"""Findings of two views of a breast that are one lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mammoscope.candidates import UNLINKED, Candidates
from mammoscope.geometry import Frame, FrameChange
from mammoscope.mammogram import Laterality
from mammoscope.stages.fitting import FittingCase
from mammoscope.stages.logistic import fit_logistic
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.step import PreparedExam, PreparedView, implementation_named
from mammoscope.stages.two_views import TwoViews, TwoViewSettings

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT
BREAST = 100  # pixels across


def view(side: Laterality | None, name: str | None, *, scale: tuple[float, float] = (1, 1)) -> PreparedView:
    shape = round(BREAST * scale[1]), round(BREAST * scale[0])
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)
    return PreparedView(Preprocessed(np.zeros(shape, np.uint8), np.ones(shape, bool), change, 1.0), side, name)


def candidates(*rows: tuple[int, float, float], malignancy: Sequence[float] | None = None) -> Candidates:
    """Squares, each ``(view, x of the middle, side)``, half-way down the breast."""
    boxes = [(x - side / 2, 50 - side / 2, x + side / 2, 50 + side / 2) for _, x, side in rows]
    found = Candidates.on_view(np.array(boxes).reshape(-1, 4), np.full(len(rows), 0.5))
    scores = None if malignancy is None else np.array(malignancy)
    return replace(found, view=np.array([row[0] for row in rows], dtype=np.int64), malignancy_score=scores)


def linked(exam: Sequence[PreparedView], found: Candidates, **settings: float) -> list[int]:
    lesion = TwoViews(TwoViewSettings(**settings))(PreparedExam(tuple(exam)), found).lesion
    assert lesion is not None and lesion.dtype == np.int64
    return [int(number) for number in lesion]


BOTH = (view(LEFT, "CC"), view(LEFT, "MLO"))
NONE = UNLINKED


@pytest.mark.parametrize(
    ("exam", "rows", "lesions"),
    [
        (BOTH, [], []),
        (BOTH[:1], [(0, 30, 20)], [NONE]),
        (BOTH[:1], [(0, 30, 20), (0, 31, 20)], [NONE, NONE]),
        (BOTH, [(0, 30, 20), (1, 31, 21)], [0, 0]),
        (BOTH, [(0, 30, 20), (1, 80, 20)], [NONE, NONE]),  # as large, elsewhere
        (BOTH, [(0, 30, 10), (1, 30, 60)], [NONE, NONE]),  # there, of another size
        (BOTH, [(0, 30, 20), (1, 36, 20), (1, 31, 20)], [0, NONE, 0]),  # the nearer of two
        (BOTH, [(1, 70, 20), (0, 30, 20), (1, 31, 20), (0, 70, 20)], [0, 1, 1, 0]),
        ((view(LEFT, "CC"), view(RIGHT, "MLO")), [(0, 30, 20), (1, 30, 20)], [NONE, NONE]),
        ((view(LEFT, "CC"), view(LEFT, "CC")), [(0, 30, 20), (1, 30, 20)], [NONE, NONE]),
        ((view(LEFT, "CC"), view(LEFT, None)), [(0, 30, 20), (1, 30, 20)], [NONE, NONE]),
        ((view(None, "CC"), view(None, "MLO")), [(0, 30, 20), (1, 30, 20)], [NONE, NONE]),
        ((*BOTH, view(LEFT, "ML")), [(0, 30, 20), (1, 31, 20), (2, 33, 20), (2, 29, 20)], [0, 0, NONE, 0]),
        ((*BOTH, PreparedView(None, LEFT, "ML")), [(0, 30, 20), (1, 31, 20)], [0, 0]),
    ],
)
def test_findings_are_linked(
    exam: Sequence[PreparedView], rows: list[tuple[int, float, float]], lesions: list[int]
) -> None:
    assert linked(exam, candidates(*rows)) == lesions


def test_a_doubtful_finding_is_no_counterpart() -> None:
    found = candidates((0, 30, 20), (1, 31, 20), malignancy=[0.8, 0.5])
    unsure = replace(found, detection_score=np.array([0.9, 0.3]))
    assert linked(BOTH, unsure) == [0, 0] == linked(BOTH, unsure, least_detection=0.3)
    step = TwoViews(TwoViewSettings(least_detection=0.31))
    alone = step(PreparedExam(BOTH), unsure)
    assert alone.lesion is not None and alone.lesion.tolist() == [NONE, NONE]
    assert alone.malignancy_score == pytest.approx([0.8, 0.5])


@pytest.mark.parametrize("scale", [(2.0, 2.0), (0.5, 2.0)])
def test_pixels_of_other_size_or_shape_change_nothing(scale: tuple[float, float]) -> None:
    found = candidates((0, 30, 20), (1, 33, 16), (1, 60, 20))
    stretched = found.boxes * np.array([[1, 1, 1, 1], [*scale, *scale], [*scale, *scale]])
    for least in (0.5, 0.7, 0.9):
        exam = (view(LEFT, "CC"), view(LEFT, "MLO", scale=scale))
        assert linked(exam, replace(found, boxes=stretched), least=least) == linked(BOTH, found, least=least)


def test_what_is_said_of_one_lesion_is_joined() -> None:
    found = candidates((0, 30, 20), (1, 30, 20), (1, 80, 20), malignancy=[0.8, 0.5, 0.3])
    after = TwoViews(TwoViewSettings())(PreparedExam(BOTH), found)
    # The mean of log(4) and 0 is log(2): 2 to 1.
    assert after.malignancy_score == pytest.approx([2 / 3, 2 / 3, 0.3])
    assert after.detection_score is found.detection_score and after.boxes is found.boxes
    sure = replace(found, malignancy_score=np.array([1.0, 0.0, 0.0]))
    assert TwoViews(TwoViewSettings())(PreparedExam(BOTH), sure).malignancy_score == pytest.approx([0.5, 0.5, 0.0])
    fitted = TwoViews(TwoViewSettings(joined_slope=2, joined_intercept=np.log(2)))
    assert fitted(PreparedExam(BOTH), found).malignancy_score == pytest.approx([8 / 9, 8 / 9, 0.3])


def test_it_is_found_by_its_name() -> None:
    named: object = implementation_named("two-views")
    assert named is TwoViews


def cases(rng: np.random.Generator, count: int, *, spread: float) -> list[FittingCase]:
    """Women with a lesion in two views, its depth seen with an error, and malignancy scores that say a little."""
    made = []
    for number in range(count):
        x, side, malignant = rng.uniform(15, 85), rng.uniform(8, 30), number % 3 == 0
        rows = [(0, x, side), (1, float(np.clip(x + rng.normal(0, spread), 5, 95)), side)]
        scores = 1 / (1 + np.exp(-(rng.normal(0, 1, 2) + (0.5 if malignant else -0.5))))
        found = candidates(*rows, malignancy=scores.tolist())
        made.append(FittingCase(PreparedExam(BOTH), found, candidates(*rows), (malignant,) * 2, ("LEFT 1",) * 2))
    return made


def test_it_learns_how_far_a_lesion_moves_and_what_two_scores_are_worth() -> None:
    near, far = (
        TwoViews(TwoViewSettings()).fitted(cases(np.random.default_rng(0), 150, spread=spread)) for spread in (2, 20)
    )
    assert near["depth"] > 2 * far["depth"] > 0
    # Two opinions that err independently are together worth their sum: twice their mean.
    assert 1.2 < near["joined_slope"] < 4
    assert TwoViewSettings(**near) != TwoViewSettings(**far)
    rows = [(0, 30, 20), (1, 45, 20)]
    assert linked(BOTH, candidates(*rows), **near) == [NONE, NONE] and linked(BOTH, candidates(*rows), **far) == [0, 0]


def test_with_nothing_to_learn_from_settings_stay() -> None:
    step = TwoViews(TwoViewSettings())
    assert step.fitted([]) == {}
    (only,) = cases(np.random.default_rng(0), 1, spread=1)
    assert step.fitted([only]) == {}  # no other woman's lesion to tell it from
    alone = replace(only, exam=PreparedExam(BOTH[:1]), found=only.found.of_view(0), truth=only.truth.of_view(0))
    assert step.fitted([replace(alone, malignant=(True,), lesions=("LEFT 1",))] * 2) == {}
    ungraded = [replace(case, malignant=(None, None)) for case in cases(np.random.default_rng(0), 9, spread=1)]
    assert set(step.fitted(ungraded)) == {"intercept", "depth", "size"}


def test_scores_that_would_turn_round_are_not_joined_by_them() -> None:
    turned = [
        replace(case, malignant=tuple(not malignant for malignant in case.malignant))
        for case in cases(np.random.default_rng(1), 60, spread=2)
    ]
    assert "joined_slope" not in TwoViews(TwoViewSettings()).fitted(turned)


def test_two_candidates_of_a_view_are_never_one_lesion() -> None:
    found = replace(candidates((0, 30, 20), (0, 60, 20), (1, 30, 20)), lesion=np.array([0, 0, 0]))
    assert found.problem([True, True]) == "two candidates of one view that are one lesion"
    assert replace(found, lesion=np.array([0, NONE, 0])).problem([True, True]) is None
    assert replace(found, lesion=np.array([NONE, NONE, NONE])).problem([True, True]) is None


def test_logistic_regression_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.normal(size=(80, 2)), np.ones(80)])
    target = (columns @ [1.0, -2.0, 0.5] + rng.logistic(size=80) > 0).astype(float)
    weights = rng.uniform(0.5, 2, 80)
    ours = fit_logistic(columns, target, np.zeros(3), case_weights=weights, penalty=0.5)
    theirs = LogisticRegression(C=2, fit_intercept=False, tol=1e-10).fit(columns, target, sample_weight=weights)
    assert ours == pytest.approx(theirs.coef_[0], abs=1e-4)
