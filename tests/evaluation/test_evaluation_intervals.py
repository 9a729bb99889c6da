"""Intervals: the bootstrap draws patients, and a figure without a denominator says why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammoscope.evaluation.metrics.intervals import Bootstrap, Estimate, area_under_roc, in_parts, ratio


def mean_of(values: list[float]):
    return lambda weights: {"mean": ratio(weights @ np.array(values, dtype=np.float64), weights.sum(axis=1))}


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (Estimate(0.5, (0.4, 0.6)), {"value": 0.5, "ci95": [0.4, 0.6]}),
        (Estimate(None, None, "none"), {"value": None, "ci95": None, "reason": "none"}),
    ],
)
def test_as_json(estimate: Estimate, expected: dict[str, object]) -> None:
    assert estimate.as_json() == expected


def test_no_case_gives_the_reason() -> None:
    assert Bootstrap(10).estimates(mean_of([]), [], {"mean": "why"})["mean"] == Estimate(None, None, "why")


def test_one_patient_has_an_interval_of_no_width() -> None:
    found = Bootstrap(50).estimates(mean_of([0.0, 1.0]), ["P1", "P1"])["mean"]
    assert found == Estimate(0.5, (0.5, 0.5))


def test_cases_of_a_patient_are_drawn_together() -> None:
    weights = Bootstrap(200).weights(["P1", "P2", "P1", "P3"])
    assert weights.shape == (200, 4)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] + weights[:, 1] + weights[:, 3] == 3).all()
    assert weights[:, 1].mean() == pytest.approx(1, abs=0.2)


def test_the_seed_decides() -> None:
    patients = [f"P{n}" for n in range(30)]
    assert (Bootstrap(20, 1).weights(patients) == Bootstrap(20, 1).weights(patients)).all()
    assert (Bootstrap(20, 1).weights(patients) != Bootstrap(20, 2).weights(patients)).any()


def test_draws_without_a_denominator_are_left_out() -> None:
    # The figure is the mean of patient 1 alone: draws without that patient have none.
    found = Bootstrap(100).estimates(lambda w: {"mean": ratio(w[:, 0] * 0.7, w[:, 0])}, ["P1", "P2"])["mean"]
    assert found.value == 0.7
    assert found.ci95 == pytest.approx((0.7, 0.7))


def test_draws_that_all_lack_a_denominator_leave_no_interval() -> None:
    def only_the_point(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"figure": np.full(len(weights), 0.3 if len(weights) == 1 else np.nan)}

    found = Bootstrap(5).estimates(only_the_point, ["P1"])["figure"]
    assert (found.value, found.ci95) == (0.3, None)
    assert found.reason


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    low, high = Bootstrap(2000).estimates(mean_of(values.tolist()), [str(n) for n in range(400)])["mean"].ci95
    standard_error = values.std() / 20
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * standard_error, values.mean() + 1.96 * standard_error), abs=0.012
    )


def test_dependent_cases_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 50), 4).tolist()
    alone = Bootstrap(500).estimates(mean_of(values), [str(n) for n in range(200)])["mean"].ci95
    together = Bootstrap(500).estimates(mean_of(values), [str(n // 4) for n in range(200)])["mean"].ci95
    assert together[1] - together[0] > 1.6 * (alone[1] - alone[0])


@pytest.mark.parametrize("draws", [0, -1])
def test_no_draw_is_refused(draws: int) -> None:
    with pytest.raises(ValueError, match="draws"):
        Bootstrap(draws)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_area_under_roc_is_the_share_of_ordered_pairs(counts: list[tuple[int, int]]) -> None:
    positive, negative = (np.array([column], dtype=np.float64) for column in zip(*counts, strict=True))
    pairs = sum(
        p * n * (1 if i > j else 0.5 if i == j else 0)
        for i, (p, _) in enumerate(counts)
        for j, (_, n) in enumerate(counts)
    )
    total = positive.sum() * negative.sum()
    area = area_under_roc(positive, negative)[0]
    assert area == pytest.approx(pairs / total) if total else np.isnan(area)


def test_draws_in_parts_are_those_at_once() -> None:
    weights = np.broadcast_to(np.arange(7.0)[:, None], (7, 9_000_000))  # takes no memory
    seen: list[int] = []

    def statistic(some: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(len(some))
        return {"first": some[:, 0]}

    found = in_parts(statistic, weights)
    assert seen == [2, 2, 2, 1]  # no more than 20 million weights at once
    assert found["first"].tolist() == list(range(7))
