"""How well lesions are found: average precision as COCO defines it, and FROC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.intervals import Bootstrap, Estimate, Json, Statistic, ratio
from mammoscope.evaluation.metrics.levels import ScoredImage
from mammoscope.geometry import FloatArray, box_iou

COCO_IOUS = tuple(float(iou) for iou in np.linspace(0.5, 0.95, 10))
MATCH_IOUS = (0.2, *COCO_IOUS)
FROC_IOUS = (0.5, 0.2)
FROC_RATES = (0.25, 0.5, 1, 2, 4)
MAX_DETECTIONS = 100
_RECALLS = np.linspace(0.0, 1.0, 101)
_CHUNK_ELEMENTS = 4_000_000

DEFINITIONS = {
    "images": "Number of mammograms.",
    "images_without_breast": "Mammograms on which no breast was found: no detections there, their lesions are missed.",
    "lesions": "Number of lesions with a box.",
    "detections": "Number of detections, down to the detector's own floor.",
    "ap": "COCO average precision: the mean over IoU thresholds 0.50, 0.55 … 0.95 of precision, interpolated at 101 "
    "recalls; at most 100 detections an image, each lesion found once, all sizes.",
    "ap50": "COCO average precision at IoU 0.50.",
    "ap75": "COCO average precision at IoU 0.75.",
    "ar100": "COCO average recall: the share of lesions found with at most 100 detections an image, mean over IoU "
    "thresholds 0.50, 0.55 … 0.95.",
    "froc": "Free-response ROC: the largest share of lesions hit at a detection threshold with at most 0.25, 0.5, 1, 2 "
    "or 4 false positives an image on average; a hit has IoU >= 0.5 (iou_0.5) or >= 0.2 (iou_0.2) with a lesion, "
    "one hit a lesion, of its kind, and any further detection of it is a false positive.",
    "sensitivity_iou_0.5": "Share of the lesions that are hit (IoU >= 0.5) at the score that gives 1 false positive an "
    "image on all images together; the score is held fixed.",
    "sensitivity_iou_0.2": "The same with hits of IoU >= 0.2.",
}


@dataclass(frozen=True, eq=False)
class DetectedImage:
    """The lesions of a mammogram and what the detector found on it.

    Attributes
    ----------
    image, patient
        File name and patient id.
    lesion_boxes
        ``(M, 4) float64`` of (x0, y0, x1, y1), frame ``original``.
    boxes
        ``(N, 4) float64``, the same frame.
    scores
        ``(N,) float64``, highest first.
    lesion_kinds, kinds
        ``(M,)`` and ``(N,)`` names of kinds; None: all of one.
    breast_found
        False where preprocessing found no breast.
    breast
        Which breast of which of the patient's exams; empty: not known.
    lesion_keys
        What each lesion has in all views that show it; None: each is in one view.
    """

    image: str
    patient: str
    lesion_boxes: FloatArray
    boxes: FloatArray
    scores: FloatArray
    breast_found: bool = True
    lesion_kinds: NDArray[np.str_] | None = None
    kinds: NDArray[np.str_] | None = None
    breast: str = ""
    lesion_keys: tuple[tuple[str, ...], ...] | None = None

    @cached_property
    def iou(self) -> FloatArray:
        """``(N, M)`` intersection over union of each detection with each lesion; 0 where they are of other kinds."""
        iou = box_iou(self.boxes, self.lesion_boxes)
        if self.kinds is None or self.lesion_kinds is None:
            return iou
        return np.asarray(iou * (self.kinds[:, None] == self.lesion_kinds[None]))


def match(iou: FloatArray, threshold: float) -> NDArray[np.int64]:
    """Give each detection at most one lesion, as COCO does.

    Detections choose in the order of their rows: each takes the lesion of largest IoU among those still free.

    Parameters
    ----------
    iou
        ``(N, M)`` of N detections, highest score first, with M lesions.
    threshold
        Smallest IoU of a match.

    Returns
    -------
    NDArray
        ``(N,)`` index of the lesion, -1 for none.
    """
    found = np.full(len(iou), -1, dtype=np.int64)
    if iou.size == 0:
        return found
    free = np.ones(iou.shape[1], dtype=bool)
    for row in np.flatnonzero(iou.max(axis=1) >= threshold):
        candidates = np.where(free, iou[row], -1.0)
        best = len(candidates) - 1 - int(np.argmax(candidates[::-1]))  # of equal ones the last, as COCO takes
        if candidates[best] >= threshold:
            found[row], free[best] = best, False
    return found


@dataclass(frozen=True, eq=False)
class Ranking:
    """All K detections of I images, highest score first; equal scores in the order of the images.

    Attributes
    ----------
    image
        ``(K,) int64`` index of the image.
    place
        ``(K,) int64`` rank within the image, from 0.
    scores
        ``(K,) float64``.
    hits
        ``(K,) bool`` for each IoU threshold of ``MATCH_IOUS``: whether the detection takes a lesion.
    lesions
        ``(I,) int64`` number of lesions of each image.
    patients
        I patient ids.
    """

    image: NDArray[np.int64]
    place: NDArray[np.int64]
    scores: FloatArray
    hits: dict[float, NDArray[np.bool_]]
    lesions: NDArray[np.int64]
    patients: tuple[str, ...]

    def score_ends(self) -> NDArray[np.int64]:
        """Index of the last detection of each distinct score, highest score first."""
        return np.flatnonzero(np.diff(self.scores, append=-np.inf) != 0)


def rank(images: Sequence[DetectedImage]) -> Ranking:
    """Match every image at every threshold and sort the detections of all."""
    ious = [image.iou for image in images]
    scores = np.concatenate([np.zeros(0), *(image.scores for image in images)])
    index = np.repeat(np.arange(len(images)), [len(image.scores) for image in images])
    places = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(image.scores)) for image in images)])
    order = np.argsort(-scores, kind="stable")
    hits = {
        threshold: np.concatenate([np.zeros(0, bool), *(match(iou, threshold) >= 0 for iou in ious)])[order]
        for threshold in MATCH_IOUS
    }
    lesions = np.array([len(image.lesion_boxes) for image in images], dtype=np.int64)
    return Ranking(index[order], places[order], scores[order], hits, lesions, tuple(image.patient for image in images))


def average_precision(ranking: Ranking, weights: FloatArray) -> FloatArray:
    """COCO average precision at each threshold of ``COCO_IOUS``, ``(D, 10)``, for image weights ``(D, I)``.

    Source: Lin et al. 2014, pycocotools; an image of weight k counts as k copies of it.
    """
    kept = np.flatnonzero(ranking.place < MAX_DETECTIONS)
    lesions = weights @ ranking.lesions
    result = np.full((len(weights), len(COCO_IOUS)), np.nan)
    for part, counts in _chunks(ranking.image[kept], weights):
        seen = np.cumsum(counts, axis=1, dtype=np.int32)
        for column, threshold in enumerate(COCO_IOUS):
            # Interpolated precision only peaks at hits, so other detections can be left out.
            at_hits = np.flatnonzero(ranking.hits[threshold][kept])
            found = np.cumsum(counts[:, at_hits], axis=1, dtype=np.int32)
            precision = found / np.maximum(seen[:, at_hits], 1)
            envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            reached = np.searchsorted(_RECALLS, ratio(found, lesions[part, None]), side="right")
            result[part, column] = (envelope * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(_RECALLS)
    result[lesions == 0] = np.nan
    return result


def average_recall(ranking: Ranking, weights: FloatArray) -> FloatArray:
    """COCO average recall with at most 100 detections an image, ``(D,)``."""
    hits = np.mean([ranking.hits[threshold] & (ranking.place < MAX_DETECTIONS) for threshold in COCO_IOUS], axis=0)
    by_image = np.bincount(ranking.image, weights=hits, minlength=len(ranking.lesions))
    return ratio(weights @ by_image, weights @ ranking.lesions)


def froc_sensitivity(
    ranking: Ranking, iou: float, weights: FloatArray, judged: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Sensitivity at each rate of ``FROC_RATES``, ``(D, 5)``, for image weights ``(D, I)``.

    ``judged (I,)``: the images whose false positives make the rate; None: all. Equal scores pass a threshold together.
    A detector that never makes so many false positives gets the sensitivity at its floor.
    """
    judged = np.ones(len(ranking.lesions), dtype=bool) if judged is None else judged
    hits = ranking.hits[iou]
    return sensitivity_at_rates(ranking, hits, ranking.lesions, weights, ~hits & judged[ranking.image], judged)


