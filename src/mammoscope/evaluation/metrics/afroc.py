"""Alternative free-response ROC (AFROC): lesions found against false positives on images without a lesion.

Source: Chakraborty and Winter 1990; weighted: Chakraborty and Zhai 2016, with the definitions of RJafroc.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.detection import FROC_IOUS, Ranking
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic
from mammoscope.evaluation.metrics.roc import roc_auc, roc_points
from mammoscope.geometry import FloatArray

UNMARKED = -1.0  # below every score: a lesion that is not found, an image without a false positive

DEFINITIONS = {
    "afroc": "Areas under AFROC curves: hits as in froc, at IoU 0.5 and at 0.2.",
    "wafroc": "Figure of merit of the weighted AFROC: the chance that a lesion's score is above the highest false "
    "positive of an image without a lesion, ties count half, as does a lesion not found against an image without a "
    "mark. All images with a lesion count alike, and the lesions of an image share its weight evenly.",
    "afroc_lesions": "The same with equal weights for all lesions (AFROC).",
    "wafroc1": "As wafroc, against the highest false positive of every image, with or without a lesion. For data "
    "without normals, where wafroc has no value.",
}
_REASONS = {
    "wafroc": "needs images with a lesion and images without one",
    "afroc_lesions": "needs images with a lesion and images without one",
    "wafroc1": "no image has a lesion",
}


@dataclass(frozen=True, eq=False)
class MarkedImages:
    """What was marked on I images with L lesions.

    Attributes
    ----------
    patients
        I patient ids.
    false
        ``(I,) float64``: the highest score of a mark that takes no lesion, or ``UNMARKED``.
    lesions
        ``(L,) float64``: the score of the mark that takes each lesion, or ``UNMARKED``.
    lesion_image
        ``(L,) int64``: the image of each lesion.
    """

    patients: tuple[str, ...]
    false: FloatArray
    lesions: FloatArray
    lesion_image: NDArray[np.int64]

    @property
    def lesion_counts(self) -> NDArray[np.int64]:
        """``(I,)`` lesions of each image."""
        return np.bincount(self.lesion_image, minlength=len(self.patients)).astype(np.int64)


def marked_images(ranking: Ranking, iou: float) -> MarkedImages:
    """What detections mark; a further detection of a lesion that is taken is a false positive."""
    hits = ranking.hits[iou]
    false = np.full(len(ranking.patients), UNMARKED)
    np.maximum.at(false, ranking.image[~hits], ranking.scores[~hits])
    missed = ranking.lesions - np.bincount(ranking.image[hits], minlength=len(ranking.lesions))
    images = np.concatenate([ranking.image[hits], np.repeat(np.arange(len(missed)), missed)])
    lesions = np.concatenate([ranking.scores[hits], np.full(int(missed.sum()), UNMARKED)])
    return MarkedImages(ranking.patients, false, lesions, images.astype(np.int64))


def afroc_area(
    of: MarkedImages, weights: FloatArray, *, shares: FloatArray | None = None, every_image: bool = False
) -> FloatArray:
    """Area under an AFROC curve, ``(D,)`` for image weights ``(D, I)``; NaN where a draw lacks either kind of image.

    Parameters
    ----------
    shares
        ``(L,)`` weight of each lesion, summing to 1 on each image, for the weighted AFROC; None: all lesions alike.
    every_image
        Take the highest false positive of every image, not only of those without a lesion (AFROC1).
    """
    against = np.ones(len(of.patients), dtype=bool) if every_image else of.lesion_counts == 0
    scores, positive, counts = _as_roc(of, weights, against, np.ones(len(of.lesions)) if shares is None else shares)
    return roc_auc(scores, positive, counts)


def even_shares(of: MarkedImages) -> FloatArray:
    """``(L,)``: the lesions of an image share its weight evenly."""
    return 1 / of.lesion_counts[of.lesion_image]


def wafroc_curve(of: MarkedImages) -> tuple[FloatArray, FloatArray]:
    """Share of images without a lesion that have a false positive, and share of lesions, weighted; from (0, 0).

    The last point is that of all marks; from there the curve goes straight to (1, 1). Empty without either kind.
    """
    normal = of.lesion_counts == 0
    if not normal.any() or normal.all():
        return np.zeros(0), np.zeros(0)
    scores, positive, counts = _as_roc(of, np.ones((1, len(of.patients))), normal, even_shares(of))
    thresholds, false, found = roc_points(scores, positive, counts)
    kept = np.concatenate([[True], thresholds > UNMARKED])
    return false[0][kept], found[0][kept]


def afroc_statistic(of: MarkedImages) -> Statistic:
    """The figures for image weights ``(D, I)``."""

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        shares = even_shares(of)
        return {
            "wafroc": afroc_area(of, weights, shares=shares),
            "afroc_lesions": afroc_area(of, weights),
            "wafroc1": afroc_area(of, weights, shares=shares, every_image=True),
        }

    return statistic


def afroc_figures(ranking: Ranking, bootstrap: Bootstrap) -> Json:
    """``afroc`` of ``report.json``, by IoU as ``froc``."""
    figures: Json = {}
    for iou in FROC_IOUS:
        found = bootstrap.estimates(afroc_statistic(marked_images(ranking, iou)), ranking.patients, _REASONS)
        figures[f"iou_{iou:g}"] = {name: figure.as_json() for name, figure in found.items()}
    return {"afroc": figures}


def _as_roc(
    of: MarkedImages, weights: FloatArray, against: NDArray[np.bool_], shares: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """False positives as negative cases and lesions as positive ones: the AFROC's area is then that of a ROC."""
    images = np.flatnonzero(against)
    scores = np.concatenate([of.false[images], of.lesions])
    positive = np.arange(len(scores)) >= len(images)
    return scores, positive, np.concatenate([weights[:, images], weights[:, of.lesion_image] * shares], axis=1)
