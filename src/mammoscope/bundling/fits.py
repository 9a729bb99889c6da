"""Fit the steps of a bundle on its validation patients in turn, each on the output of the steps before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mammoscope.bundling.roles.classify import ClassifierMaker
from mammoscope.bundling.roles.detect import DetectorMaker
from mammoscope.bundling.roles.joint import JointMaker
from mammoscope.bundling.roles.maker import StepMaker, alone, before
from mammoscope.bundling.roles.rescore import RescorerMaker
from mammoscope.bundling.roles.segment import SegmenterMaker
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import BundleError
from mammoscope.evaluation.cases import exam_cases, graded_alone, run, true_candidates
from mammoscope.stages.fitting import FittableStep, FittingCase
from mammoscope.stages.manifests import BundleManifest, StepManifest

MAKERS: dict[str, StepMaker] = {  # type: ignore[type-arg]
    maker.role: maker for maker in (DetectorMaker(), JointMaker(), RescorerMaker(), SegmenterMaker(), ClassifierMaker())
}


def fit_on_validation(manifest: BundleManifest, folder: Path, validation: Dataset) -> BundleManifest:
    """Fit what can be fitted of every step: by its implementation if it can, else as usual for its role.

    Raises
    ------
    BundleError
        A step cannot be loaded, or its result is not candidates; names it.
    """
    for name in [step.name for step in manifest.steps if step.role != "select"]:
        manifest = fit_step(manifest, name, folder, validation)
    return manifest


def fit_step(manifest: BundleManifest, name: str, folder: Path, validation: Dataset) -> BundleManifest:
    """Fit one step, on the output of those before it; raises as ``fit_on_validation``."""
    step = next(step for step in manifest.steps if step.name == name)
    own = alone(manifest, name, folder).steps[0]
    for_kinds = getattr(own.settings, "of_kinds", None)
    if for_kinds is not None:
        validation = validation.of_kinds(for_kinds)
        if not validation.lesions:  # nothing to fit it on: it stays as it is
            return manifest
    maker = MAKERS.get(step.role)
    if isinstance(own.step, FittableStep):
        fitted = dict(own.step.fitted(_cases(step, manifest, folder, validation)))
    elif maker and step.implementation == maker.implementation:
        fitted = maker.fitted(step, manifest, folder, validation)
    else:
        return manifest
    manifest = manifest.with_settings(name, **fitted)
    _ = alone(manifest, name, folder).steps[0].settings  # raises here if they do not fit the implementation
    return manifest


def _cases(step: StepManifest, manifest: BundleManifest, folder: Path, validation: Dataset) -> Iterator[FittingCase]:
    earlier = before(manifest, step.name, folder)
    grades = step in manifest.grading
    for case in exam_cases(validation, earlier):
        truth = true_candidates(case)
        found = (
            graded_alone(earlier, case.exam, truth, case.place)
            if grades
            else run(earlier.finding, case.exam, Candidates.none(), case.place)
        )
        lesions = [
            lesion
            for view, of_view in zip(case.exam.views, case.lesions, strict=True)
            if view.breast is not None
            for lesion in of_view
        ]
        if len(lesions) != len(truth):
            raise BundleError(f"{case.place}: {len(truth)} true candidates of {len(lesions)} lesions")
        malignant = tuple(lesion.malignant for lesion in lesions)
        names = tuple(" ".join(validation.lesion_key(lesion)) for lesion in lesions)
        yield FittingCase(case.exam, found, truth, malignant, names)
