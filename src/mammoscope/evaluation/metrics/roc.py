"""Receiver operating characteristic of one score a case, for case weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.intervals import area_under_roc, ratio
from mammoscope.geometry import FloatArray

SPECIFICITY = 0.9  # from which the partial area is taken, and at which sensitivity is reported
_ROUNDING = 1e-9  # shares of whole cases are compared


def roc_auc(scores: FloatArray, positive: NDArray[np.bool_], weights: FloatArray) -> FloatArray:
    """Area under the ROC curve ``(D,)`` for case weights ``(D, N)``; NaN where a draw holds one class only."""
    if not len(scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) != 0)
    counts, labels = weights[:, order], positive[order]
    return area_under_roc(
        np.add.reduceat(counts * labels, starts, axis=1), np.add.reduceat(counts * ~labels, starts, axis=1)
    )


def roc_points(
    scores: FloatArray, positive: NDArray[np.bool_], weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The ROC curve for case weights ``(D, N)``.

    Returns
    -------
    thresholds
        ``(G,)`` distinct scores, highest first.
    false, true
        ``(D, G + 1)`` rates from (0, 0) to (1, 1); NaN where a draw holds one class only.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf) != 0)
    rates = []
    for label in (~positive[order], positive[order]):
        counts = np.cumsum(weights[:, order] * label, axis=1)[:, ends]
        counts = np.concatenate([np.zeros((len(weights), 1)), counts], axis=1)
        rates.append(ratio(counts, counts[:, -1:]))
    return scores[order][ends], rates[0], rates[1]


def partial_auc(
    scores: FloatArray, positive: NDArray[np.bool_], weights: FloatArray, specificity: float = SPECIFICITY
) -> FloatArray:
    """Area under the ROC curve down to a specificity, standardised to 0.5 for chance and 1 for perfect (McClish 1989).

    Between points the curve is straight. ``(D,)`` for case weights ``(D, N)``; NaN where a draw holds one class only.
    """
    _, false, true = roc_points(scores, positive, weights)
    widest = 1 - specificity
    left, right = false[:, :-1], false[:, 1:]
    start, end = np.minimum(left, widest), np.minimum(right, widest)
    slope = np.nan_to_num(ratio(true[:, 1:] - true[:, :-1], right - left))
    heights = (2 * true[:, :-1] + slope * (end - start)) / 2
    area = (heights * (end - start)).sum(axis=1)
    chance = widest**2 / 2
    partial = 0.5 * (1 + (area - chance) / (widest - chance))
    return np.where(_both(positive, weights), partial, np.nan)


def sensitivity_at_specificity(
    scores: FloatArray, positive: NDArray[np.bool_], weights: FloatArray, specificity: float = SPECIFICITY
) -> FloatArray:
    """The largest sensitivity of a threshold with at least this specificity, ``(D,)``; NaN as in ``partial_auc``."""
    _, false, true = roc_points(scores, positive, weights)
    allowed = np.where(false <= 1 - specificity + _ROUNDING, true, 0.0)
    return np.where(_both(positive, weights), allowed.max(axis=1), np.nan)


def roc_curve(scores: FloatArray, positive: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """False and true positive rates from (0, 0) to (1, 1), one point a distinct score; empty for one class."""
    if not positive.any() or positive.all():
        return np.zeros(0), np.zeros(0)
    _, false, true = roc_points(scores, positive, np.ones((1, len(scores))))
    return false[0], true[0]


def _both(positive: NDArray[np.bool_], weights: FloatArray) -> NDArray[np.bool_]:
    """Which draws ``(D,)`` hold both classes."""
    return np.asarray((weights @ positive > 0) & (weights @ ~positive > 0))
