"""Tests of a difference between two networks on the same cases: DeLong's for ROC areas, permutations for AFROC."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.afroc import UNMARKED, MarkedImages, afroc_area, even_shares
from mammoscope.geometry import FloatArray

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class AucDifference:
    """The areas of two scores, their difference (second minus first) with a 95% interval, and p of its being 0."""

    first: float
    second: float
    difference: float
    standard_error: float
    p: float

    @property
    def ci95(self) -> tuple[float, float]:
        """By the normal distribution."""
        return self.difference - _Z95 * self.standard_error, self.difference + _Z95 * self.standard_error


def delong(
    first: FloatArray, second: FloatArray, positive: NDArray[np.bool_], patients: NDArray[np.str_]
) -> AucDifference:
    """Compare the ROC areas of two scores of the same cases (DeLong et al. 1988).

    Cases of one patient are not independent: their variance is that of Obuchowski 1997, which with one case a patient
    is DeLong's.

    Parameters
    ----------
    first, second
        ``(N,)`` scores.
    positive, patients
        ``(N,)`` truth, and patient of each.

    Raises
    ------
    ValueError
        There are fewer than two patients with positive or with negative cases.
    """
    names, patient = np.unique(patients, return_inverse=True)
    with_positive, with_negative = (len(np.unique(patient[of])) for of in (positive, ~positive))
    if min(with_positive, with_negative) < 2:
        raise ValueError(
            f"{with_positive} patients with positive and {with_negative} with negative cases, needs 2 each"
        )
    placed = [_placements(scores, positive) for scores in (first, second)]
    areas = [float(of_positive.mean()) for of_positive, _ in placed]
    count, other = int(positive.sum()), int((~positive).sum())
    sums = np.stack(
        [
            np.stack(
                [
                    np.bincount(patient[positive], of_positive - area, len(names)) / count,
                    np.bincount(patient[~positive], of_negative - area, len(names)) / other,
                ]
            )
            for (of_positive, of_negative), area in zip(placed, areas, strict=True)
        ]
    )  # (score, class, patient)
    of_difference = sums[1] - sums[0]
    variance = (
        with_positive / (with_positive - 1) * (of_difference[0] ** 2).sum()
        + with_negative / (with_negative - 1) * (of_difference[1] ** 2).sum()
        + 2 * len(names) / (len(names) - 1) * (of_difference[0] * of_difference[1]).sum()
    )
    error = sqrt(max(0.0, float(variance)))
    difference = areas[1] - areas[0]
    p = 2 * (1 - _normal(abs(difference) / error)) if error else float(difference == 0)
    return AucDifference(areas[0], areas[1], difference, error, p)


def permuted_afroc_p(first: MarkedImages, second: MarkedImages, *, draws: int, seed: int, every_image: bool) -> float:
    """P-value of two networks' weighted AFROC areas being alike, on the same images in the same order.

    In each draw the marks of two networks are swapped on a random half of the patients. Scores are replaced by their
    ranks before, as the scales of two networks differ (Venkatraman and Begg 1996). Two-sided, and never 0.

    Parameters
    ----------
    every_image
        Of AFROC1, against the false positives of all images, for data without normals.
    """
    ranked = [_ranked(of) for of in (first, second)]
    both = _joined(*ranked)
    count = len(first.patients)
    names, patient = np.unique(np.asarray(first.patients), return_inverse=True)
    swapped = np.random.default_rng(seed).integers(0, 2, (draws, len(names)))[:, patient].astype(np.float64)
    shares = even_shares(both)

    def area(weights: FloatArray) -> FloatArray:
        return afroc_area(both, weights, shares=shares, every_image=every_image)

    kept = np.concatenate([1 - swapped, swapped], axis=1)
    drawn = area(kept[:, np.r_[count : 2 * count, :count]]) - area(kept)
    own = np.concatenate([np.ones((1, count)), np.zeros((1, count))], axis=1)
    seen = float((area(1 - own) - area(own))[0])
    return float((1 + (np.abs(drawn) >= abs(seen) - 1e-12).sum()) / (draws + 1))


def _placements(scores: FloatArray, positive: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """For each positive case the share of negatives below it, for each negative that of positives above it."""
    high, low = scores[positive], scores[~positive]
    below, above = np.sort(low), np.sort(high)
    of_positive = (np.searchsorted(below, high, "left") + np.searchsorted(below, high, "right")) / (2 * len(low))
    of_negative = 1 - (np.searchsorted(above, low, "left") + np.searchsorted(above, low, "right")) / (2 * len(high))
    return np.asarray(of_positive), np.asarray(of_negative)


def _ranked(of: MarkedImages) -> MarkedImages:
    """With each score replaced by the share of all marks that are not above it."""
    marks = np.sort(np.concatenate([scores[scores > UNMARKED] for scores in (of.false, of.lesions)]))

    def rank(scores: FloatArray) -> FloatArray:
        places = np.searchsorted(marks, scores, "right") / max(1, len(marks))
        return np.where(scores > UNMARKED, places, UNMARKED)

    return MarkedImages(of.patients, rank(of.false), rank(of.lesions), of.lesion_image)


def _joined(first: MarkedImages, second: MarkedImages) -> MarkedImages:
    """The images of both, one after the other."""
    return MarkedImages(
        (*first.patients, *second.patients),
        np.concatenate([first.false, second.false]),
        np.concatenate([first.lesions, second.lesions]),
        np.concatenate([first.lesion_image, second.lesion_image + len(first.patients)]),
    )


def _normal(z: float) -> float:
    """Distribution function of the standard normal."""
    return 0.5 * (1 + erf(z / sqrt(2)))
