"""Build a model bundle from three finished trainings, and measure it on their validation patients."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mammoscope import NOTICE
from mammoscope.bundle import (
    AVERAGE_MASK,
    MANIFEST,
    Bundle,
    BundleManifest,
    ClassifierManifest,
    DetectorManifest,
    Figure,
    Provenance,
    SegmenterManifest,
    StageManifest,
    file_sha256,
    load_bundle,
)
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.lesions import Dataset, load_dataset
from mammoscope.datasets.splits import split_patients, write_split
from mammoscope.errors import RecipeError
from mammoscope.evaluation.run import evaluate
from mammoscope.geometry import Frame, FrameChange
from mammoscope.networks.retinanet import RetinaNetExport
from mammoscope.stages.classify import OnnxClassifier
from mammoscope.stages.detect import detector_input
from mammoscope.stages.inference import load_session
from mammoscope.stages.preprocess import preprocess
from mammoscope.stages.protocols import Masks
from mammoscope.stages.roi import RoiBatch, cut_rois, stretch_contrast
from mammoscope.training.anchors import Anchors
from mammoscope.training.calibrate import Calibration, best_mask_threshold, fit_platt
from mammoscope.training.checkpoint import load_weights
from mammoscope.training.classifier import make_classifier
from mammoscope.training.detector import make_detector
from mammoscope.training.export import export_onnx, largest_difference
from mammoscope.training.lesion_rois import load_crop
from mammoscope.training.loop import BEST
from mammoscope.training.pictures import as_input
from mammoscope.training.recipe import ClassifierRecipe, DetectorRecipe, Recipe, SegmenterRecipe, recipe_of
from mammoscope.training.run import read_run
from mammoscope.training.segmenter import make_segmenter

LARGEST_DIFFERENCE = 1e-3
_LICENCE = "Apache-2.0"
_DATA_CREDIT = (
    "Sawyer-Lee R, Gimenez F, Hoogi A, Rubin D. Curated Breast Imaging Subset of Digital Database for Screening "
    "Mammography (CBIS-DDSM), The Cancer Imaging Archive, 2016, doi 10.7937/K9/TCIA.2016.7O02S9CY, CC BY 3.0"
)
_CREDITS = {
    "tf_efficientnet_lite0": "Started from EfficientNet-Lite0 (TPU EfficientNet-Lite release, Apache-2.0), ImageNet",
    "tf_efficientnet_lite2": "Started from EfficientNet-Lite2 (TPU EfficientNet-Lite release, Apache-2.0), ImageNet",
}
_EXAMPLES = 16  # real pictures on which ONNX and torch are compared


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, what ``run.json`` says, its recipe, and its model with the best weights."""

    folder: Path
    facts: dict[str, Any]
    recipe: Recipe
    model: nn.Module
    header: dict[str, Any]


