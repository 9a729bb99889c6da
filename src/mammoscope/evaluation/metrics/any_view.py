"""How many lesions are found in one view or more: FROC in which a lesion that several views show counts once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.detection import (
    FROC_IOUS,
    DetectedImage,
    Ranking,
    froc_figures,
    match,
    sensitivity_at_rates,
)
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json
from mammoscope.geometry import FloatArray

DEFINITIONS = {
    "froc_any_view": "As froc, but a lesion that several views of a breast show counts once, and is found where it is "
    "hit in one of them. False positives are counted an image, as before.",
    "lesions_in_any_view": "Number of lesions, each counted once.",
    "in_several_views": "How many of them more than one view shows.",
}


def any_view_figures(images: Sequence[DetectedImage], ranking: Ranking, bootstrap: Bootstrap) -> Json:
    """The keys of ``DEFINITIONS``; empty if no lesion is in several views.

    Parameters
    ----------
    images
        All images, those of one patient with all of that patient's.
    ranking
        Their detections.
    """
    numbers = _numbers(images)
    every = np.concatenate([np.zeros(0, np.int64), *numbers])
    lesions, first, views = np.unique(every, return_index=True, return_counts=True)
    if not (views > 1).any():
        return {}
    image_of = np.repeat(np.arange(len(images)), [len(of_image) for of_image in numbers])
    lesions_of = np.bincount(image_of[first], minlength=len(images))  # counted with the first image that shows it
    every_image = np.ones(len(images), dtype=bool)

    found_at = {iou: _first_hits(images, numbers, ranking, iou) for iou in FROC_IOUS}

    def sensitivity(iou: float, weights: FloatArray) -> FloatArray:
        return sensitivity_at_rates(ranking, found_at[iou], lesions_of, weights, ~ranking.hits[iou], every_image)

    return {
        "lesions_in_any_view": len(lesions),
        "in_several_views": int((views > 1).sum()),
        "froc_any_view": froc_figures(sensitivity, ranking.patients, bootstrap),
    }


def _numbers(images: Sequence[DetectedImage]) -> list[NDArray[np.int64]]:
    """For each image ``(M,)``: numbers that a lesion has in all views."""
    known: dict[object, int] = {}
    return [
        np.array(
            [
                known.setdefault((number, place) if image.lesion_keys is None else image.lesion_keys[place], len(known))
                for place in range(len(image.lesion_boxes))
            ],
            dtype=np.int64,
        )
        for number, image in enumerate(images)
    ]


def _first_hits(
    images: Sequence[DetectedImage], numbers: Sequence[NDArray[np.int64]], ranking: Ranking, iou: float
) -> NDArray[np.bool_]:
    """``(K,)``: whether a detection is the surest hit of a lesion in any view."""
    hit = [
        np.append(of_image, -1)[match(image.iou, iou)]  # -1, which takes no lesion, is the last
        for image, of_image in zip(images, numbers, strict=True)
    ]
    starts = np.cumsum([0, *map(len, hit)])
    ranked = np.concatenate([np.zeros(0, np.int64), *hit])[starts[ranking.image] + ranking.place]
    lesions, first = np.unique(ranked, return_index=True)
    firsts = np.zeros(len(ranked), dtype=bool)
    firsts[first[lesions >= 0]] = True
    return firsts
