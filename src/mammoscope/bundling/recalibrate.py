"""Fit a bundle's thresholds and malignancy calibration to some 100 local cases. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mammoscope import NOTICE, __version__
from mammoscope.bundle import MANIFEST, Bundle, load_bundle
from mammoscope.bundling.calibration import Calibration
from mammoscope.bundling.folder import copied_files, new_bundle_folder
from mammoscope.bundling.local_malignancy import fitted_malignancy, found_lesions, malignancy_threshold
from mammoscope.datasets.folds import deal
from mammoscope.datasets.layout import load_dataset
from mammoscope.datasets.splits import strata_of
from mammoscope.errors import BundleError, DatasetError, MammoscopeError
from mammoscope.evaluation.analysed import analyse_images
from mammoscope.evaluation.cases import Progress
from mammoscope.evaluation.external import as_external
from mammoscope.evaluation.metrics.end_to_end import AnalysedImage
from mammoscope.evaluation.metrics.intervals import Bootstrap, Estimate, Json
from mammoscope.evaluation.metrics.thresholds import PatientScores, cross_validated, too_vague
from mammoscope.files import write_json, write_text
from mammoscope.stages.manifests import BundleManifest, LocalCalibration, StepManifest

REPORT = "calibration.json"
FOLDS = 5
LEAST_LESIONS = 10
FEW = 30  # images, for a rate of false positives

DEFINITIONS = {
    "detection": "The detection threshold. A lesion is found where a detection takes it (IoU >= 0.5).",
    "malignancy": "The calibration of malignancy scores, on the lesions found at any threshold, as in use.",
    "malignancy_threshold": "Malignant lesions are called malignant from this score on, benign ones should not be.",
    "threshold": "Chosen on all cases; its interval is that of thresholds chosen on bootstrap draws of the patients.",
    "before": "The bundle as it was, on all cases.",
    "cross_validated": f"Each patient by what was fitted to the patients of the other {FOLDS - 1} of {FOLDS} folds: "
    "what to expect of new patients.",
    "ci95": "95% percentile bootstrap over patients.",
}


@dataclass(frozen=True)
class Wanted:
    """What thresholds shall reach; one of the first two is given.

    Attributes
    ----------
    sensitivity
        Share of lesions found.
    false_positives
        False positives an image: on images without a lesion, or where there are none on all images.
    malignancy_sensitivity
        Share of the malignant lesions found that are called malignant; None: that threshold stays.
    keep_malignancy
        Leave malignancy scores as they are.
    """

    sensitivity: float | None = None
    false_positives: float | None = None
    malignancy_sensitivity: float | None = None
    keep_malignancy: bool = False

    def __post_init__(self) -> None:
        if (self.sensitivity is None) == (self.false_positives is None):
            raise MammoscopeError("want either a sensitivity or a rate of false positives an image, one of the two")


def recalibrate(
    folder: Path,
    base: Bundle,
    out: Path,
    wanted: Wanted,
    *,
    seed: int = 0,
    draws: int = 2000,
    progress: Progress | None = None,
) -> Json:
    """Write a copy of a bundle whose thresholds and malignancy scores fit local cases, with ``calibration.json``.

    Parameters
    ----------
    folder
        The cases, in the dataset layout. BI-RADS categories stand for unknown pathologies.
    base
        The bundle; its networks are copied as they are.
    out
        The new bundle's folder; replaced if it is a bundle.
    seed, draws
        Of folds and bootstrap.

    Returns
    -------
    dict
        The content of ``calibration.json``.

    Raises
    ------
    DatasetError
        There are too few lesions or patients; the bundle was trained on these cases; or malignant lesions score lower
        than benign ones, so that labels may be swapped.
    RecipeError
        ``out`` exists and is not a bundle.
    MammoscopeError
        No threshold reaches what is wanted; names what can be reached.
    """
    dataset, external = as_external(load_dataset(folder).of_kinds(base.kinds), base)
    bootstrap = Bootstrap(draws, seed)
    folds = deal(strata_of(dataset), folds=FOLDS, seed=seed)
    ill = {lesion.patient_id for lesion in dataset.lesions}
    if len(dataset.lesions) < LEAST_LESIONS or len(ill) < FOLDS:
        raise DatasetError(
            f"{folder}: {len(dataset.lesions)} lesions of {len(ill)} patients are too few to choose a threshold: "
            f"{LEAST_LESIONS} lesions of {FOLDS} patients are the least, and some 100 tell what it is worth"
        )
    with new_bundle_folder(out) as place:
        images = analyse_images(dataset, base, progress)
        thresholds, platt, fitted = _fitted(images, base, wanted, folds, bootstrap, folder)
        report: Json = {
            "wanted": {name: value for name, value in vars(wanted).items() if value is not None and value is not False},
            "images": len(images),
            "lesions": len(dataset.lesions),
            "patients": len(dataset.patients),
            **external,
            **fitted,
            "dataset": {"name": dataset.name, "sha256": dataset.sha256},
            "calibrated_bundle": base.identity.model_dump(),
            "definition": DEFINITIONS,
            "seed": seed,
            "draws": draws,
            "code_version": __version__,
            "notice": NOTICE,
        }
        local = LocalCalibration(
            data=dataset.name,
            data_sha256=dataset.sha256,
            patients=len(dataset.patients),
            images=len(images),
            lesions=len(dataset.lesions),
            bundle_sha256=base.sha256,
        )
        _write(base, place, _changed(base, thresholds, platt, local), report)
    load_bundle(out)
    return report


def _fitted(
    images: Sequence[AnalysedImage],
    base: Bundle,
    wanted: Wanted,
    folds: Mapping[str, int],
    bootstrap: Bootstrap,
    folder: Path,
) -> tuple[dict[str, float], Calibration | None, Json]:
    """Thresholds by name, the calibration of malignancy scores, and their parts of the report."""
    report: Json = {}
    detection, report["detection"] = _detection(images, base, wanted, folds, bootstrap)
    thresholds = {"detection": detection}
    if wanted.keep_malignancy:
        return thresholds, None, report
    graded = found_lesions(images)
    platt, report["malignancy"] = fitted_malignancy(graded, folds, bootstrap, folder)
    if wanted.malignancy_sensitivity is not None:
        thresholds["malignancy"], report["malignancy_threshold"] = malignancy_threshold(
            graded, platt, wanted.malignancy_sensitivity, folds, bootstrap
        )
    return thresholds, platt, report


def _detection(
    images: Sequence[AnalysedImage], base: Bundle, wanted: Wanted, folds: Mapping[str, int], bootstrap: Bootstrap
) -> tuple[float, Json]:
    scores, on = _found_and_false(images, sorted(folds))
    if wanted.sensitivity is not None:
        choose = scores.for_share(wanted.sensitivity)
    else:
        choose = scores.for_rate(wanted.false_positives or 0.0)
    threshold, figures = cross_validated(scores, choose, folds, bootstrap)
    if threshold is None:
        reach = scores.figures(dict.fromkeys(folds, 0.0), bootstrap)[0].value or 0.0
        raise MammoscopeError(
            f"a sensitivity of {wanted.sensitivity:g} is out of reach: at the lowest threshold {reach:.3f} of the "
            f"lesions are found"
        )
    old = base.manifest.thresholds.detection
    before = scores.figures(dict.fromkeys(folds, old), bootstrap)
    report: Json = {
        "threshold": figures[0].as_json(),
        "false_positives_on": on,
        "before": {"threshold": old, **_named(before)},
        "cross_validated": _named(figures[1:]),
    }
    warnings = [
        f"the sensitivity is {vague}" if (vague := too_vague(figures[1], sum(map(len, scores.true.values())))) else "",
        f"false positives were counted on {count} images alone" if (count := sum(scores.units.values())) < FEW else "",
    ]
    if any(warnings):
        report["warning"] = "; ".join(filter(None, warnings))
    # A manifest keeps six digits: a wanted sensitivity is still reached, a wanted rate still not exceeded.
    rounded = np.floor(threshold * 1e6) if wanted.sensitivity is not None else np.ceil(threshold * 1e6)
    return float(min(rounded / 1e6, 1.0)), report


def _named(of: Sequence[Estimate]) -> Json:
    return {name: one.as_json() for name, one in zip(("sensitivity", "false_positives_per_image"), of, strict=True)}


def _found_and_false(images: Sequence[AnalysedImage], patients: Sequence[str]) -> tuple[PatientScores, str]:
    """Scores of lesions found and of false positives; these on images without a lesion where there are any."""
    normals = [image for image in images if not len(image.lesion_malignant)]
    true: dict[str, list[float]] = {name: [] for name in patients}
    false: dict[str, list[float]] = {name: [] for name in patients}
    units = dict.fromkeys(patients, 0)
    for image in images:
        name, taken = image.detected.patient, image.lesion >= 0
        missed = len(image.lesion_malignant) - int(taken.sum())
        true[name] += [*image.detected.scores[taken].tolist(), *[-np.inf] * missed]
        if not normals or not len(image.lesion_malignant):
            false[name] += image.detected.scores[~taken].tolist()
            units[name] += 1
    found, wrong = ({name: np.array(values, dtype=np.float64) for name, values in of.items()} for of in (true, false))
    return PatientScores(found, wrong, units), "images without a lesion" if normals else "all images"


def _changed(
    base: Bundle, thresholds: Mapping[str, float], platt: Calibration | None, local: LocalCalibration
) -> BundleManifest:
    manifest = base.manifest
    if platt is not None:
        step = _grading_step(base)
        slope, intercept = step.settings["slope"], step.settings["intercept"]
        changed: dict[str, Any] = {
            "slope": round(platt.slope * slope, 6),
            "intercept": round(platt.slope * intercept + platt.intercept, 6),
        }
        manifest = manifest.with_settings(step.name, **changed)
    update = {name: round(value, 6) for name, value in thresholds.items()}
    return manifest.model_copy(
        update={
            "version": f"{manifest.version}+local",
            "thresholds": manifest.thresholds.model_copy(update=update),
            "metrics": {},
            "calibrated": local,
        }
    )


def _grading_step(base: Bundle) -> StepManifest:
    """The last step with a slope and an intercept, which gives the malignancy scores."""
    steps = [step for step in base.manifest.steps if {"slope", "intercept"} <= step.settings.keys()]
    if not steps:
        raise BundleError(f"{base.folder}: no step has a slope and an intercept, so malignancy cannot be recalibrated")
    return steps[-1]


def _write(base: Bundle, folder: Path, manifest: BundleManifest, report: Json) -> None:
    for step in manifest.steps:
        copied_files(step, base.folder, folder)
    write_json(folder / REPORT, report)
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
