"""How well malignant masses are told from both kinds of benign ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mammoscope.evaluation.metrics import calibration
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic, ratio
from mammoscope.evaluation.metrics.roc import roc_auc
from mammoscope.geometry import FloatArray
from mammoscope.stages.onnx import logit

DEFINITIONS = {
    "threshold": "Lesions with this malignancy score or more are called malignant; fixed on validation patients, in "
    "the bundle.",
    "boxes": "Every lesion: the ROI is cut by the lesion's true box from the preprocessed full image, its mask is "
    "predicted by the bundle's segmenter.",
    "without_breast": "Those of the lesions on images where no breast was found: their ROI is cut from the image as it "
    "is.",
    "pathology_unknown": "Lesions whose pathology is not known; they are left out.",
    "crops": "The lesions with a published crop and mask, from the crop's own pixels.",
    "true_mask": "The classifier is given the published mask.",
    "predicted_mask": "The classifier is given the mask that the bundle's segmenter predicts on the crop.",
    "lesions": "Number of lesions measured.",
    "malignant": "How many of them are malignant by pathology; BENIGN and BENIGN_WITHOUT_CALLBACK are one class.",
    "auc": "Area under the ROC curve of the malignancy score, ties count half.",
    "accuracy": "Share of lesions whose class at the threshold is right.",
    "sensitivity": "Share of the malignant lesions that are called malignant.",
    "specificity": "Share of the benign lesions that are called benign.",
    "precision": "Share of the lesions called malignant that are.",
    "brier": "Brier score: mean squared difference of the malignancy score and the truth (0 or 1); lower is better.",
    "ece": f"Expected calibration error: difference of mean malignancy score and share of malignant lesions in "
    f"{calibration.BINS} equal-width bins of the score, mean weighted by the lesions in each bin; lower is better.",
    **calibration.DEFINITIONS,
}

_NO_LESION = "there is no lesion to classify"


@dataclass(frozen=True, eq=False)
class ClassifiedLesions:
    """N lesions with their truth and score.

    Attributes
    ----------
    images, patients, abnormality_ids
        N names each: which lesions.
    malignant
        ``(N,) bool``: by pathology.
    scores
        ``(N,) float64`` malignancy scores in [0, 1].
    attributes
        ``(N, K)`` probabilities of K words, by the attribute's name; a row of NaN says nothing.
    """

    images: tuple[str, ...]
    patients: tuple[str, ...]
    abnormality_ids: tuple[str, ...]
    malignant: NDArray[np.bool_]
    scores: FloatArray
    attributes: Mapping[str, FloatArray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scores)


def classification_figures(lesions: ClassifiedLesions, threshold: float, bootstrap: Bootstrap) -> Json:
    """All figures of one set of classified lesions, by the keys of ``report.json``."""
    malignant = lesions.malignant
    statistic = classification_statistic(lesions, lesions.scores >= threshold)
    present, absent = ("malignant", "benign") if malignant.any() else ("benign", "malignant")
    reasons = {
        "auc": f"all lesions are {present}",
        "sensitivity": f"no lesion is {absent}",
        "specificity": f"no lesion is {absent}",
        "precision": "no lesion was called malignant",
        "calibration_slope": f"all lesions are {present}, or a score parts the classes",
        "calibration_intercept": f"all lesions are {present}",
    }
    if not len(lesions):
        reasons = dict.fromkeys(statistic(np.ones((1, 0))), _NO_LESION)
    found = bootstrap.estimates(statistic, lesions.patients, reasons)
    return {
        "lesions": len(lesions),
        "malignant": int(malignant.sum()),
        **{name: figure.as_json() for name, figure in found.items()},
        "reliability": calibration.reliability(lesions.scores, malignant, lesions.patients, bootstrap),
        "decision_curve": calibration.decision_curve(lesions.scores, malignant, lesions.patients, bootstrap),
    }


def classification_statistic(lesions: ClassifiedLesions, called: NDArray[np.bool_]) -> Statistic:
    """All figures for lesion weights ``(D, N)``; ``called (N,)``: those called malignant."""
    scores, malignant = lesions.scores, lesions.malignant
    logits = logit(scores)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        count = weights.sum(axis=1)
        caught = weights @ (called & malignant)
        return {
            "auc": roc_auc(scores, malignant, weights),
            "accuracy": ratio(weights @ (called == malignant), count),
            "sensitivity": ratio(caught, weights @ malignant),
            "specificity": ratio(weights @ ~(called | malignant), weights @ ~malignant),
            "precision": ratio(caught, weights @ called),
            "brier": ratio(weights @ (scores - malignant) ** 2, count),
            "ece": calibration.expected_calibration_error(scores, malignant, weights),
            "calibration_slope": calibration.calibration_slope(logits, malignant, weights),
            "calibration_intercept": calibration.calibration_intercept(logits, malignant, weights),
        }

    return statistic


def lesion_statistic(lesions: ClassifiedLesions, threshold: float) -> Statistic:
    """AUC and accuracy for lesion weights ``(D, N)``."""
    right = ((lesions.scores >= threshold) == lesions.malignant).astype(np.float64)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "auc": roc_auc(lesions.scores, lesions.malignant, weights),
            "accuracy": ratio(weights @ right, weights.sum(axis=1)),
        }

    return statistic


def classification_rows(sets: dict[str, ClassifiedLesions], threshold: float) -> list[Json]:
    """One row a lesion and set (``boxes``, ``crops.true_mask``, ``crops.predicted_mask``)."""
    return [
        {
            "set": name,
            "image": lesions.images[row],
            "patient": lesions.patients[row],
            "abnormality_id": lesions.abnormality_ids[row],
            "malignant": int(lesions.malignant[row]),
            "malignancy_score": float(lesions.scores[row]),
            "called_malignant": int(lesions.scores[row] >= threshold),
        }
        for name, lesions in sets.items()
        for row in range(len(lesions))
    ]


def classified(lesions: Sequence[tuple[str, str, str, bool]], scores: Sequence[float]) -> ClassifiedLesions:
    """Join (image, patient, abnormality id, malignant) of lesions with their scores."""
    images, patients, ids, malignant = zip(*lesions, strict=True) if lesions else ((), (), (), ())
    return ClassifiedLesions(
        tuple(images), tuple(patients), tuple(ids), np.array(malignant, dtype=bool), np.array(scores, dtype=np.float64)
    )
