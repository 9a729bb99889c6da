"""A copy of a bundle with one step swapped: for comparing networks in the same surroundings.

Only the new step is fitted, and nothing is measured, so it takes a fraction of the time of ``build_bundle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from mammoscope.bundle import MANIFEST, Bundle, load_bundle
from mammoscope.bundling.fits import MAKERS, fit_step
from mammoscope.bundling.folder import copied_files, new_bundle_folder
from mammoscope.bundling.sources import ExtraStep, Run, open_source
from mammoscope.bundling.steps import extra_step, trained_step
from mammoscope.bundling.threshold import with_detection_threshold
from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import RecipeError
from mammoscope.evaluation.analysed import analyse_images
from mammoscope.evaluation.metrics.end_to_end import threshold_at_lesion_count
from mammoscope.families.family import NOUNS, RoleName
from mammoscope.families.recipe import SplitSettings
from mammoscope.files import write_text
from mammoscope.kinds import SOUGHT
from mammoscope.stages.manifests import BundleManifest, Role, StepManifest

# What a new step of a role takes the place of. A rescorer was trained on what another detector proposes.
REPLACED: dict[RoleName, tuple[str, ...]] = {
    "detect": ("detect", "rescore", "joint"),
    "rescore": ("rescore",),
    "segment": ("segment",),
    "classify": ("classify",),
    "joint": ("detect", "rescore", "segment", "classify", "joint"),
}
_EVEN = 0.5  # malignancy threshold of a newly calibrated classifier: the more likely class


def swapped(
    base: Bundle, role: RoleName, new: Path | str, dataset: Dataset, out: Path, *, split: SplitSettings | None = None
) -> Bundle:
    """Write a copy of a bundle in which another step does the work of a role.

    Parameters
    ----------
    base
        The bundle whose other steps are kept, as they are. ``REPLACED`` says which steps are not.
    role
        Of the new step.
    new
        The folder of a finished training; or the name of a step's implementation that needs no network, such as
        ``"average-mask"``.
    dataset
        What it was trained on. The step is fitted on the validation patients.
    out
        The new bundle's folder; replaced if it is a bundle.
    split
        Which patients validate; a training knows its own.

    Raises
    ------
    RecipeError
        The training has no validated weights, is of another dataset, or finds the breast by other settings than the
        bundle; there is no implementation of that name; or no bundle has steps of that role.
    """
    source = _trained(base, role, new, dataset)
    settings = source.split if source else split or SplitSettings()
    sought = {kind.name for kind in SOUGHT}
    training, validation = (part.of_kinds(sought) for part in split_patients(dataset, **settings.model_dump()))
    with new_bundle_folder(out) as folder:
        kept = [step for step in base.manifest.steps if step.role not in REPLACED[role]]
        for step in kept:
            copied_files(step, base.folder, folder)
        if source is None:
            step = extra_step(ExtraStep(_name_for(str(new), kept), str(new), cast(Role, role)))
            step = step.model_copy(update={"files": MAKERS[role].more_files(training, folder)})
        else:
            step = trained_step(
                source,
                MAKERS[role],
                folder,
                dataset=dataset,
                training=training,
                validation=validation,
                rescored=any(other.role == "rescore" for other in kept),
            )
        manifest = base.manifest.model_copy(update={"steps": _placed(step, kept), "metrics": {}})
        if source is not None and role == "joint":
            manifest = manifest.model_copy(update={"preprocess": source.preprocess})
        if source is not None and role in ("classify", "joint"):
            thresholds = manifest.thresholds.model_copy(update={"malignancy": _EVEN})
            manifest = manifest.model_copy(update={"thresholds": thresholds})
        manifest = BundleManifest.model_validate(manifest.model_dump())  # a chain, with names that differ
        validation = split_patients(dataset, **settings.model_dump())[1].of_kinds(Bundle(folder, manifest, "").kinds)
        manifest = fit_step(manifest, step.name, folder, validation)
        if role in ("detect", "joint"):
            manifest = with_detection_threshold(manifest, folder, _threshold(manifest, folder, validation))
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return load_bundle(out)


def _trained(base: Bundle, role: RoleName, new: Path | str, dataset: Dataset) -> Run | None:
    """The training that the new step comes from, see ``swapped``; None if it is an implementation's name."""
    if role not in REPLACED:
        raise RecipeError(f"{new}: a {NOUNS[role]} is no step of a bundle")
    if not isinstance(new, Path):
        return None
    source = open_source(role, new)
    if not isinstance(source, Run):
        raise RecipeError(f"{new}: is a bundle, expected a training")
    if source.data_sha256 != dataset.sha256:
        raise RecipeError(f"{new}: was trained on another dataset than {dataset.folder}")
    if role != "joint" and source.preprocess != base.manifest.preprocess:
        raise RecipeError(f"{new}: finds the breast by other settings than the bundle {base.folder}")
    return source


def _threshold(manifest: BundleManifest, folder: Path, validation: Dataset) -> float:
    """The detection score from which validation finds as many regions as there are lesions, as ``build_bundle`` has it.

    It stays as it is where there is none.
    """
    chosen = threshold_at_lesion_count(analyse_images(validation, Bundle(folder, manifest, "")))
    return manifest.thresholds.detection if chosen is None else round(chosen, 4)


def _name_for(implementation: str, kept: Sequence[StepManifest]) -> str:
    """A name in the bundle for a step of another implementation than the usual."""
    return implementation if all(step.name != implementation for step in kept) else f"{implementation}-swapped"


def _placed(step: StepManifest, kept: Sequence[StepManifest]) -> tuple[StepManifest, ...]:
    """The steps with the new one where its role runs."""
    select = [other.role for other in kept].index("select")
    if step.role in ("detect", "joint"):
        place = 0
    elif step.role == "rescore":
        place = select
    elif step.role == "segment":
        place = select + 1
    else:
        place = len(kept)
    return (*kept[:place], step, *kept[place:])
