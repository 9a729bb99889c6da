"""Malignancy scores that fit local cases: a further Platt scaling, cross-validated, and a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundling.calibration import Calibration, fit_platt
from mammoscope.errors import DatasetError, MammoscopeError, RecipeError
from mammoscope.evaluation.metrics.calibration import (
    calibration_intercept,
    calibration_slope,
    expected_calibration_error,
)
from mammoscope.evaluation.metrics.end_to_end import AnalysedImage
from mammoscope.evaluation.metrics.intervals import Bootstrap, Estimate, Json, ratio
from mammoscope.evaluation.metrics.thresholds import PatientScores, cross_validated, too_vague
from mammoscope.geometry import FloatArray
from mammoscope.stages.onnx import logit, sigmoid

LEAST_OF_A_CLASS, ENOUGH_OF_A_CLASS = 10, 100


@dataclass(frozen=True, eq=False)
class Graded:
    """N lesions that were found: patients, ``logits (N,)`` of their malignancy scores, ``malignant (N,) bool``."""

    patients: tuple[str, ...]
    logits: FloatArray
    malignant: NDArray[np.bool_]


def found_lesions(images: Sequence[AnalysedImage]) -> Graded:
    """The lesions of known pathology that a detection takes, whatever its score."""
    patients: list[str] = []
    scores, malignant = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for image in images:
        rows = np.flatnonzero(image.lesion >= 0)
        rows = rows[image.lesion_graded[image.lesion[rows]]]
        patients += [image.detected.patient] * len(rows)
        scores.append(image.malignancy[rows])
        malignant.append(image.lesion_malignant[image.lesion[rows]])
    return Graded(tuple(patients), logit(np.concatenate(scores)), np.concatenate(malignant))


def fitted_malignancy(
    graded: Graded, folds: Mapping[str, int], bootstrap: Bootstrap, folder: Path
) -> tuple[Calibration | None, Json]:
    """The calibration to apply on top of the bundle's, and its part of the report; None: better left as it is.

    Raises
    ------
    DatasetError
        Malignant lesions score lower than benign ones.
    """
    counts = int(graded.malignant.sum()), int((~graded.malignant).sum())
    report: Json = {"malignant": counts[0], "benign": counts[1], "recalibrated": False}
    if min(counts) < LEAST_OF_A_CLASS:
        return None, report | {
            "warning": f"left as it is: {counts[0]} malignant and {counts[1]} benign lesions were found, "
            f"{LEAST_OF_A_CLASS} of each are the least"
        }
    try:
        platt = fit_platt(graded.logits, graded.malignant)
    except RecipeError:
        raise DatasetError(
            f"{folder}: malignant lesions score lower than benign ones: are labels swapped? Malignancy scores are not "
            "turned round; to choose the detection threshold alone, keep malignancy as it is"
        ) from None
    crossed = _cross_fitted(graded, folds)
    before, after = (_quality(graded, logits, bootstrap) for logits in (graded.logits, crossed))
    slope = bootstrap.estimates(
        lambda weights: {"slope": calibration_slope(graded.logits, graded.malignant, weights)}, graded.patients
    )["slope"]
    report |= {
        "slope": {"value": platt.slope, "ci95": slope.as_json()["ci95"]},
        "intercept": platt.intercept,
        "before": {name: one.as_json() for name, one in before.items()},
        "cross_validated": {name: one.as_json() for name, one in after.items()},
    }
    if (after["brier"].value or 0) >= (before["brier"].value or 0):
        return None, report | {"warning": "left as it is: cross-validated, a new calibration is no better"}
    if min(counts) < ENOUGH_OF_A_CLASS:
        report["warning"] = (
            f"rough: {counts[0]} malignant and {counts[1]} benign lesions; {ENOUGH_OF_A_CLASS} of each make a "
            "calibration that can be relied on (Van Calster et al. 2016)"
        )
    return platt, report | {"recalibrated": True}


def _cross_fitted(graded: Graded, folds: Mapping[str, int]) -> FloatArray:
    """Logits ``(N,)``, each calibrated on the patients of the other folds; as they are where these allow none."""
    of_fold = np.array([folds[patient] for patient in graded.patients])
    logits = graded.logits.copy()
    for fold in set(of_fold.tolist()):
        others = of_fold != fold
        try:
            platt = fit_platt(graded.logits[others], graded.malignant[others])
        except (RecipeError, ValueError):  # they lack a class, or have it the wrong way round
            continue
        logits[~others] = platt.slope * graded.logits[~others] + platt.intercept
    return logits


def _quality(graded: Graded, logits: FloatArray, bootstrap: Bootstrap) -> dict[str, Estimate]:
    scores, malignant = np.asarray(sigmoid(logits), dtype=np.float64), graded.malignant

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "brier": ratio(weights @ (scores - malignant) ** 2, weights.sum(axis=1)),
            "ece": expected_calibration_error(scores, malignant, weights),
            "calibration_slope": calibration_slope(logits, malignant, weights),
            "calibration_intercept": calibration_intercept(logits, malignant, weights),
        }

    return bootstrap.estimates(statistic, graded.patients)


def malignancy_threshold(
    graded: Graded, platt: Calibration | None, share: float, folds: Mapping[str, int], bootstrap: Bootstrap
) -> tuple[float, Json]:
    """The malignancy score that a share of the malignant lesions found reaches, and its part of the report.

    Raises
    ------
    MammoscopeError
        There is no malignant lesion.
    """
    logits = graded.logits if platt is None else platt.slope * graded.logits + platt.intercept
    probabilities, patients = sigmoid(logits), np.array(graded.patients)
    parts = (
        {name: probabilities[of & (patients == name)] for name in folds} for of in (graded.malignant, ~graded.malignant)
    )
    true, false = parts
    scores = PatientScores(true, false, {name: len(of) for name, of in false.items()})
    threshold, figures = cross_validated(scores, scores.for_share(share), folds, bootstrap)
    if threshold is None:
        raise MammoscopeError("a malignancy threshold cannot be chosen: no malignant lesion was found")
    sensitivity, called = figures[1:]
    report: Json = {
        "threshold": figures[0].as_json(),
        "cross_validated": {"sensitivity": sensitivity.as_json(), "benign_called_malignant": called.as_json()},
    }
    if warning := too_vague(sensitivity, int(graded.malignant.sum())):
        report["warning"] = f"the sensitivity is {warning}"
    return float(np.floor(threshold * 1e6) / 1e6), report
