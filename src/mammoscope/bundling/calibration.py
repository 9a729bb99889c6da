"""Fit thresholds and calibration, on validation patients only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import RecipeError
from mammoscope.evaluation.metrics.detection import COCO_IOUS, DetectedImage, average_precision, rank
from mammoscope.geometry import scale_boxes
from mammoscope.stages.logistic import fit_logistic
from mammoscope.stages.onnx import sigmoid
from mammoscope.stages.rescore import joined_scores

_FEW = 20  # cases of a class, with which a slope's sign may be chance


@dataclass(frozen=True)
class Calibration:
    """``sigmoid(slope * logit + intercept)`` is the probability."""

    slope: float
    intercept: float


def fit_platt(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> Calibration:
    """Platt scaling (Platt 1999, with his softened targets), by Newton's method.

    Parameters
    ----------
    logits, labels
        ``(N,)``; True is malignant. Both classes must be present.

    Returns
    -------
    Calibration
        With few cases of a class a slope of 0 or below says nothing: logits are then used unchanged.

    Raises
    ------
    RecipeError
        The slope is not above 0 though there are many: higher logits do not mean malignant.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        raise ValueError(f"calibration needs both classes, got {positives} malignant and {negatives} benign")
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = np.stack([logits, np.ones_like(logits)], axis=1)
    weights = fit_logistic(columns, target, np.array([1.0, np.log((positives + 1) / (negatives + 1))]))
    if weights[0] <= 0 and min(positives, negatives) < _FEW:
        return Calibration(slope=1.0, intercept=0.0)
    if weights[0] <= 0:
        raise RecipeError(
            f"the calibration's slope would be {weights[0]:.3g}: on the validation patients higher outputs of the "
            "classifier do not mean malignant"
        )
    return Calibration(slope=round(float(weights[0]), 6), intercept=round(float(weights[1]), 6))


def best_mask_threshold(
    probabilities: NDArray[np.float32], masks: NDArray[np.bool_], candidates: NDArray[np.float64] | None = None
) -> float:
    """The probability at which the IoU pooled over all pixels of ``(N, S, S)`` is largest."""
    candidates = np.arange(0.30, 0.701, 0.02) if candidates is None else candidates
    ious = [_pooled_iou(probabilities >= candidate, masks) for candidate in candidates]
    return round(float(candidates[int(np.argmax(ious))]), 4)


def best_enlarged_shift(
    probabilities: NDArray[np.float32], masks: NDArray[np.bool_], shares: NDArray[np.float64], threshold: float
) -> float:
    """What to add to the logits of enlarged ROIs, so that the IoU pooled over all pixels of ``(N, S, S)`` is largest.

    ``shares (N,)`` of it are added to each, see ``mammoscope.stages.segment.enlargement``; 0 if none is enlarged.
    """
    if not shares.any():
        return 0.0
    edge = np.log(threshold / (1 - threshold))
    candidates = np.arange(-1.0, 4.01, 0.1)
    ious = [_pooled_iou(probabilities >= sigmoid(edge - shift * shares)[:, None, None], masks) for shift in candidates]
    return round(float(candidates[int(np.argmax(ious))]), 4)


def best_box_scale(found: Sequence[DetectedImage]) -> float:
    """By how much to lengthen the sides of a detector's boxes about their middles, for the highest AP (IoU 0.50:0.95).

    Of equally good scales the one nearest to 1.
    """
    candidates = sorted((1 + 0.02 * step for step in range(-5, 6)), key=lambda scale: abs(scale - 1))
    once = np.ones((1, len(found)))
    values = []
    for scale in candidates:
        scaled = [replace(image, boxes=scale_boxes(image.boxes, scale)) for image in found]
        values.append(float(average_precision(rank(scaled), once).mean()))
    return round(candidates[int(np.argmax(values))], 4)


def best_rescorer_weight(found: Sequence[DetectedImage], logits: Sequence[NDArray[np.float64]]) -> float:
    """The weight of a rescorer's logits, ``(N,)`` for each image, beside the detector's scores, for the highest AP50.

    Of equally good weights the lowest. AP50, not AP: a rescorer does not move boxes, and a hit of the whole chain is
    one of IoU 0.5 or more.
    """
    candidates = np.arange(0.0, 1.001, 0.05)
    once = np.ones((1, len(found)))
    values = []
    for weight in candidates:
        joined = []
        for image, second in zip(found, logits, strict=True):
            scores = joined_scores(image.scores, second, float(weight))
            order = np.argsort(-scores, kind="stable")
            joined.append(replace(image, boxes=image.boxes[order], scores=scores[order]))
        values.append(float(average_precision(rank(joined), once)[0, COCO_IOUS.index(0.5)]))
    return round(float(candidates[int(np.argmax(values))]), 4)


def _pooled_iou(found: NDArray[np.bool_], masks: NDArray[np.bool_]) -> float:
    return float((found & masks).sum() / max(1, (found | masks).sum()))
