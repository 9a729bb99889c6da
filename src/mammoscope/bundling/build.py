"""Build a model bundle from finished trainings, and measure it on their validation patients."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mammoscope import NOTICE
from mammoscope.bundle import MANIFEST, Bundle, load_bundle
from mammoscope.bundling.fits import MAKERS, fit_on_validation
from mammoscope.bundling.folder import new_bundle_folder
from mammoscope.bundling.sources import Bundled, ExtraStep, Run, Source, common_split, open_source
from mammoscope.bundling.steps import LICENCE, bundled_step, extra_step, trained_step, with_files
from mammoscope.bundling.threshold import with_detection_threshold
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.splits import split_patients, write_split
from mammoscope.errors import RecipeError
from mammoscope.evaluation.run import Stage, figures_of
from mammoscope.families.family import NOUNS, RoleName
from mammoscope.files import write_text
from mammoscope.kinds import SOUGHT
from mammoscope.stages.manifests import BundleManifest, Figure, Metrics, OperatingPoint, StepManifest
from mammoscope.stages.preprocess import PreprocessSettings
from mammoscope.stages.step import SELECT

# In the order in which they run; a step of another package runs after the built-in ones of its role.
_FINDING = ("detect", "joint", "rescore", "other")
_GRADING = ("segment", "classify")
# Of what the whole chain found at each threshold, the manifest keeps these.
_POINTS = ("at_lesion_count", "at_one_false_positive")
# Which step of a bundle each evaluation is about: the first of these roles.
_STAGES: dict[Stage, tuple[RoleName, ...]] = {
    "detector": ("detect", "joint"),
    "segmenter": ("segment",),
    "classifier": ("classify",),
}
_COUNTS = ("images", "lesions", "malignant")


def build_bundle(
    sources: Mapping[RoleName, Path],
    dataset_folder: Path,
    out: Path,
    *,
    name: str | None = None,
    version: str,
    extra_steps: Sequence[ExtraStep] = (),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Export trainings, fit and calibrate them, measure them, and write the bundle.

    Steps are fitted on the validation patients of the trainings, which must have the same split. The figures in the
    manifest are of the same patients: they are validation figures, not test figures.

    Parameters
    ----------
    sources
        By role, the folder of a finished training, or of a bundle whose step of that role is taken unchanged, to
        replace only one network. Without a rescorer the detector's scores are used alone.
    dataset_folder
        The dataset that they were trained on.
    out
        The bundle's folder; replaced as a whole if it is a bundle already.
    name
        The bundle's; None makes one from the dataset's.
    extra_steps
        Steps of other packages, which run after the built-in ones of their role; one may replace a source.
    changes
        By the name of a step, settings of it that are changed before anything is fitted.

    Raises
    ------
    RecipeError
        A training has no validated weights yet, their splits differ, a step of the chain is missing, the validation
        patients have no lesion of a kind that it finds, or an ONNX file differs from its network by more than
        ``LARGEST_DIFFERENCE``.
    """
    dataset = load_dataset(dataset_folder)
    extra = [(extra_step(step), step.files) for step in extra_steps]
    opened = {role: open_source(role, folder) for role, folder in sources.items()}
    _check_chain(opened, [step for step, _ in extra])
    split = common_split(list(opened.values()), dataset).model_dump()
    training, validation = split_patients(dataset, **split)
    with new_bundle_folder(out) as folder:
        sought = {kind.name for kind in SOUGHT}  # what networks were trained on, whatever else the bundle finds
        made = _made(
            opened,
            extra,
            folder,
            dataset=dataset,
            training=training.of_kinds(sought),
            validation=validation.of_kinds(sought),
        )
        manifest = BundleManifest(
            name=name or f"mammoscope-{_slug(dataset)}",
            version=version,
            licence=LICENCE,
            notice=NOTICE,
            preprocess=next((source.preprocess for source in opened.values()), PreprocessSettings()),
            thresholds=OperatingPoint(detection=0.5, malignancy=_malignancy_threshold(opened)),
            steps=tuple(made),
        )
        manifest = _changed(manifest, changes or {})
        for step in manifest.steps:
            if step.provenance:
                log(f"{step.name}: differs from its network by {step.provenance.onnx_difference:.1e} at most")
        unfitted = manifest
        manifest = fit_on_validation(manifest, folder, _shown_to(Bundle(folder, manifest, ""), validation))
        for old, step in zip(unfitted.steps, manifest.steps, strict=True):
            changed = {key: value for key, value in step.settings.items() if old.settings.get(key) != value}
            if changed:
                log(f"{step.name}, fitted: " + ", ".join(f"{key} {value}" for key, value in changed.items()))
        _, validation_folder = write_split(dataset, folder.parent / "split", **split)
        manifest = _measured(manifest, folder, validation_folder, log)
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    return load_bundle(out)


def _changed(manifest: BundleManifest, changes: Mapping[str, object]) -> BundleManifest:
    names = [step.name for step in manifest.steps]
    for name, settings in changes.items():
        if name not in names or not isinstance(settings, Mapping):
            raise RecipeError(f"set: {name} is no STEP.SETTING of this bundle; its steps are {', '.join(names)}")
        manifest = manifest.with_settings(name, **settings)
    return manifest


