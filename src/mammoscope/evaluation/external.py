"""Datasets of others: what their labels and marks are, and what follows for the figures."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from mammoscope.bundle import Bundle
from mammoscope.datasets.layout import UNKNOWN, Dataset, Lesion
from mammoscope.errors import DatasetError
from mammoscope.evaluation.metrics.breakdown import MARKS, mark_of
from mammoscope.evaluation.metrics.intervals import Json

_BIRADS = re.compile(r"(?:BI-?RADS)?[ :_-]*([0-6])[ABC]?(?:\.0)?")
_SUSPICIOUS = "456"

DEFINITIONS = {
    "external": "What the labels of this dataset are. The bundle was trained on another; its thresholds and "
    "calibration are used as they are.",
    "truth": "By what lesions count as malignant or benign.",
    "pathology": "Lesions whose pathology is known.",
    "birads": "Lesions without a known pathology and with a BI-RADS category: 4, 5 and 6 are taken as malignant, 1, 2 "
    "and 3 as benign. A reader's suspicion is not a diagnosis: figures that depend on it are not those of biopsies.",
    "unknown": "Lesions with neither, or with BI-RADS 0.",
    "marks": "How lesions are marked.",
    "contour": "Lesions with a mask: their box is that of the outline.",
    "box": "Lesions with a box alone. Boxes of readers are often wider than the lesion, so hits at IoU 0.5 are rarer "
    "than with contours; those at IoU 0.2 compare better.",
    "circle": "Lesions marked by a circle: their box is that of the circle, which is wider than the lesion, as with "
    "boxes.",
    "images_normal": "Images without a lesion. Rates of false positives and sensitivities at a rate count all images; "
    "normals, with_lesion and froc_normals tell them apart.",
}


def birads_malignant(assessment: str) -> bool | None:
    """What a BI-RADS category says: 4 to 6 malignant, 1 to 3 benign; None: 0, or no category."""
    found = _BIRADS.fullmatch(assessment.strip().upper())
    if not found or found[1] == "0":
        return None
    return found[1] in _SUSPICIOUS


def as_external(dataset: Dataset, bundle: Bundle) -> tuple[Dataset, Json]:
    """A dataset whose lesions of unknown pathology are graded by BI-RADS, and ``external`` of its report.

    Raises
    ------
    DatasetError
        A step of the bundle was trained on the dataset.
    """
    for step in bundle.manifest.steps:
        if step.provenance and step.provenance.data_sha256 == dataset.sha256:
            raise DatasetError(
                f"{dataset.folder}: the bundle's step {step.name!r} was trained on it, so it is not external data"
            )
    truth = Counter({"pathology": 0, "birads": 0, "unknown": 0})
    lesions = []
    for lesion in dataset.lesions:
        graded, by = _graded(lesion)
        truth[by] += 1
        lesions.append(graded)
    marks = Counter(dict.fromkeys(MARKS, 0))
    marks.update(mark_of(dataset, lesion) for lesion in lesions)
    described: Json = {"truth": dict(truth), "marks": dict(marks), "images_normal": len(dataset.normals)}
    return replace(dataset, lesions=tuple(lesions)), {"external": described}


def _graded(lesion: Lesion) -> tuple[Lesion, str]:
    if lesion.malignant is not None:
        return lesion, "pathology"
    suspicious = birads_malignant(lesion.assessment)
    if suspicious is None:
        return replace(lesion, pathology=UNKNOWN), "unknown"
    return replace(lesion, pathology="MALIGNANT" if suspicious else "BENIGN"), "birads"
