"""Logistic regression with few columns, for what steps fit to validation patients."""

from __future__ import annotations

import numpy as np

from mammoscope.geometry import FloatArray
from mammoscope.stages.onnx import sigmoid


def fit_logistic(
    columns: FloatArray,
    target: FloatArray,
    start: FloatArray,
    *,
    case_weights: FloatArray | None = None,
    penalty: float = 0.0,
) -> FloatArray:
    """The weights ``(K,)`` of ``sigmoid(columns @ weights)`` with the least cross-entropy, by Newton's method.

    Parameters
    ----------
    columns
        ``(N, K)``; a column of ones gives an intercept.
    target
        ``(N,)`` probabilities in [0, 1]; 0 and 1 where classes are known for certain.
    start
        ``(K,)``.
    case_weights
        ``(N,)``; None: all alike.
    penalty
        Of the squares of all weights; above 0 the fit is finite also where columns separate the classes.
    """
    each = np.ones(len(target)) if case_weights is None else case_weights
    weights = start.astype(np.float64)

    def loss(of: FloatArray) -> float:
        logits = columns @ of
        return float(each @ (np.logaddexp(0, logits) - target * logits) + penalty / 2 * of @ of)

    for _ in range(100):
        probability = sigmoid(columns @ weights)
        gradient = columns.T @ (each * (probability - target)) + penalty * weights
        curvature = (columns * (each * probability * (1 - probability))[:, None]).T @ columns
        step = np.linalg.solve(curvature + (penalty + 1e-9) * np.eye(len(weights)), gradient)
        # Far from the optimum Newton overshoots; halve until the loss falls.
        before, share = loss(weights), 1.0
        while loss(weights - share * step) > before + 1e-12 and share > 1e-6:
            share /= 2
        weights = weights - share * step
        if np.abs(share * step).max() < 1e-9:
            break
    return np.asarray(weights)