def _shown_to(bundle: Bundle, validation: Dataset) -> Dataset:
    """The lesions of the kinds that the bundle finds, to fit and measure it on."""
    of_kinds = validation.of_kinds(bundle.kinds)
    if not of_kinds.lesions:
        kinds = " or ".join(sorted(bundle.kinds))
        raise RecipeError(
            f"{validation.folder}: its validation patients have no lesion of kind {kinds}, which the bundle finds"
        )
    return of_kinds


def _slug(dataset: Dataset) -> str:
    """The dataset's name as part of another."""
    return re.sub(r"[^a-z0-9]+", "-", (dataset.info.name or dataset.name).lower()).strip("-")


def _check_chain(opened: Mapping[RoleName, Source], extra: Sequence[StepManifest]) -> None:
    """Check that some step finds, outlines and classifies, and that names are unique."""
    names = [SELECT, *(_name_of(role, source) for role, source in opened.items()), *(step.name for step in extra)]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"two steps would have the name {name!r}: {', '.join(names)}")
    roles: set[str] = {*opened, *(step.role for step in extra)}
    needed: tuple[RoleName, ...] = ("detect", "segment", "classify")
    for role in needed:
        if not roles & {role, "joint"}:
            raise RecipeError(
                f"the bundle would have no {NOUNS[role]}: give the run of one, a bundle that has one, "
                f"or a step of role {role!r}"
            )


def _name_of(role: RoleName, source: Source) -> str:
    return role if isinstance(source, Run) else source.manifest.name


def _malignancy_threshold(opened: Mapping[RoleName, Source]) -> float:
    """That of the bundle that the classifier is taken from; of a new one's probability 0.5: the more likely class."""
    classifier = opened.get("classify") or opened.get("joint")
    return classifier.malignancy_threshold if isinstance(classifier, Bundled) else 0.5


def _made(
    opened: Mapping[RoleName, Source],
    extra: Sequence[tuple[StepManifest, Mapping[str, Path]]],
    folder: Path,
    *,
    dataset: Dataset,
    training: Dataset,
    validation: Dataset,
) -> list[StepManifest]:
    """The steps in the order in which they run, their files in the bundle's folder."""
    rescored = "rescore" in opened or any(step.role == "rescore" for step, _ in extra)

    def of_role(role: str) -> list[StepManifest]:
        steps = []
        source = opened.get(cast(RoleName, role))
        if isinstance(source, Run):
            steps.append(
                trained_step(
                    source,
                    MAKERS[role],
                    folder,
                    dataset=dataset,
                    training=training,
                    validation=validation,
                    rescored=rescored,
                )
            )
        elif source is not None:
            steps.append(bundled_step(source, MAKERS.get(role), folder, rescored=rescored))
        return steps + [with_files(step, files, folder) for step, files in extra if step.role == role]

    select = StepManifest(name=SELECT, role="select", implementation=SELECT)
    finding = [step for role in _FINDING for step in of_role(role)]
    return [*finding, select, *(step for role in _GRADING for step in of_role(role))]


def _measured(
    manifest: BundleManifest, folder: Path, validation_folder: Path, log: Callable[[str], None]
) -> BundleManifest:
    """Choose the detection threshold, and add the figures of the validation patients to the manifest."""

    def figures(stage: Stage) -> dict[str, Any]:
        return figures_of(stage, validation_folder, Bundle(folder, manifest, ""))

    whole = figures("pipeline")
    chosen = round(float(whole["at_lesion_count"]["threshold"] or manifest.thresholds.detection), 4)
    unset, manifest = manifest, with_detection_threshold(manifest, folder, chosen)
    if manifest.steps != unset.steps:  # what they link from the threshold changes the figures
        whole = figures("pipeline")
    kept = {key: whole[key] for key in (*_COUNTS, *_POINTS) if key in whole}
    metrics = _figures(kept)
    for name in _POINTS:
        if (threshold := whole[name]["threshold"]) is not None:
            metrics[f"{name}.threshold"] = round(float(threshold), 4)
    manifest = manifest.model_copy(update={"metrics": metrics})
    log(f"detection threshold {chosen}: validation finds as many regions as there are lesions")
    for stage, roles in _STAGES.items():
        step = next((step for role in roles if (step := manifest.first(role))), None)
        if step is None:
            continue
        measured = _figures(figures(stage))
        manifest = manifest.with_metrics(step.name, measured)
        shown = "  ".join(f"{key} {_shown(value)}" for key, value in measured.items())
        log(f"{stage}, validation patients: {shown}")
    return manifest


def _figures(measured: Mapping[str, Any], prefix: str = "") -> Metrics:
    """Figures under flat names: ``crops.predicted_mask.auc``."""
    found: Metrics = {}
    for key, value in measured.items():
        if isinstance(value, Mapping):
            if isinstance(value.get("value"), int | float) and value.get("ci95"):
                found[f"{prefix}{key}"] = Figure(value=round(value["value"], 4), ci95=_rounded(value["ci95"]))
            elif not prefix or "." not in prefix.rstrip("."):
                found |= _figures(value, f"{prefix}{key}.")
        elif key in _COUNTS and isinstance(value, int):
            found[f"{prefix}{key}"] = value
    return found


def _rounded(interval: list[float]) -> tuple[float, float]:
    return round(interval[0], 4), round(interval[1], 4)


def _shown(value: Figure | float | int) -> str:
    return f"{value.value:.3f}" if isinstance(value, Figure) else f"{value:g}"
