"""Measure a bundle on images made worse, beside the same images as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammoscope.bundle import Bundle
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.analysed import analyse_images
from mammoscope.evaluation.cases import Progress
from mammoscope.evaluation.metrics.detection import froc_sensitivity, rank
from mammoscope.evaluation.metrics.end_to_end import AnalysedImage, scored_by_malignancy
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic, estimate_of, ratio
from mammoscope.evaluation.metrics.roc import roc_auc
from mammoscope.evaluation.report.plots import stress_plots
from mammoscope.evaluation.report.write import Measured, make_folder, write_report
from mammoscope.evaluation.stress.changes import CHANGES, Change
from mammoscope.geometry import FloatArray

FIGURES = ("sensitivity", "detected", "false_positives_per_image", "image_auc")

DEFINITIONS = {
    "images": "Number of mammograms.",
    "lesions": "Number of lesions with a box.",
    "unchanged": "The figures of the images as they are.",
    "stress": "The figures of the same images made worse, each in one way, from mild to severe; the bundle, its "
    "thresholds and its calibration stay.",
    "change": "What was done to the images.",
    "strength": "How much of it.",
    "unit": "What a strength is.",
    "sensitivity": "Largest share of lesions hit (IoU >= 0.5) at a threshold with at most 1 false positive an image.",
    "detected": "Share of lesions found (IoU >= 0.5) at the bundle's detection threshold.",
    "false_positives_per_image": "Detections at that threshold that take no lesion, an image.",
    "image_auc": "Area under the ROC curve of images, by the highest detection_score x malignancy_score, those with a "
    "malignant lesion against those known to have none.",
    "lost_sensitivity": "Sensitivity minus that of the unchanged images, paired: the same patients are drawn for both.",
    "lost_image_auc": "The same of image_auc.",
}


@dataclass(frozen=True, eq=False)
class Condition:
    """The images under one change, and their figures for image weights ``(D, N)``."""

    images: Sequence[AnalysedImage]
    statistic: Statistic


def stress(
    dataset_folder: Path,
    out: Path,
    bundle: Bundle,
    *,
    names: Sequence[str] = (),
    patients: int | None = None,
    seed: int = 0,
    draws: int = 2000,
    progress: Progress | None = None,
) -> Path:
    """Measure the whole chain on images made worse and write ``report.json``, ``report.html`` and ``cases.csv``.

    Parameters
    ----------
    dataset_folder
        A folder in the dataset layout, of patients that the bundle was not trained on.
    names
        Of some changes; none: all.
    patients
        Take only so many, drawn by ``seed``; None: all.
    progress
        Called with the number of images done and of all, over all changes.

    Raises
    ------
    MammoscopeError
        There is no change of a name; names those that there are.
    """
    known = {change.name: change for change in CHANGES}
    for name in names:
        if name not in known:
            raise MammoscopeError(f"{name!r} is no change; there are {', '.join(known)}")
    dataset = _some(load_dataset(dataset_folder).of_kinds(bundle.kinds), patients, seed)
    bootstrap = Bootstrap(draws, seed)
    make_folder(out)
    conditions = _conditions(dataset, bundle, [known[name] for name in names] or list(CHANGES), progress)
    measured = _measured(conditions, bundle.manifest.thresholds.detection, bootstrap)
    return write_report("stress", measured, out, dataset=dataset, bundle=bundle, bootstrap=bootstrap)


def _some(dataset: Dataset, patients: int | None, seed: int) -> Dataset:
    if patients is None or patients >= len(dataset.patients):
        return dataset
    drawn = np.random.default_rng(seed).choice(len(dataset.patients), patients, replace=False)
    return dataset.of_patients([dataset.patients[row] for row in drawn])


def _conditions(
    dataset: Dataset, bundle: Bundle, changes: Sequence[Change], progress: Progress | None
) -> dict[tuple[str, float], Condition]:
    """By change and strength; ``("unchanged", 0)`` first."""
    wanted: list[tuple[str, float, Change | None]] = [("unchanged", 0.0, None)]
    wanted += [(change.name, strength, change) for change in changes for strength in change.strengths]
    total, found = len(wanted) * len(dataset.images), {}
    for number, (name, strength, change) in enumerate(wanted):
        first = number * len(dataset.images)

        def advance(done: int, _: int, first: int = first) -> None:
            if progress:
                progress(first + done, total)

        worse = None if change is None else (lambda mammogram, by=strength, how=change: how.of(mammogram, by))
        images = analyse_images(dataset, bundle, advance, scored=True, change=worse)
        found[name, strength] = Condition(images, _statistic(images, bundle.manifest.thresholds.detection))
    return found


def _statistic(images: Sequence[AnalysedImage], threshold: float) -> Statistic:
    ranking = rank([image.detected for image in images])
    scored = scored_by_malignancy(images)
    known = np.array([image.positive is not None for image in scored], dtype=bool)
    positive = np.array([image.positive is True for image in scored], dtype=bool)
    scores = np.array([image.score for image in scored], dtype=np.float64)
    kept = [image.detected.scores >= threshold for image in images]
    true = np.array([(one & (image.lesion >= 0)).sum() for one, image in zip(kept, images, strict=True)])
    found = np.array([one.sum() for one in kept])

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "sensitivity": froc_sensitivity(ranking, 0.5, weights)[:, 2],
            "detected": ratio(weights @ true, weights @ ranking.lesions),
            "false_positives_per_image": ratio(weights @ (found - true), weights.sum(axis=1)),
            "image_auc": roc_auc(scores[known], positive[known], weights[:, known]),
        }

    return statistic


def _measured(conditions: Mapping[tuple[str, float], Condition], threshold: float, bootstrap: Bootstrap) -> Measured:
    plain = next(iter(conditions.values()))
    patients = [image.detected.patient for image in plain.images]
    ones, weights = np.ones((1, len(patients))), bootstrap.weights(patients)
    drawn = {key: (one.statistic(ones), one.statistic(weights)) for key, one in conditions.items()}
    usual = drawn["unchanged", 0.0]
    units = {change.name: change.unit for change in CHANGES}

    def shown(of: tuple[Mapping[str, FloatArray], Mapping[str, FloatArray]]) -> Json:
        return {
            name: estimate_of(float(of[0][name][0]), of[1][name], "there is no case to measure").as_json()
            for name in FIGURES
        }

    rows: list[Json] = []
    for (name, strength), of in list(drawn.items())[1:]:
        lost = {
            f"lost_{figure}": estimate_of(
                float(of[0][figure][0] - usual[0][figure][0]), of[1][figure] - usual[1][figure], "there is no case"
            ).as_json()
            for figure in ("sensitivity", "image_auc")
        }
        rows.append({"change": name, "strength": strength, "unit": units[name], **shown(of), **lost})
    figures: Json = {
        "images": len(plain.images),
        "lesions": sum(len(image.lesion_malignant) for image in plain.images),
        "unchanged": shown(usual),
        "stress": rows,
    }
    return Measured(figures, DEFINITIONS, _rows(conditions, threshold), lambda: stress_plots(figures))


def _rows(conditions: Mapping[tuple[str, float], Condition], threshold: float) -> list[Json]:
    """One row an image and condition."""
    return [
        {
            "change": name,
            "strength": strength,
            "image": image.detected.image,
            "patient": image.detected.patient,
            "lesions": len(image.lesion_malignant),
            "found": int((image.detected.scores >= threshold).sum()),
            "true_found": int(((image.detected.scores >= threshold) & (image.lesion >= 0)).sum()),
            "malignant": "" if image.malignant is None else int(image.malignant),
            "image_score": image.score,
        }
        for (name, strength), condition in conditions.items()
        for image in condition.images
    ]
