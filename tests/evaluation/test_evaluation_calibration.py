"""Calibration and net benefit: worked by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.evaluation.metrics.calibration import (
    bins_of,
    calibration_intercept,
    calibration_slope,
    decision_curve,
    expected_calibration_error,
    net_benefit,
    reliability,
)
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.stages.onnx import logit


def test_bins_include_their_lower_edge() -> None:
    scores = np.array([0.0, 0.0999, 0.1, 0.3, 0.7, 0.95, 1.0])
    assert bins_of(scores).tolist() == [0, 0, 1, 3, 7, 9, 9]


def test_slope_and_intercept_by_hand() -> None:
    # Of scores 0.2 one of four is malignant, of 0.8 three of four: logits should be ± ln 3 and are ± ln 4.
    scores, malignant = np.array([0.2] * 4 + [0.8] * 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    ones = np.ones((1, 8))
    assert calibration_slope(logit(scores), malignant, ones)[0] == pytest.approx(np.log(3) / np.log(4))
    assert calibration_intercept(logit(scores), malignant, ones)[0] == pytest.approx(0, abs=1e-9)
    # All scores 0.5 and three of four malignant: ln 3 is to be added.
    assert calibration_intercept(np.zeros(4), np.array([1, 1, 1, 0], dtype=bool), np.ones((1, 4)))[0] == pytest.approx(
        np.log(3)
    )


def test_a_slope_without_an_end_or_of_one_class_is_none() -> None:
    logits, parted = np.array([-2.0, -1, 1, 2]), np.array([0, 0, 1, 1], dtype=bool)
    assert np.isnan(calibration_slope(logits, parted, np.ones((1, 4)))).all()
    assert np.isnan(calibration_slope(logits, np.ones(4, dtype=bool), np.ones((1, 4)))).all()
    assert np.isnan(calibration_intercept(logits, np.ones(4, dtype=bool), np.ones((1, 4)))).all()


def test_slopes_agree_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 150)
    malignant = rng.uniform(size=150) < 1 / (1 + np.exp(-(0.4 * logits - 1)))
    weights = rng.integers(0, 4, (5, 150)).astype(np.float64)
    slopes = [
        LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], malignant, sample_weight=row).coef_[0, 0]
        for row in weights
    ]
    assert calibration_slope(logits, malignant, weights).tolist() == pytest.approx(slopes, rel=1e-4)
    for row, intercept in zip(weights, calibration_intercept(logits, malignant, weights), strict=True):
        assert row @ (1 / (1 + np.exp(-(logits + intercept)))) == pytest.approx(row @ malignant)


def test_net_benefit_by_hand() -> None:
    scores, malignant = np.array([0.9, 0.6, 0.4, 0.1]), np.array([1, 0, 1, 0], dtype=bool)
    ones = np.ones((1, 4))
    assert net_benefit(scores, malignant, ones, 0.5)[0] == pytest.approx(1 / 4 - 1 / 4)
    assert net_benefit(scores, malignant, ones, 0.2)[0] == pytest.approx(2 / 4 - 1 / 4 * 0.25)
    points = {
        point["threshold"]: point for point in decision_curve(scores, malignant, ("a", "b", "c", "d"), Bootstrap(50))
    }
    assert points[0.2]["act_on_all"]["value"] == pytest.approx(2 / 4 - 2 / 4 * 0.25)
    assert points[0.95]["net_benefit"]["value"] == 0


def test_reliability_counts_and_shares() -> None:
    scores, malignant = np.array([0.05, 0.15, 0.15, 1.0]), np.array([0, 1, 0, 1], dtype=bool)
    rows = reliability(scores, malignant, ("a", "b", "c", "d"), Bootstrap(200))
    assert [(row["bin"], row["lesions"], row["share_malignant"]["value"]) for row in rows] == [
        ("0 – 0.1", 1, 0.0), ("0.1 – 0.2", 2, 0.5), ("0.9 – 1", 1, 1.0),
    ]  # fmt: skip
    assert rows[1]["share_malignant"]["ci95"] == [0, 1]
    assert expected_calibration_error(scores, malignant, np.ones((1, 4)))[0] == pytest.approx((0.05 + 0.7) / 4)
