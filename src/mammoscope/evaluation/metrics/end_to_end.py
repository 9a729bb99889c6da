"""How well the whole pipeline finds and grades lesions, over detection thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.evaluation.metrics.detection_rows import box_row
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic, ratio
from mammoscope.evaluation.metrics.levels import ScoredImage
from mammoscope.geometry import FloatArray

MATCH_IOU = 0.5
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
RATES = ("detected", "class_correct", "correct", "false_positive_rate", "false_positives_per_image")

DEFINITIONS = {
    "images": "Number of mammograms.",
    "images_without_breast": "Mammograms on which no breast was found: nothing is found there.",
    "lesions": "Number of lesions with a box.",
    "malignancy_threshold": "Masses with this malignancy score or more are called malignant; fixed in the bundle.",
    "thresholds": "The same figures at detection thresholds 0.05, 0.10 … 0.95. If a step of the bundle grades "
    "candidates together, it is given all from 0.05, whatever the threshold.",
    "at_lesion_count": "The same figures at the detection score where the number found is nearest to the number of "
    "lesions (of two equally near, the higher score); its intervals hold this threshold fixed.",
    "at_one_false_positive": "The same figures at the lowest detection score down to which there is at most 1 false "
    "positive an image on average; its intervals hold this threshold fixed.",
    "operating_point": "The same figures at the detection threshold of the bundle.",
    "threshold": "Detections with this score or more count as found.",
    "found": "Number of detections.",
    "true_found": "Number of lesions found: detections choose, highest score first, the lesion of largest IoU still "
    "free, from IoU 0.5; each lesion once.",
    "detected": "true_found / lesions.",
    "class_correct": "Rightly classified as malignant or benign, from the detected box and the predicted mask, / "
    "true_found.",
    "correct": "Found and rightly classified / lesions.",
    "false_positive_rate": "1 - found and rightly classified / found.",
    "pathology_unknown": "Lesions whose pathology is not known, or of a kind that the bundle does not grade: they "
    "count in detected and true_found, and are left out of class_correct, correct and false_positive_rate.",
    "false_positives_per_image": "(found - true_found) / images.",
}

_REASONS = {
    "class_correct": "no lesion was found at this threshold",
    "false_positive_rate": "nothing was found at this threshold",
    "false_positives_per_image": "there is no image",
    "detected": "there is no lesion",
    "correct": "there is no lesion",
}
_NO_DETECTION = "the detector found nothing on any image"
_TOO_MANY = "already at the highest score there is more than 1 false positive an image"


@dataclass(frozen=True, eq=False)
class AnalysedImage:
    """One mammogram after all stages.

    Attributes
    ----------
    detected
        Lesions and detections, N of them.
    lesion
        ``(N,) int64``: which lesion of the image each detection takes at IoU 0.5, -1 for none.
    malignancy
        ``(N,) float64`` malignancy score of the detections that take a lesion, NaN for the others: no figure needs it.
    lesion_malignant
        ``(M,) bool``: malignant by pathology.
    lesion_graded
        ``(M,) bool``: whether the pathology is known, and the bundle grades lesions of that kind; no other lesion can
        be rightly or wrongly classified.
    score
        The highest detection_score x malignancy_score of all detections, matched or not.
    """

    detected: DetectedImage
    lesion: NDArray[np.int64]
    malignancy: FloatArray
    lesion_malignant: NDArray[np.bool_]
    lesion_graded: NDArray[np.bool_]
    score: float = 0.0

    @property
    def malignant(self) -> bool | None:
        """Whether it shows a malignant lesion; None: not known, as one of its lesions is of unknown pathology."""
        if self.lesion_malignant.any():
            return True
        return False if self.lesion_graded.all() else None

    def right(self, malignancy_threshold: float) -> NDArray[np.bool_]:
        """``(N,) bool``: matches a lesion and is classified as its pathology says."""
        right = np.zeros(len(self.lesion), dtype=bool)
        taken = self.lesion >= 0
        called = self.malignancy[taken] >= malignancy_threshold
        lesion = self.lesion[taken]
        right[taken] = (called == self.lesion_malignant[lesion]) & self.lesion_graded[lesion]
        return right

    def ungraded(self) -> NDArray[np.bool_]:
        """``(N,) bool``: takes a lesion whose pathology is not known."""
        ungraded = np.zeros(len(self.lesion), dtype=bool)
        taken = self.lesion >= 0
        ungraded[taken] = ~self.lesion_graded[self.lesion[taken]]
        return ungraded


@dataclass(frozen=True, eq=False)
class Counts:
    """Detections of I images at one threshold, ``(I,) int64`` each."""

    found: NDArray[np.int64]
    true_found: NDArray[np.int64]
    right: NDArray[np.int64]
    lesions: NDArray[np.int64]
    found_ungraded: NDArray[np.int64]
    graded: NDArray[np.int64]


def count(images: Sequence[AnalysedImage], threshold: float, malignancy_threshold: float) -> Counts:
    """Count what is found on each image at one detection threshold."""
    table = np.zeros((len(images), 6), dtype=np.int64)
    for row, image in enumerate(images):
        kept = image.detected.scores >= threshold
        right = image.right(malignancy_threshold)
        table[row] = (
            kept.sum(),
            (kept & (image.lesion >= 0)).sum(),
            (kept & right).sum(),
            len(image.lesion_malignant),
            (kept & image.ungraded()).sum(),
            image.lesion_graded.sum(),
        )
    return Counts(*table.T)


def threshold_at_lesion_count(images: Sequence[AnalysedImage]) -> float | None:
    """The detection score at which the number found is nearest to the number of lesions; None: either is 0."""
    scores = np.sort(np.concatenate([np.zeros(0), *(image.detected.scores for image in images)]))[::-1]
    lesions = sum(len(image.lesion_malignant) for image in images)
    if not len(scores) or not lesions:
        return None
    ends = np.flatnonzero(np.diff(scores, append=-np.inf) != 0)
    return float(scores[ends[np.argmin(np.abs(ends + 1 - lesions))]])


def threshold_at_one_false_positive(images: Sequence[AnalysedImage]) -> float | None:
    """The lowest detection score down to which there is at most 1 false positive an image; None if there is none."""
    scores = np.concatenate([np.zeros(0), *(image.detected.scores for image in images)])
    false = np.concatenate([np.zeros(0, dtype=bool), *(image.lesion < 0 for image in images)])
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf) != 0)
    allowed = ends[np.cumsum(false[order])[ends] <= len(images)]
    return float(scores[order][allowed[-1]]) if allowed.size else None


def point_figures(
    images: Sequence[AnalysedImage],
    threshold: float | None,
    malignancy_threshold: float,
    bootstrap: Bootstrap,
    reason: str = _TOO_MANY,
) -> Json:
    (
        """The figures at one detection threshold, by the keys of ``report.json``; None counts as above all scores.

    ``reason`` says why there is no threshold although something is found.
    """
        ""
    )
    counts = count(images, np.inf if threshold is None else threshold, malignancy_threshold)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        found, true_found, right = weights @ counts.found, weights @ counts.true_found, weights @ counts.right
        ungraded = weights @ counts.found_ungraded
        return {
            "detected": ratio(true_found, weights @ counts.lesions),
            "class_correct": ratio(right, true_found - ungraded),
            "correct": ratio(right, weights @ counts.graded),
            "false_positive_rate": 1 - ratio(right, found - ungraded),
            "false_positives_per_image": ratio(found - true_found, weights.sum(axis=1)),
        }

    figures = bootstrap.estimates(statistic, [image.detected.patient for image in images], _REASONS)
    point: Json = {
        "threshold": threshold,
        "found": int(counts.found.sum()),
        "true_found": int(counts.true_found.sum()),
        **{name: figures[name].as_json() for name in RATES},
    }
    if threshold is not None:
        return point
    return point | {"reason": reason if any(len(image.lesion) for image in images) else _NO_DETECTION}


def pipeline_figures(
    images: Sequence[AnalysedImage], detection_threshold: float, malignancy_threshold: float, bootstrap: Bootstrap
) -> Json:
    """All figures of the pipeline, by the keys of ``report.json``."""

    def point(threshold: float | None, reason: str = _TOO_MANY) -> Json:
        return point_figures(images, threshold, malignancy_threshold, bootstrap, reason)

    ungraded = sum(int((~image.lesion_graded).sum()) for image in images)
    unknown = {"pathology_unknown": ungraded} if ungraded else {}
    return {
        "images": len(images),
        "images_without_breast": sum(not image.detected.breast_found for image in images),
        "lesions": sum(len(image.lesion_malignant) for image in images),
        **unknown,
        "malignancy_threshold": malignancy_threshold,
        "thresholds": [point(threshold) for threshold in THRESHOLDS],
        "at_lesion_count": point(threshold_at_lesion_count(images), _REASONS["detected"]),
        "at_one_false_positive": point(threshold_at_one_false_positive(images)),
        "operating_point": point(detection_threshold),
    }


def lesion_statistic(images: Sequence[AnalysedImage], threshold: float, malignancy_threshold: float) -> Statistic:
    """``detected`` and ``correct`` for lesion weights ``(D, M)``, lesions image by image."""
    detected, correct = [np.zeros(0)], [np.zeros(0)]
    for image in images:
        kept = (image.lesion >= 0) & (image.detected.scores >= threshold)
        for gathered, which in ((detected, kept), (correct, kept & image.right(malignancy_threshold))):
            hit = np.zeros(len(image.lesion_malignant))
            hit[image.lesion[which]] = 1
            gathered.append(hit)
    found, right = np.concatenate(detected), np.concatenate(correct)
    graded = np.concatenate([np.zeros(0), *(image.lesion_graded for image in images)])

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "detected": ratio(weights @ found, weights.sum(axis=1)),
            "correct": ratio(weights @ right, weights @ graded),
        }

    return statistic


def pipeline_rows(images: Sequence[AnalysedImage], malignancy_threshold: float) -> list[Json]:
    """One row a detection and one a lesion that no detection takes; boxes in pixels of the original image.

    Only detections that take a lesion have a malignancy score; ``right`` says whether it agrees with the pathology.
    """
    rows: list[Json] = []
    for image in images:
        detected = image.detected
        iou = detected.iou
        right = image.right(malignancy_threshold)
        for row, lesion in enumerate(image.lesion.tolist()):
            taken = lesion >= 0
            rows.append(
                box_row(detected, "detection", detected.boxes[row], iou[row])
                | {
                    "detection_score": float(detected.scores[row]),
                    "lesion": lesion + 1 if taken else "",
                    "malignant": _pathology(image, lesion) if taken else "",
                    "malignancy_score": "" if np.isnan(image.malignancy[row]) else float(image.malignancy[row]),
                    "right": int(right[row]) if taken and image.lesion_graded[lesion] else "",
                }
            )
        rows += [
            box_row(detected, "missed_lesion", detected.lesion_boxes[lesion], iou[:, lesion])
            | {"detection_score": "", "lesion": lesion + 1, "malignant": _pathology(image, lesion)}
            | {"malignancy_score": "", "right": ""}
            for lesion in sorted(set(range(len(detected.lesion_boxes))) - set(image.lesion.tolist()))
        ]
    return rows


def scored_by_malignancy(images: Sequence[AnalysedImage]) -> list[ScoredImage]:
    """The score of each image, positive with a malignant lesion."""
    return [
        ScoredImage(image.detected.patient, image.detected.breast, image.malignant, image.score) for image in images
    ]


def image_rows(images: Sequence[AnalysedImage]) -> list[Json]:
    """One row an image, for the figures of images, breasts and patients."""
    return [
        {
            "image": image.detected.image,
            "patient": image.detected.patient,
            "breast": image.detected.breast,
            "kind": "image",
            "malignant": "" if image.malignant is None else int(image.malignant),
            "image_score": image.score,
        }
        for image in images
    ]


def _pathology(image: AnalysedImage, lesion: int) -> int | str:
    """1 malignant, 0 benign, empty where it is not known."""
    return int(image.lesion_malignant[lesion]) if image.lesion_graded[lesion] else ""
