"""How well masses are outlined on crops with a true mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic, area_under_roc, ratio
from mammoscope.geometry import FloatArray
from mammoscope.stages.roi import ROI_SIZE

PROBABILITY_BINS = 256
BOUNDARY_TOLERANCE = 2  # pixels of a crop of ROI_SIZE

DEFINITIONS = {
    "lesions": "Number of lesions with a crop and a mask.",
    "threshold": "Pixels with this probability or more are predicted as mass; fixed in the bundle.",
    "iou_mean": "Intersection over union of predicted and true mask, mean over lesions.",
    "dice_mean": "Dice coefficient of predicted and true mask, mean over lesions.",
    "iou_pooled": "Intersection over union of the mass with the pixels of all lesions pooled.",
    "miou": "Mean of two pooled intersections over union: that of the mass and that of the background.",
    "pixel_auc": f"Area under the ROC curve of the pixel probabilities, pixels of all lesions pooled, from histograms "
    f"of {PROBABILITY_BINS} equal bins (pixels of one bin count as tied).",
    "precision": "Share of the predicted mass pixels that are mass, pixels of all lesions pooled.",
    "recall": "Share of the true mass pixels that are predicted, pixels of all lesions pooled.",
    "boundary_f1": f"F1 of the boundary: precision is the share of predicted boundary pixels within "
    f"{BOUNDARY_TOLERANCE} px (of a crop of {ROI_SIZE} px) of the true boundary, recall the reverse; mean "
    "over lesions.",
}
_BASELINE = "iou_pooled of the average mask, thresholded at 0.5 and predicted over the whole frame; the average is of "
BASELINE_OF_TRAINING = _BASELINE + "the training masks, from the bundle."
BASELINE_OF_DATASET = _BASELINE + "this dataset's own masks, as the bundle holds none of its training masks."

_REASONS = {
    "pixel_auc": "the pixels hold one class only",
    "precision": "no pixel was predicted as mass",
    "recall": "no pixel is mass",
    "iou_pooled": "no pixel is mass, true or predicted",
    "miou": "the pixels hold one class only",
    "baseline_iou_pooled": "no pixel is mass, true or in the average mask",
}
_NO_LESION = "no lesion has both a crop and a mask"


@dataclass(frozen=True, eq=False)
class SegmentedLesion:
    """What was measured on one crop.

    Attributes
    ----------
    image, patient, abnormality_id, crop
        Which lesion.
    pixels
        Pixels of the crop.
    true, predicted, common
        Pixels of the true mask, of the predicted mask, and of both at once.
    baseline, baseline_common
        Pixels of the average mask, and of it and the true mask at once.
    threshold
        Pixels with this probability or more were predicted as mass.
    boundary_f1
        F1 of the boundary, in [0, 1].
    mass_histogram, background_histogram
        ``(256,) int64``: predicted probabilities of the pixels inside and outside the true mask, in equal bins.
    """

    image: str
    patient: str
    abnormality_id: str
    crop: str
    pixels: int
    true: int
    predicted: int
    common: int
    baseline: int
    baseline_common: int
    threshold: float
    boundary_f1: float
    mass_histogram: NDArray[np.int64]
    background_histogram: NDArray[np.int64]

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where both masks are empty."""
        union = self.true + self.predicted - self.common
        return self.common / union if union else 1.0

    @property
    def dice(self) -> float:
        """Dice coefficient; 1 where both masks are empty."""
        total = self.true + self.predicted
        return 2 * self.common / total if total else 1.0


