"""How well whole images, breasts and patients are told apart by their highest score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic
from mammoscope.evaluation.metrics.roc import SPECIFICITY, partial_auc, roc_auc, sensitivity_at_specificity
from mammoscope.geometry import FloatArray

Level = Literal["image", "breast", "patient"]
LEVELS: tuple[Level, ...] = ("image", "breast", "patient")

DEFINITIONS = {
    "levels": "ROC figures of images, breasts and patients; the score of each is the highest of its images.",
    "image": "Each image as one case.",
    "breast": "Each breast of one exam as one case.",
    "patient": "Each patient as one case.",
    "units": "Cases of the level.",
    "positive": "How many of them are positive.",
    "left_out": "Cases whose truth is not known, or whose side is not, for breasts: left out.",
    "auc": "Area under the ROC curve of the score, ties count half.",
    "partial_auc": f"Area under the ROC curve down to specificity {SPECIFICITY:g}, standardised to 0.5 for chance and "
    "1 for perfect (McClish 1989).",
    "sensitivity_at_specificity": f"The largest sensitivity at a threshold with a specificity of {SPECIFICITY:g} or "
    "more on these cases; each bootstrap draw picks its own threshold.",
}
BY_LESION = " Positive: shows a lesion. Score: the highest detection_score, 0 where nothing is found."
BY_MALIGNANCY = (
    " Positive: shows a lesion known to be malignant; without one, cases with a lesion of unknown pathology are left "
    "out. Score: the highest detection_score x malignancy_score, 0 where nothing is found."
)


@dataclass(frozen=True)
class ScoredImage:
    """One image.

    Attributes
    ----------
    patient
        Patient id.
    breast
        Which breast of which of the patient's exams; empty: not known.
    positive
        Whether it shows what is looked for; None: not known.
    score
        The highest of the image.
    """

    patient: str
    breast: str
    positive: bool | None
    score: float


@dataclass(frozen=True, eq=False)
class Units:
    """N cases of one level.

    Attributes
    ----------
    patients
        N patient ids.
    positive, scores
        ``(N,) bool`` and ``(N,) float64``.
    first
        Place of each case's first image.
    left_out
        Cases that are not among them, as their truth, or the side of an image, is not known.
    """

    patients: tuple[str, ...]
    positive: NDArray[np.bool_]
    scores: FloatArray
    first: tuple[int, ...]
    left_out: int


def definitions(of: str) -> dict[str, str]:
    """What the keys mean; ``of`` says what is positive and what the score is."""
    return DEFINITIONS | {"levels": DEFINITIONS["levels"] + of}


def units_of(images: Sequence[ScoredImage], level: Level) -> Units:
    """The cases of a level, in the order of their first images.

    A case is positive where one of its images is; else it is left out where the truth of one is not known.
    """
    grouped: dict[tuple[str, ...], list[int]] = {}
    left_out = 0
    for number, image in enumerate(images):
        if level == "breast" and not image.breast:
            left_out += 1
            continue
        keys = {"image": (str(number),), "breast": (image.patient, image.breast), "patient": (image.patient,)}
        grouped.setdefault(keys[level], []).append(number)
    known = []
    for places in grouped.values():
        unit = [images[place] for place in places]
        truths = {image.positive for image in unit}
        truth = True if True in truths else None if None in truths else False
        if truth is not None:
            known.append((unit[0].patient, truth, max(image.score for image in unit), places[0]))
    return Units(
        tuple(patient for patient, _, _, _ in known),
        np.array([truth for _, truth, _, _ in known], dtype=bool),
        np.array([score for _, _, score, _ in known], dtype=np.float64),
        tuple(place for _, _, _, place in known),
        left_out + len(grouped) - len(known),
    )


def level_statistic(units: Units) -> Statistic:
    """The figures of one level, for weights ``(D, N)``."""

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        if not len(units.scores):
            return dict.fromkeys(("auc", "partial_auc", "sensitivity_at_specificity"), np.full(len(weights), np.nan))
        of = units.scores, units.positive, weights
        return {
            "auc": roc_auc(*of),
            "partial_auc": partial_auc(*of),
            "sensitivity_at_specificity": sensitivity_at_specificity(*of),
        }

    return statistic


def level_figures(images: Sequence[ScoredImage], bootstrap: Bootstrap) -> Json:
    """``levels`` of ``report.json``."""
    return {"levels": {level: _figures(units_of(images, level), bootstrap) for level in LEVELS}}


def _figures(units: Units, bootstrap: Bootstrap) -> Json:
    statistic = level_statistic(units)
    present = "positive" if units.positive.any() else "negative"
    reason = f"all cases are {present}" if len(units.scores) else "there is no case whose truth is known"
    reasons = dict.fromkeys(statistic(np.ones((1, len(units.scores)))), reason)
    found = bootstrap.estimates(statistic, units.patients, reasons)
    return {
        "units": len(units.scores),
        "positive": int(units.positive.sum()),
        **({"left_out": units.left_out} if units.left_out else {}),
        **{name: figure.as_json() for name, figure in found.items()},
    }