def sensitivity_at_rates(
    ranking: Ranking,
    found_at: NDArray[np.bool_],
    lesions_of: NDArray[np.int64],
    weights: FloatArray,
    false_at: NDArray[np.bool_],
    judged: NDArray[np.bool_],
) -> FloatArray:
    """``(D, 5)`` as ``froc_sensitivity``.

    Parameters
    ----------
    ranking, weights
        The detections, and image weights ``(D, I)``.
    found_at, false_at
        ``(K,)``: whether a detection finds one lesion more, and whether it is a false positive.
    lesions_of
        ``(I,)``: lesions that each image counts for.
    judged
        ``(I,)``: the images whose false positives make the rate.
    """
    ends = ranking.score_ends()
    lesions, images = weights @ lesions_of, weights @ judged
    result = np.zeros((len(weights), len(FROC_RATES)))
    for part, counts in _chunks(ranking.image, weights):
        found = np.cumsum(counts * found_at, axis=1, dtype=np.int32)[:, ends]
        false = np.cumsum(counts * false_at, axis=1, dtype=np.int32)[:, ends]
        found = np.concatenate([np.zeros_like(found[:, :1], shape=(len(found), 1)), found], axis=1)
        for column, rate in enumerate(FROC_RATES):
            allowed = (false <= rate * images[part, None]).sum(axis=1)
            result[part, column] = np.take_along_axis(found, allowed[:, None], axis=1)[:, 0]
    return ratio(result, lesions[:, None])


