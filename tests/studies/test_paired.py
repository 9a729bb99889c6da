"""Paired statistics, by cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.compare.cases import STAGES, CaseSet, case_sets
from mammoscope.evaluation.compare.paired import difference, drawn, holm, p_value
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.geometry import FloatArray


def mean_of(values: list[float], patients: str = "ABCD", prefix: str = "") -> CaseSet:
    """The mean of a value a case."""
    column = np.array(values)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {"mean": weights @ column / weights.sum(axis=1)}

    return CaseSet(tuple((f"{prefix}{patient}",) for patient in patients), tuple(patients), statistic)


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        ([0.1, 0.2, 0.3], 2 * (0 + 1) / 4),  # never at or below 0
        ([-0.1] * 99, 2 * 1 / 100),
        ([-0.1, 0.1, 0.2], 1.0),  # 2 * (1 + 1) / 4
        ([0.0, 0.0], 1.0),  # not above and not below
        ([0.1] * 197 + [-0.1, -0.1], 2 * (2 + 1) / 200),
        ([np.nan, 0.1, 0.1, 0.1], 2 * 1 / 4),  # a draw without a value does not count
        ([np.nan], None),
    ],
)
def test_p_value(draws: list[float], expected: float | None) -> None:
    assert p_value(np.array(draws)) == pytest.approx(expected)


def test_holm() -> None:
    # Sorted: 0.01 * 3, 0.02 * 2 = 0.04, 0.03 * 1 raised to the one before.
    assert holm({"a": 0.03, "b": 0.01, "c": 0.02}) == pytest.approx({"b": 0.03, "c": 0.04, "a": 0.04})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}


def test_what_is_hard_for_both_cancels() -> None:
    bootstrap = Bootstrap(500)
    hard = drawn([mean_of([0.1, 0.9, 0.4, 0.6])], bootstrap)
    better = drawn([mean_of([0.2, 1.0, 0.5, 0.7])], bootstrap)
    found = difference(better, hard, "mean")
    assert found.difference.value == pytest.approx(0.1)
    assert found.difference.ci95 == pytest.approx((0.1, 0.1))  # each draw has the same patients for both
    assert found.p == pytest.approx(2 / 501)
    low, high = hard.estimate("mean").ci95 or (0, 0)
    assert high - low > 0.3


def test_a_network_does_not_differ_from_itself() -> None:
    one = drawn([mean_of([0.1, 0.9, 0.4, 0.6])], Bootstrap(100))
    found = difference(one, one, "mean")
    assert (found.difference.value, found.p) == (0.0, 1.0)


def test_the_order_of_cases_does_not_matter() -> None:
    bootstrap = Bootstrap(100)
    first = drawn([mean_of([1, 2, 3, 4], "ABCD")], bootstrap)
    second = drawn([mean_of([4, 3, 2, 1], "DCBA")], bootstrap)
    assert_allclose(first.draws["mean"], second.draws["mean"])
    assert difference(first, second, "mean").difference.value == 0


def test_seeds_are_averaged() -> None:
    both = drawn([mean_of([1, 1, 1, 1]), mean_of([3, 3, 3, 3])], Bootstrap(20))
    assert both.values["mean"] == 2.0 and set(both.draws["mean"]) == {2.0}


def test_other_cases_are_named() -> None:
    bootstrap = Bootstrap(10)
    pair = drawn([mean_of([1, 2, 3, 4])], bootstrap), drawn([mean_of([1, 2, 3], "ABC")], bootstrap)
    with pytest.raises(MammoscopeError, match=r"x and y were not measured on the same cases: only one has D$"):
        difference(*pair, "mean", "x and y")
    with pytest.raises(MammoscopeError, match="only one has A; B; C and 5 more"):
        drawn([mean_of([1, 2, 3, 4]), mean_of([1, 2, 3, 4], prefix="o")], bootstrap)


def test_figures_of_whole_images() -> None:
    header = ["image", "patient", "malignant", "lesions", "image_score"]
    header += ["hit", "hit_malignant", "true", "drawn", "common", "dice"]
    table = [
        "a A 1 1 0.9 1 1 10 10 5 0.5",
        "b A 0 1 0.2 0 - 10 0 0 0",
        "c B - 1 0.5 1 - - - - -",
        "d C 0 0 0.9 - - - - - -",
    ]
    rows = [dict(zip(header, line.replace("-", "").split(" "), strict=True)) for line in table]
    (images,) = case_sets("weak", rows)
    found = drawn([images], Bootstrap(10)).values
    assert found == pytest.approx(
        {
            "image_auc": 0.75,  # 0.9 against 0.2 and 0.9: one pair right, one tied
            "pointing_game": 2 / 3,
            "pointing_game_malignant": 1.0,
            "dice_mean": 0.25,
            "iou_pooled": 5 / 25,
        }
    )


@pytest.mark.parametrize("stage", STAGES)
def test_no_case_has_no_figure(stage: str) -> None:
    for cases in case_sets(stage, []):
        assert all(np.isnan(values).all() for values in cases.statistic(np.ones((1, 0))).values())