def build_bundle(
    detector: Path,
    segmenter: Path,
    classifier: Path,
    dataset_folder: Path,
    out: Path,
    *,
    name: str,
    version: str,
    log: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Export three trainings, calibrate them, measure them, and write the bundle.

    Thresholds and calibration are fitted on the validation patients of the trainings, which must have been divided
    alike; so are the figures in the manifest, which are therefore figures of validation, not of test.

    Parameters
    ----------
    detector, segmenter, classifier
        Folders of finished trainings.
    dataset_folder
        The dataset that they were trained on.
    out
        The bundle's folder; replaced as a whole if it is a bundle already.

    Raises
    ------
    RecipeError
        A training is not finished, the three were divided differently, or an ONNX file differs from its network by more
        than ``LARGEST_DIFFERENCE``.
    """
    dataset = load_dataset(dataset_folder)
    runs = [
        _open_detector(detector),
        _open_segmenter(segmenter),
        _open_classifier(classifier),
    ]
    split = _common_split(runs, dataset)
    training, validation = split_patients(dataset, **split)
    if out.exists() and not (out / MANIFEST).is_file():
        raise RecipeError(f"{out}: is there and no bundle; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "bundle"
        folder.mkdir()
        pictures = _real_pictures(validation, runs[0])
        stages = [
            _export_detector(runs[0], training, validation, folder, pictures),
            _export_segmenter(runs[1], training, validation, folder, pictures),
            _export_classifier(runs[2], training, validation, folder, pictures),
        ]
        for stage in stages:
            log(f"{stage.file}: differs from its network by {stage.provenance.onnx_difference:.1e} at most")
        manifest = BundleManifest(
            name=name,
            version=version,
            licence=_LICENCE,
            notice=NOTICE,
            preprocess=runs[0].recipe.preprocess,
            detector=stages[0],
            segmenter=stages[1],
            classifier=stages[2],
        )
        manifest = _calibrated(manifest, folder, validation)
        log(
            f"thresholds: mask {manifest.segmenter.threshold}; calibration: slope {manifest.classifier.slope}, "
            f"intercept {manifest.classifier.intercept}"
        )
        _write_split_and_measure(manifest, folder, dataset, split, Path(place), log)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    return load_bundle(out)


def _open_detector(folder: Path) -> Run:
    facts = _finished(folder, "detector", folder / BEST)
    recipe = cast(DetectorRecipe, recipe_of("detector", facts["recipe"]))
    anchors = facts["anchors"]
    model = make_detector(recipe, None, Anchors(anchors["base"], tuple(anchors["ratios"]), anchors["fit"]))
    header = load_weights(model, folder / BEST)
    return Run(folder, facts, recipe, RetinaNetExport(model.eval(), recipe.input_size), header)


def _open_segmenter(folder: Path) -> Run:
    facts = _finished(folder, "segmenter", folder / BEST)
    recipe = cast(SegmenterRecipe, recipe_of("segmenter", facts["recipe"]))
    model = make_segmenter(recipe)
    return Run(folder, facts, recipe, model, load_weights(model, folder / BEST))


def _open_classifier(folder: Path) -> Run:
    facts = _finished(folder, "classifier", folder / "tuned" / BEST)
    recipe = cast(ClassifierRecipe, recipe_of("classifier", facts["recipe"]))
    model = make_classifier(recipe)
    return Run(folder, facts, recipe, model, load_weights(model, folder / "tuned" / BEST))


def _finished(folder: Path, task: str, weights: Path) -> dict[str, Any]:
    facts = read_run(folder)
    if facts.get("task") != task:
        raise RecipeError(f"{folder}: holds a training of {facts.get('task')!r}, expected {task!r}")
    if not weights.is_file():
        raise RecipeError(f"{folder}: the training is not finished, {weights.name} is not there")
    return facts


def _common_split(runs: list[Run], dataset: Dataset) -> dict[str, int]:
    splits = [{key: run.facts["split"][key] for key in ("fold", "folds", "seed")} for run in runs]
    for run, split in zip(runs, splits, strict=True):
        if split != splits[0]:
            raise RecipeError(
                f"{run.folder}: its patients were divided by {split}, those of the detector by {splits[0]}"
            )
        if run.facts["dataset"]["sha256"] != dataset.sha256:
            raise RecipeError(f"{run.folder}: was trained on another dataset than {dataset.folder}")
        if run.recipe.preprocess != runs[0].recipe.preprocess:
            raise RecipeError(f"{run.folder}: its recipe finds the breast by other settings than the detector's")
    return splits[0]


@dataclass(frozen=True, eq=False)
class _Pictures:
    """Real pictures of validation patients: breasts ``(N, S, S)``, and ROIs with their masks ``(M, S, S)``, uint8."""

    breasts: NDArray[np.uint8]
    rois: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def _real_pictures(validation: Dataset, detector: Run) -> _Pictures:
    recipe = cast(DetectorRecipe, detector.recipe)
    breasts = []
    for image in list(validation.images)[: _EXAMPLES // 4]:
        prepared = preprocess(dataset_mammogram(validation, image), recipe.preprocess)
        if prepared is not None:
            breasts.append(detector_input(prepared, recipe.input_size, recipe.input_size, recipe.contrast)[0])
    crops = [crop for crop in (load_crop(validation, lesion) for lesion in validation.lesions) if crop][:_EXAMPLES]
    if not breasts or not crops:
        raise RecipeError(
            f"{validation.folder}: its validation patients have no breast or no crop to test the bundle on"
        )
    rois, masks = np.stack([stretch_contrast(crop.pixels) for crop in crops]), np.stack([crop.mask for crop in crops])
    return _Pictures(np.stack(breasts), rois, masks)


def _export_detector(
    run: Run, training: Dataset, validation: Dataset, folder: Path, pictures: _Pictures
) -> DetectorManifest:
    recipe = cast(DetectorRecipe, run.recipe)
    path = folder / "detector.onnx"
    size = recipe.input_size
    export_onnx(run.model, {"image": torch.zeros(1, 1, size, size)}, ["boxes", "scores"], path, dynamic_batch=False)
    images = as_input(list(pictures.breasts), recipe, torch.device("cpu"))
    difference = 0.0
    for image in images[:, None]:
        boxes, scores = _outputs(run.model, {"image": image})
        onnx_boxes, onnx_scores = load_session(path).run(None, {"image": image.numpy()})
        # Boxes count by their share of the picture, so that one number serves for both.
        difference = max(difference, largest_difference([onnx_boxes / size, onnx_scores], [boxes / size, scores]))
    return DetectorManifest(
        **_common(run, training, validation, path, size, difference), threshold=0.5, contrast=recipe.contrast
    )


def _export_segmenter(
    run: Run, training: Dataset, validation: Dataset, folder: Path, pictures: _Pictures
) -> SegmenterManifest:
    recipe = cast(SegmenterRecipe, run.recipe)
    path = folder / "segmenter.onnx"
    size = recipe.input_size
    export_onnx(run.model, {"roi": torch.zeros(2, 1, size, size)}, ["logits"], path, dynamic_batch=True)
    inputs = {"roi": as_input(_at_size(pictures.rois, size), recipe, torch.device("cpu"))}
    difference = _chance_difference(run.model, inputs, path)
    _write_average_mask(training, folder / AVERAGE_MASK)
    return SegmenterManifest(
        **_common(run, training, validation, path, size, difference),
        threshold=0.5,
        average_mask_sha256=file_sha256(folder / AVERAGE_MASK),
        contrast=recipe.contrast,
    )


def _export_classifier(
    run: Run, training: Dataset, validation: Dataset, folder: Path, pictures: _Pictures
) -> ClassifierManifest:
    recipe = cast(ClassifierRecipe, run.recipe)
    path = folder / "classifier.onnx"
    size = recipe.input_size
    example = torch.zeros(2, 1, size, size)
    export_onnx(run.model, {"roi": example, "mask": example}, ["logit"], path, dynamic_batch=True)
    masks = torch.from_numpy(np.stack(_at_size(pictures.masks, size)) > 127)[:, None].float()
    inputs = {"roi": as_input(_at_size(pictures.rois, size), recipe, torch.device("cpu")), "mask": masks}
    difference = _chance_difference(run.model, inputs, path)
    return ClassifierManifest(
        **_common(run, training, validation, path, size, difference),
        threshold=0.5,  # of the calibrated probability: the more likely class
        slope=1.0,
        intercept=0.0,
        contrast=recipe.contrast,
    )


def _at_size(pictures: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    return [np.asarray(cv2.resize(picture, (size, size)), dtype=np.uint8) for picture in pictures]


def _outputs(model: nn.Module, inputs: Mapping[str, Tensor]) -> list[NDArray[np.float32]]:
    with torch.inference_mode():
        result = model.eval()(*inputs.values())
    return [tensor.numpy() for tensor in (result if isinstance(result, tuple) else (result,))]


def _chance_difference(model: nn.Module, inputs: Mapping[str, Tensor], path: Path) -> float:
    """Largest difference in probability between the network and its file."""
    theirs = load_session(path).run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    ours = _outputs(model, inputs)
    chances = [[torch.from_numpy(values).sigmoid().numpy() for values in outputs] for outputs in (theirs, ours)]
    return largest_difference(chances[0], chances[1])


def _common(
    run: Run, training: Dataset, validation: Dataset, path: Path, size: int, difference: float
) -> dict[str, Any]:
    if difference > LARGEST_DIFFERENCE:
        raise RecipeError(
            f"{path.name}: differs from its network by {difference:.1e}, more than {LARGEST_DIFFERENCE:g}"
        )
    split = run.facts["split"]
    credit = _CREDITS.get(run.recipe.backbone or "") if run.facts["init"] else None
    provenance = Provenance(
        recipe=run.facts["recipe"],
        data=run.facts["dataset"]["name"],
        data_sha256=run.facts["dataset"]["sha256"],
        split=f"by patient, fold {split['fold']} of {split['folds']} validates, seed {split['seed']}",
        training_patients=len(training.patients),
        validation_patients=len(validation.patients),
        epochs=run.header["epoch"],
        code_version=run.facts["versions"]["mammoscope"],
        licence=_LICENCE,
        credits=tuple(line for line in (_DATA_CREDIT, credit) if line),
        onnx_difference=float(f"{difference:.2g}"),
    )
    return {
        "file": path.name,
        "sha256": file_sha256(path),
        "input_height": size,
        "input_width": size,
        "mean": run.recipe.mean,
        "std": run.recipe.std,
        "provenance": provenance,
    }


def _write_average_mask(training: Dataset, path: Path) -> None:
    """The mean of the training masks, 8 bits: what a figure of the segmenter is compared with."""
    masks = [crop.mask for crop in (load_crop(training, lesion) for lesion in training.lesions) if crop]
    cv2.imwrite(str(path), np.mean(masks, axis=0).round().astype(np.uint8))


def _calibrated(manifest: BundleManifest, folder: Path, validation: Dataset) -> BundleManifest:
    """Fit the mask's threshold, then the classifier's calibration with predicted masks, on validation patients."""
    bundle = Bundle(folder, manifest, "")
    crops = [(lesion, crop) for lesion in validation.lesions if (crop := load_crop(validation, lesion))]
    change = FrameChange(Frame.PREPROCESSED, Frame.ROI)
    rois = RoiBatch(np.stack([stretch_contrast(crop.pixels) for _, crop in crops]), (change,) * len(crops))
    truth = np.stack([crop.mask > 127 for _, crop in crops])
    masks = bundle.segmenter.segment(rois)
    threshold = best_mask_threshold(masks.probabilities, truth)

    classifier = cast(OnnxClassifier, bundle.classifier)
    logits = list(classifier.logits(rois, Masks(masks.probabilities, threshold)))
    labels = [lesion.malignant for lesion, _ in crops]
    for image, lesions in validation.images.items():
        prepared = preprocess(dataset_mammogram(validation, image), manifest.preprocess)
        if prepared is None:
            continue
        cut = cut_rois(prepared, prepared.from_original.boxes(np.stack([lesion.box for lesion in lesions])))
        logits += list(classifier.logits(cut, Masks(bundle.segmenter.segment(cut).probabilities, threshold)))
        labels += [lesion.malignant for lesion in lesions]
    fitted: Calibration = fit_platt(np.array(logits), np.array(labels))
    return manifest.model_copy(
        update={
            "segmenter": manifest.segmenter.model_copy(update={"threshold": threshold}),
            "classifier": manifest.classifier.model_copy(update={"slope": fitted.slope, "intercept": fitted.intercept}),
        }
    )


def _write_split_and_measure(
    manifest: BundleManifest,
    folder: Path,
    dataset: Dataset,
    split: dict[str, int],
    place: Path,
    log: Callable[[str], None],
) -> None:
    """Choose the detector's threshold, put the validation figures in the manifest, and write it."""
    _, validation_folder = write_split(dataset, place / "split", **split)
    reports: dict[str, dict[str, Any]] = {}
    for stage in ("pipeline", "detector", "segmenter", "classifier"):
        bundle = Bundle(folder, manifest, "")
        report = evaluate(stage, validation_folder, place / stage, bundle)
        reports[stage] = json.loads(report.read_text(encoding="utf-8"))
        if stage == "pipeline":
            threshold = round(float(reports["pipeline"]["at_lesion_count"]["threshold"]), 4)
            log(f"thresholds: detection {threshold}, where validation finds as many regions as there are lesions")
            manifest = _with(manifest, "detector", threshold=threshold)
    for stage in ("detector", "segmenter", "classifier"):
        model = cast(StageManifest, getattr(manifest, stage))
        metrics = _figures(reports[stage])
        manifest = _with(manifest, stage, provenance=model.provenance.model_copy(update={"metrics": metrics}))
        log(
            f"{stage} on {validation_folder.name}: "
            + "  ".join(f"{key} {_shown(value)}" for key, value in metrics.items())
        )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _with(manifest: BundleManifest, stage: str, **changes: Any) -> BundleManifest:
    return manifest.model_copy(update={stage: getattr(manifest, stage).model_copy(update=changes)})


def _figures(report: Mapping[str, Any], prefix: str = "") -> dict[str, Figure | float | int]:
    """The figures of a report under flat names: ``crops.predicted_mask.auc``."""
    found: dict[str, Figure | float | int] = {}
    for key, value in report.items():
        if isinstance(value, Mapping):
            if isinstance(value.get("value"), int | float) and value.get("ci95"):
                found[f"{prefix}{key}"] = Figure(value=round(value["value"], 4), ci95=_rounded(value["ci95"]))
            elif not prefix or "." not in prefix.rstrip("."):
                found |= _figures(value, f"{prefix}{key}.")
        elif key in ("images", "lesions", "malignant"):
            found[f"{prefix}{key}"] = value
    return found


def _rounded(interval: list[float]) -> tuple[float, float]:
    return round(interval[0], 4), round(interval[1], 4)


def _shown(value: Figure | float | int) -> str:
    return f"{value.value:.3f}" if isinstance(value, Figure) else f"{value:g}"