def froc_figures(
    sensitivity: Callable[[float, FloatArray], FloatArray], patients: Sequence[str], bootstrap: Bootstrap
) -> Json:
    """By IoU threshold and rate, what ``sensitivity(iou, weights)``, ``(D, 5)``, gives for image weights ``(D, I)``."""
    figures: Json = {}
    for iou in FROC_IOUS:

        def statistic(weights: FloatArray, iou: float = iou) -> dict[str, FloatArray]:
            found = sensitivity(iou, weights)
            return {f"{rate:g}": found[:, column] for column, rate in enumerate(FROC_RATES)}

        estimates = bootstrap.estimates(statistic, patients)
        figures[f"iou_{iou:g}"] = {rate: figure.as_json() for rate, figure in estimates.items()}
    return figures


def threshold_at_rate(ranking: Ranking, iou: float, rate: float) -> float:
    """The lowest score down to which there are at most ``rate`` false positives an image; infinity if there is none."""
    ends = ranking.score_ends()
    false = ends + 1 - np.cumsum(ranking.hits[iou], dtype=np.int64)[ends]
    allowed = np.flatnonzero(false <= rate * len(ranking.lesions))
    return float(ranking.scores[ends[allowed[-1]]]) if allowed.size else float("inf")


def lesion_hits(images: Sequence[DetectedImage], iou: float, threshold: float) -> FloatArray:
    """1 for each lesion, image by image, that a detection of this score or more takes at this IoU; else 0."""
    hits = []
    for image in images:
        found = match(image.iou, iou)
        hit = np.zeros(len(image.lesion_boxes))
        hit[found[(found >= 0) & (image.scores >= threshold)]] = 1
        hits.append(hit)
    return np.concatenate([np.zeros(0), *hits])


def detection_figures(images: Sequence[DetectedImage], bootstrap: Bootstrap) -> Json:
    """All figures of the detector stage, by the keys of ``report.json``."""
    ranking = rank(images)
    found = bootstrap.estimates(detection_statistic(ranking), ranking.patients)
    return {
        "images": len(images),
        "images_without_breast": sum(not image.breast_found for image in images),
        "lesions": int(ranking.lesions.sum()),
        "detections": len(ranking.scores),
        **{name: found[name].as_json() for name in ("ap", "ap50", "ap75", "ar100")},
        "froc": {f"iou_{iou:g}": _froc_json(found, iou) for iou in FROC_IOUS},
    }


def detection_statistic(ranking: Ranking) -> Statistic:
    """All figures for image weights ``(D, I)``; ``froc.iou_0.5.1`` is the sensitivity at 1 false positive an image."""

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        ap = average_precision(ranking, weights)
        figures = {
            "ap": ap.mean(axis=1),
            "ap50": ap[:, COCO_IOUS.index(0.5)],
            "ap75": ap[:, COCO_IOUS.index(0.75)],
            "ar100": average_recall(ranking, weights),
        }
        for iou in FROC_IOUS:
            sensitivity = froc_sensitivity(ranking, iou, weights)
            figures |= {_froc_name(iou, rate): sensitivity[:, i] for i, rate in enumerate(FROC_RATES)}
        return figures

    return statistic


def scored_by_lesion(images: Sequence[DetectedImage]) -> list[ScoredImage]:
    """The highest detection score of each image, positive with a lesion."""
    return [
        ScoredImage(image.patient, image.breast, len(image.lesion_boxes) > 0, float(image.scores.max(initial=0.0)))
        for image in images
    ]


def lesion_statistic(images: Sequence[DetectedImage], ranking: Ranking) -> Statistic:
    """Sensitivity at 1 false positive an image for lesion weights ``(D, M)``, lesions image by image."""
    hits = {iou: lesion_hits(images, iou, threshold_at_rate(ranking, iou, 1)) for iou in FROC_IOUS}

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {f"sensitivity_iou_{iou:g}": ratio(weights @ hit, weights.sum(axis=1)) for iou, hit in hits.items()}

    return statistic


def _chunks(image_of_detection: NDArray[np.int64], weights: FloatArray) -> Iterator[tuple[slice, NDArray[np.int32]]]:
    """How often each detection counts ``(d, K)``, some draws at a time so that memory stays small."""
    counts = weights.astype(np.int32)
    step = max(1, _CHUNK_ELEMENTS // max(1, len(image_of_detection)))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        yield part, counts[part][:, image_of_detection]


def _froc_name(iou: float, rate: float) -> str:
    return f"froc.iou_{iou:g}.{rate:g}"


def _froc_json(found: dict[str, Estimate], iou: float) -> Json:
    return {f"{rate:g}": found[_froc_name(iou, rate)].as_json() for rate in FROC_RATES}
