"""Figures of each kind of lesion alone, where a bundle finds several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.detection import DetectedImage, detection_figures
from mammoscope.evaluation.metrics.end_to_end import AnalysedImage, pipeline_figures
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json
from mammoscope.kinds import KINDS

DEFINITIONS = {
    "kinds": "The same figures of each kind of lesion that the bundle finds: of its lesions, and of the detections "
    "that are taken for it, on the same images. Detections hit lesions of their own kind only, here and above.",
}


def detection_by_kind(images: Sequence[DetectedImage], kinds: Collection[str], bootstrap: Bootstrap) -> Json:
    """``kinds``: the figures of the detector stage, by the name of each kind; nothing where there is only one."""
    return _by_kind(kinds, lambda kind: detection_figures([_detected(image, kind) for image in images], bootstrap))


def pipeline_by_kind(
    images: Sequence[AnalysedImage], kinds: Collection[str], detection: float, malignancy: float, bootstrap: Bootstrap
) -> Json:
    """``kinds``: the figures of the pipeline, by the name of each kind; nothing where there is only one.

    ``detection`` and ``malignancy`` are the thresholds of the bundle.
    """
    return _by_kind(
        kinds,
        lambda kind: pipeline_figures([_analysed(image, kind) for image in images], detection, malignancy, bootstrap),
    )


def _by_kind(kinds: Collection[str], figures: Callable[[str], Json]) -> Json:
    if len(kinds) < 2:
        return {}
    return {"kinds": {kind.name: figures(kind.name) for kind in KINDS if kind.name in kinds}}


def _rows(image: DetectedImage, kind: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """``(M,)`` and ``(N,)``: the lesions and the detections of a kind."""
    assert image.lesion_kinds is not None and image.kinds is not None
    return image.lesion_kinds == kind, image.kinds == kind


def _detected(image: DetectedImage, kind: str) -> DetectedImage:
    lesions, found = _rows(image, kind)
    assert image.lesion_kinds is not None and image.kinds is not None
    keys = image.lesion_keys
    return replace(
        image,
        lesion_boxes=image.lesion_boxes[lesions],
        boxes=image.boxes[found],
        scores=image.scores[found],
        lesion_kinds=image.lesion_kinds[lesions],
        kinds=image.kinds[found],
        lesion_keys=None if keys is None else tuple(keys[row] for row in np.flatnonzero(lesions)),
    )


def _analysed(image: AnalysedImage, kind: str) -> AnalysedImage:
    lesions, found = _rows(image.detected, kind)
    place = np.append(np.cumsum(lesions) - 1, -1)  # of each lesion among those of the kind; of none: none
    return replace(
        image,
        detected=_detected(image.detected, kind),
        lesion=place[image.lesion[found]].astype(np.int64),
        malignancy=image.malignancy[found],
        lesion_malignant=image.lesion_malignant[lesions],
        lesion_graded=image.lesion_graded[lesions],
    )
