"""Build a model bundle from finished trainings, and measure it on their validation patients."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from mammoscope import NOTICE
from mammoscope.bundle import MANIFEST, Bundle, BundleManifest, Figure, StageManifest, load_bundle
from mammoscope.bundling.fits import fit_on_validation, with_stage
from mammoscope.bundling.sources import (
    common_split,
    open_bundled,
    open_classifier,
    open_detector,
    open_reducer,
    open_segmenter,
)
from mammoscope.bundling.stage_files import (
    LICENCE,
    REDUCED_OVERLAPS,
    classifier_file,
    detector_file,
    real_pictures,
    reducer_file,
    segmenter_file,
)
from mammoscope.datasets.layout import load_dataset
from mammoscope.datasets.splits import split_patients, write_split
from mammoscope.errors import RecipeError
from mammoscope.evaluation.run import Stage, evaluate
from mammoscope.files import write_text

_STAGES: tuple[Stage, ...] = ("detector", "segmenter", "classifier")
_COUNTS = ("images", "lesions", "malignant")
_NO_FIGURES = ("definition", "published_reference", "dataset", "bundle")


def build_bundle(
    detector: Path,
    segmenter: Path,
    classifier: Path,
    dataset_folder: Path,
    out: Path,
    *,
    reducer: Path | None = None,
    name: str,
    version: str,
    log: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Export trainings, calibrate them, measure them, and write the bundle.

    Thresholds and calibration are fitted on the validation patients of the trainings, which must have been divided
    alike; so are the figures in the manifest, which are therefore figures of validation, not of test.

    Parameters
    ----------
    detector, segmenter, classifier, reducer
        Folders of finished trainings, or of a bundle whose stage is taken as it is, to swap one network only.
        Without a reducer the detector's scores stand alone.
    dataset_folder
        The dataset that they were trained on.
    out
        The bundle's folder; replaced as a whole if it is a bundle already.

    Raises
    ------
    RecipeError
        A training has no validated weights yet, they were divided differently, or an ONNX file differs from its
        network by more than ``LARGEST_DIFFERENCE``.
    """
    dataset = load_dataset(dataset_folder)
    runs = (
        open_bundled(detector, "detector") or open_detector(detector),
        open_bundled(segmenter, "segmenter") or open_segmenter(segmenter),
        open_bundled(classifier, "classifier") or open_classifier(classifier),
    )
    looks_again = (open_bundled(reducer, "reducer") or open_reducer(reducer)) if reducer else None
    split = common_split((*runs, *([looks_again] if looks_again else [])), dataset)
    training, validation = split_patients(dataset, **split)
    if out.exists() and not (out / MANIFEST).is_file():
        raise RecipeError(f"{out}: is there and no bundle; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "bundle"
        folder.mkdir()
        pictures = real_pictures(validation, runs[0])
        manifest = BundleManifest(
            name=name,
            version=version,
            licence=LICENCE,
            notice=NOTICE,
            preprocess=runs[0].recipe.preprocess,
            detector=detector_file(runs[0], training, validation, folder, pictures),
            reducer=reducer_file(looks_again, training, validation, folder, pictures) if looks_again else None,
            segmenter=segmenter_file(runs[1], training, validation, folder, pictures),
            classifier=classifier_file(runs[2], training, validation, folder, pictures),
        )
        if looks_again:
            manifest = with_stage(manifest, "detector", **REDUCED_OVERLAPS)
        for stage in manifest.models:
            log(f"{stage.file}: differs from its network by {stage.provenance.onnx_difference:.1e} at most")
        manifest = fit_on_validation(manifest, folder, validation)
        log(
            f"boxes {manifest.detector.box_scale} times as long; "
            + (f"weight of the reducer {manifest.reducer.weight}; " if manifest.reducer else "")
            + f"mask threshold {manifest.segmenter.threshold}, "
            f"shift of enlarged ROIs {manifest.segmenter.enlarged_shift}; calibration: slope "
            f"{manifest.classifier.slope}, intercept {manifest.classifier.intercept}"
        )
        _, validation_folder = write_split(dataset, Path(place) / "split", **split)
        manifest = _measured(manifest, folder, validation_folder, Path(place), log)
        write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    return load_bundle(out)


def _measured(
    manifest: BundleManifest, folder: Path, validation_folder: Path, place: Path, log: Callable[[str], None]
) -> BundleManifest:
    """Choose the detector's threshold, and put the figures of the validation patients in the manifest."""

    def report_of(stage: Stage) -> dict[str, Any]:
        report = evaluate(stage, validation_folder, place / stage, Bundle(folder, manifest, ""))
        return cast("dict[str, Any]", json.loads(report.read_text(encoding="utf-8")))

    chain = report_of("pipeline")
    threshold = chain["at_lesion_count"]["threshold"]
    manifest = with_stage(manifest, "detector", threshold=round(float(threshold or manifest.detector.threshold), 4))
    kept = {name: chain[name] for name in (*_COUNTS, "at_lesion_count", "at_one_false_positive") if name in chain}
    manifest = manifest.model_copy(update={"pipeline_metrics": _figures(kept)})
    log(f"detection threshold {manifest.detector.threshold}: validation finds as many regions as there are lesions")
    for stage in _STAGES:
        metrics = _figures(report_of(stage))
        provenance = cast(StageManifest, getattr(manifest, stage)).provenance
        manifest = with_stage(manifest, stage, provenance=provenance.model_copy(update={"metrics": metrics}))
        shown = "  ".join(f"{name} {_shown(value)}" for name, value in metrics.items())
        log(f"{stage}, validation patients: {shown}")
    return manifest


def _figures(report: Mapping[str, Any], prefix: str = "") -> dict[str, Figure | float | int]:
    """The figures of a report under flat names: ``crops.predicted_mask.auc``."""
    found: dict[str, Figure | float | int] = {}
    for key, value in report.items():
        if key in _NO_FIGURES:
            continue
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
