"""How far a probability can be taken at its word: slope and intercept, reliability, net benefit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, ratio
from mammoscope.geometry import FloatArray
from mammoscope.stages.onnx import sigmoid

BINS = 10
DECISIONS = tuple(step / 20 for step in range(1, 20))
_STEPS = 40

DEFINITIONS = {
    "calibration_slope": "Slope of the logistic regression of the truth on the logit of the score: 1 is right, below 1 "
    "scores are too extreme, above 1 too timid (Van Calster et al. 2016).",
    "calibration_intercept": "Intercept of the same with the slope held at 1 (calibration in the large): 0 is right, "
    "below 0 scores are too high on average.",
    "reliability": "Mean score and share of malignant lesions in ten bins of the score; bins without a lesion are left "
    "out.",
    "bin": "Range of the score, of which the upper end belongs to the next bin.",
    "mean_score": "Mean malignancy score of the bin's lesions.",
    "share_malignant": "Share of the bin's lesions that are malignant.",
    "decision_curve": "Net benefit of acting on lesions with this score or more (Vickers and Elkin 2006), at the share "
    "of malignant lesions in these data.",
    "net_benefit": "Share of all lesions that are malignant and acted on, minus the share that are benign and acted on "
    "x threshold / (1 - threshold).",
    "act_on_all": "Net benefit of acting on every lesion; that of acting on none is 0.",
}


def calibration_slope(logits: FloatArray, positive: NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    """Slope of a logistic regression by Newton's method, ``(D,)`` for case weights ``(D, N)``.

    NaN where a draw holds one class, or where a threshold parts the classes, so that the slope has no end.
    """
    mixed = _mixed(logits, positive, weights)
    slope, intercept = np.zeros(len(weights)), np.zeros(len(weights))
    for _ in range(_STEPS):
        chance = sigmoid(slope[:, None] * logits + intercept[:, None])
        miss, spread = weights * (positive - chance), weights * chance * (1 - chance)
        gradient = miss @ logits, miss.sum(axis=1)
        xx, x1, ones = spread @ logits**2, spread @ logits, spread.sum(axis=1)
        determinant = np.maximum(xx * ones - x1**2, 1e-12)
        moves = (
            (ones * gradient[0] - x1 * gradient[1]) / determinant,
            (xx * gradient[1] - x1 * gradient[0]) / determinant,
        )
        # Far from the optimum Newton overshoots.
        slope, intercept = slope + np.clip(moves[0], -2, 2), intercept + np.clip(moves[1], -4, 4)
        if max(np.abs(moves[0][mixed]).max(initial=0), np.abs(moves[1][mixed]).max(initial=0)) < 1e-9:
            break
    return np.where(mixed, slope, np.nan)


def calibration_intercept(logits: FloatArray, positive: NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    """What is to be added to all logits so that as many are positive as they say, ``(D,)``; NaN for one class."""
    both = (weights @ positive > 0) & (weights @ ~positive > 0)
    intercept = np.zeros(len(weights))
    for _ in range(_STEPS):
        chance = sigmoid(logits + intercept[:, None])
        missing = (weights * (positive - chance)).sum(axis=1)
        move = np.clip(missing / np.maximum((weights * chance * (1 - chance)).sum(axis=1), 1e-12), -2, 2)
        intercept = intercept + move
        if np.abs(move[both]).max(initial=0) < 1e-9:
            break
    return np.where(both, intercept, np.nan)


def net_benefit(scores: FloatArray, positive: NDArray[np.bool_], weights: FloatArray, threshold: float) -> FloatArray:
    """Net benefit ``(D,)`` of acting on cases from a threshold probability on (Vickers and Elkin 2006)."""
    acted = scores >= threshold
    gained, lost = weights @ (acted & positive), weights @ (acted & ~positive)
    return ratio(gained - lost * threshold / (1 - threshold), weights.sum(axis=1))


def decision_curve(
    scores: FloatArray, positive: NDArray[np.bool_], patients: tuple[str, ...], bootstrap: Bootstrap
) -> list[Json]:
    """``decision_curve`` of ``report.json``, at thresholds 0.05, 0.10 … 0.95."""

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        figures = {}
        for threshold in DECISIONS:
            figures[f"net_benefit {threshold}"] = net_benefit(scores, positive, weights, threshold)
            figures[f"act_on_all {threshold}"] = net_benefit(np.ones(len(scores)), positive, weights, threshold)
        return figures

    found = bootstrap.estimates(statistic, patients)
    return [
        {"threshold": threshold}
        | {name: found[f"{name} {threshold}"].as_json() for name in ("net_benefit", "act_on_all")}
        for threshold in DECISIONS
    ]


def bins_of(scores: FloatArray) -> NDArray[np.int64]:
    """Bin ``(N,)`` of each score: bin b holds [b/10, (b+1)/10), the last one 1 too."""
    edges = np.arange(1, BINS) / BINS
    return np.searchsorted(edges, scores, side="right").astype(np.int64)


def reliability(
    scores: FloatArray, positive: NDArray[np.bool_], patients: tuple[str, ...], bootstrap: Bootstrap
) -> list[Json]:
    """``reliability`` of ``report.json``: one object a bin with a lesion."""
    inside = bins_of(scores)[:, None] == np.arange(BINS)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        shares = ratio(weights @ (inside & positive[:, None]), weights @ inside)
        return {str(number): shares[:, number] for number in range(BINS)}

    found = bootstrap.estimates(statistic, patients)
    return [
        {
            "bin": f"{number / BINS:g} – {(number + 1) / BINS:g}",
            "lesions": int(inside[:, number].sum()),
            "mean_score": float(scores[inside[:, number]].mean()),
            "share_malignant": found[str(number)].as_json(),
        }
        for number in range(BINS)
        if inside[:, number].any()
    ]


def expected_calibration_error(scores: FloatArray, positive: NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    """Expected calibration error ``(D,)`` for case weights ``(D, N)`` (Naeini et al. 2015)."""
    in_bin = bins_of(scores)[:, None] == np.arange(BINS)
    gaps = np.abs(weights @ (in_bin * (scores - positive)[:, None]))
    return ratio(gaps.sum(axis=1), weights.sum(axis=1))


def _mixed(logits: FloatArray, positive: NDArray[np.bool_], weights: FloatArray) -> NDArray[np.bool_]:
    """Which draws ``(D,)`` hold both classes, and no threshold parts them."""
    drawn = weights > 0
    lowest = [np.where(drawn & of, logits, np.inf).min(axis=1, initial=np.inf) for of in (positive, ~positive)]
    highest = [np.where(drawn & of, logits, -np.inf).max(axis=1, initial=-np.inf) for of in (positive, ~positive)]
    return np.asarray((highest[0] > lowest[1]) & (highest[1] > lowest[0]))