def boundary_f1(predicted: NDArray[np.bool_], true: NDArray[np.bool_], tolerance: float = BOUNDARY_TOLERANCE) -> float:
    """F1 of the boundaries of two masks ``(H, W)``; 1 where both are empty, 0 where one is.

    The boundary are the pixels of a mass that touch its outside by a side, the frame's outside included.
    Source: Csurka et al. 2013.
    """
    edge_p, edge_t = _boundary(predicted), _boundary(true)
    if not edge_p.any() or not edge_t.any():
        return float(edge_p.any() == edge_t.any())
    precision = float((_distance_to(edge_t)[edge_p] <= tolerance).mean())
    recall = float((_distance_to(edge_p)[edge_t] <= tolerance).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def probability_histogram(probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """Counts ``(256,) int64`` of probabilities in equal bins of [0, 1]."""
    bins = np.clip(np.floor(probabilities * PROBABILITY_BINS), 0, PROBABILITY_BINS - 1).astype(np.int64)
    return np.bincount(bins.ravel(), minlength=PROBABILITY_BINS)


def segmentation_figures(lesions: Sequence[SegmentedLesion], bootstrap: Bootstrap) -> Json:
    """All figures of the segmenter stage, by the keys of ``report.json``."""
    statistic = segmentation_statistic(lesions)
    patients = [lesion.patient for lesion in lesions]
    reasons = _REASONS if lesions else dict.fromkeys(statistic(np.ones((1, 0))), _NO_LESION)
    found = bootstrap.estimates(statistic, patients, reasons)
    return {
        "lesions": len(lesions),
        "threshold": lesions[0].threshold if lesions else None,
        **{name: figure.as_json() for name, figure in found.items()},
    }


def segmentation_statistic(lesions: Sequence[SegmentedLesion]) -> Statistic:
    """All figures of lesions on their crops, for lesion weights ``(D, N)``."""
    true, predicted, common, baseline, baseline_common, pixels = (
        np.array([getattr(lesion, name) for lesion in lesions], dtype=np.float64)
        for name in ("true", "predicted", "common", "baseline", "baseline_common", "pixels")
    )
    iou, dice, boundary = (
        np.array([getattr(lesion, name) for lesion in lesions], dtype=np.float64)
        for name in ("iou", "dice", "boundary_f1")
    )
    empty = np.zeros((0, PROBABILITY_BINS))
    mass = np.stack([lesion.mass_histogram for lesion in lesions]) if lesions else empty
    background = np.stack([lesion.background_histogram for lesion in lesions]) if lesions else empty

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        count = weights.sum(axis=1)
        union = weights @ (true + predicted - common)
        iou_pooled = ratio(weights @ common, union)
        background_iou = ratio(weights @ pixels - union, weights @ (pixels - common))
        return {
            "iou_mean": ratio(weights @ iou, count),
            "dice_mean": ratio(weights @ dice, count),
            "iou_pooled": iou_pooled,
            "miou": (iou_pooled + background_iou) / 2,
            "pixel_auc": area_under_roc(weights @ mass, weights @ background),
            "precision": ratio(weights @ common, weights @ predicted),
            "recall": ratio(weights @ common, weights @ true),
            "boundary_f1": ratio(weights @ boundary, count),
            "baseline_iou_pooled": ratio(weights @ baseline_common, weights @ (true + baseline - baseline_common)),
        }

    return statistic


def lesion_statistic(lesions: Sequence[SegmentedLesion]) -> Statistic:
    """Mean and pooled IoU and mean Dice for lesion weights ``(D, N)``."""
    iou, dice, common, union = (
        np.array(values, dtype=np.float64)
        for values in (
            [lesion.iou for lesion in lesions],
            [lesion.dice for lesion in lesions],
            [lesion.common for lesion in lesions],
            [lesion.true + lesion.predicted - lesion.common for lesion in lesions],
        )
    )

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        count = weights.sum(axis=1)
        return {
            "iou_pooled": ratio(weights @ common, weights @ union),
            "iou_mean": ratio(weights @ iou, count),
            "dice_mean": ratio(weights @ dice, count),
        }

    return statistic


def segmentation_rows(lesions: Sequence[SegmentedLesion]) -> list[Json]:
    """One row a lesion; the histograms are 256 counts from low to high probability, parted by spaces."""
    return [
        {
            "set": "crops",
            "image": lesion.image,
            "patient": lesion.patient,
            "abnormality_id": lesion.abnormality_id,
            "crop": lesion.crop,
            "iou": lesion.iou,
            "dice": lesion.dice,
            "boundary_f1": lesion.boundary_f1,
            "pixels": lesion.pixels,
            "true": lesion.true,
            "predicted": lesion.predicted,
            "common": lesion.common,
            "baseline": lesion.baseline,
            "baseline_common": lesion.baseline_common,
            "mass_histogram": " ".join(map(str, lesion.mass_histogram)),
            "background_histogram": " ".join(map(str, lesion.background_histogram)),
        }
        for lesion in lesions
    ]


def measure(
    *,
    probabilities: NDArray[np.floating],
    threshold: float,
    true: NDArray[np.bool_],
    baseline: NDArray[np.bool_],
    image: str,
    patient: str,
    abnormality_id: str,
    crop: str,
) -> SegmentedLesion:
    """Measure one crop: predicted probabilities, true mask and average mask, ``(S, S)`` each."""
    predicted = probabilities >= threshold
    return SegmentedLesion(
        image=image,
        patient=patient,
        abnormality_id=abnormality_id,
        crop=crop,
        pixels=true.size,
        true=int(true.sum()),
        predicted=int(predicted.sum()),
        common=int((true & predicted).sum()),
        baseline=int(baseline.sum()),
        baseline_common=int((baseline & true).sum()),
        threshold=threshold,
        boundary_f1=boundary_f1(predicted, true),
        mass_histogram=probability_histogram(probabilities[true]),
        background_histogram=probability_histogram(probabilities[~true]),
    )


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask.astype(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask & (inner == 0))


def _distance_to(edge: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of every pixel to the nearest pixel of ``edge``, in pixels."""
    distance = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, dtype=np.float32)
