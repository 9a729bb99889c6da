"""False positives on images without a lesion, beside those on images with one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from mammoscope.evaluation.metrics.detection import (
    DetectedImage,
    Ranking,
    froc_figures,
    froc_sensitivity,
    match,
)
from mammoscope.evaluation.metrics.end_to_end import MATCH_IOU
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, ratio
from mammoscope.geometry import FloatArray

DEFINITIONS = {
    "normals": "Images without a lesion, at the bundle's detection threshold. Those that show a lesion which the "
    "dataset does not list are not among them.",
    "with_lesion": "Images with a lesion, at the same threshold: a detection that takes no lesion (IoU >= 0.5) is "
    "false.",
    "unlisted": "Further images that show a lesion which the dataset does not list, or one of a kind that the "
    "bundle does not look for: no mark on them can be called false, so they are left out.",
    "froc_normals": "As froc, at thresholds with at most 0.25, 0.5, 1, 2 or 4 false positives an image on the images "
    "without a lesion.",
    "flagged": "Share of the images with at least one false positive.",
}


def normal_figures(
    images: Sequence[DetectedImage], normals: Collection[str], threshold: float, bootstrap: Bootstrap
) -> Json:
    """``normals`` and ``with_lesion`` of ``report.json``; empty if every image has a lesion.

    Parameters
    ----------
    images
        All images of the dataset.
    normals
        File names of those without a lesion.
    threshold
        Detection score from which a detection counts.
    """
    without = [image for image in images if image.image in normals]
    if not without:
        return {}
    return {
        "normals": _rates(without, threshold, bootstrap),
        "with_lesion": _rates([image for image in images if len(image.lesion_boxes)], threshold, bootstrap),
    }


def froc_on_normals(ranking: Ranking, bootstrap: Bootstrap) -> Json:
    """``froc_normals`` of ``report.json``; empty if every image has a lesion."""
    without = ranking.lesions == 0
    if not without.any():
        return {}
    figures = froc_figures(
        lambda iou, weights: froc_sensitivity(ranking, iou, weights, without), ranking.patients, bootstrap
    )
    return {"froc_normals": figures}


def _rates(images: Sequence[DetectedImage], threshold: float, bootstrap: Bootstrap) -> Json:
    false = np.array([_false_positives(image, threshold) for image in images], dtype=np.float64)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        count = weights.sum(axis=1)
        return {
            "false_positives_per_image": ratio(weights @ false, count),
            "flagged": ratio(weights @ (false > 0), count),
        }

    found = bootstrap.estimates(statistic, [image.patient for image in images])
    return {"images": len(images), **{name: figure.as_json() for name, figure in found.items()}}


def _false_positives(image: DetectedImage, threshold: float) -> int:
    kept = image.scores >= threshold
    return int((kept & (match(image.iou, MATCH_IOU) < 0)).sum())
