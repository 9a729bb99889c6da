"""What a bundle fits on its validation patients beside the networks: scales, thresholds, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle, BundleManifest
from mammoscope.bundling.calibration import (
    best_box_scale,
    best_enlarged_shift,
    best_mask_threshold,
    best_reducer_weight,
    fit_platt,
)
from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.evaluation.cases import (
    crop_rois,
    detect_images,
    detected_image,
    lesions_with_crop,
    prepared_images,
)
from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.stages.classify import OnnxClassifier
from mammoscope.stages.rescore import OnnxReducer
from mammoscope.stages.roi import ROI_SIZE, Roi, RoiBatch, cut_roi
from mammoscope.stages.segment import enlargement
from mammoscope.stages.step import Masks, Regions


def fit_on_validation(manifest: BundleManifest, folder: Path, validation: Dataset) -> BundleManifest:
    """Fit the boxes' scale, the reducer's weight, the mask's threshold and shift, and the classifier's calibration.

    All on validation patients. The scale is fitted to the detector alone, the weight then to scaled boxes. Crops set
    the mask's threshold, for they are sharp, as full-resolution images are; the shift then suits it to cuts from
    images of few pixels. The classifier sees both, with predicted masks.
    """
    manifest = with_stage(manifest, "detector", box_scale=1.0)
    manifest = with_stage(manifest, "segmenter", enlarged_shift=0.0)
    unfitted = Bundle(folder, manifest.model_copy(update={"reducer": None}), "")
    manifest = with_stage(manifest, "detector", box_scale=best_box_scale(detect_images(validation, unfitted)))
    if manifest.reducer:
        found, looked = _looked_at_again(validation, Bundle(folder, manifest, ""))
        manifest = with_stage(manifest, "reducer", weight=best_reducer_weight(found, looked))

    lesions = lesions_with_crop(validation)
    crops, crop_masks = crop_rois(validation, lesions)
    chances = unfitted.segmenter.segment(crops).probabilities
    threshold = best_mask_threshold(chances, crop_masks)
    cuts = _cut(validation, unfitted)
    outlined = [place for place, mask in enumerate(cuts.masks) if mask is not None]
    shift = best_enlarged_shift(
        unfitted.segmenter.segment(cuts.rois).probabilities[outlined],
        np.array([cuts.masks[place] for place in outlined], dtype=bool).reshape(-1, ROI_SIZE, ROI_SIZE),
        enlargement(cuts.rois)[outlined],
        threshold,
    )
    manifest = with_stage(manifest, "segmenter", threshold=threshold, enlarged_shift=shift)

    bundle = Bundle(folder, manifest, "")
    classifier = cast(OnnxClassifier, bundle.classifier)
    logits = (
        classifier.logits(crops, Masks(chances, threshold)),  # crops are not enlarged, no shift meets them
        classifier.logits(cuts.rois, bundle.segmenter.segment(cuts.rois)),
    )
    malignant = [lesion.malignant for lesion in lesions] + cuts.malignant
    fitted = fit_platt(np.concatenate(logits), np.array(malignant))
    return with_stage(manifest, "classifier", slope=fitted.slope, intercept=fitted.intercept)


def with_stage(manifest: BundleManifest, stage: str, **changes: Any) -> BundleManifest:
    """A manifest with other settings of one stage."""
    return manifest.model_copy(update={stage: getattr(manifest, stage).model_copy(update=changes)})


def _looked_at_again(validation: Dataset, bundle: Bundle) -> tuple[list[DetectedImage], list[NDArray[np.float64]]]:
    """What the detector alone finds on each image, and the reducer's logits for it."""
    reducer = cast(OnnxReducer, bundle.reducer)
    found: list[DetectedImage] = []
    logits: list[NDArray[np.float64]] = []
    for image, lesions, prepared in prepared_images(validation, bundle, None):
        if prepared is None:
            regions, looked = Regions(np.zeros((0, 4)), np.zeros(0)), np.zeros(0)
        else:
            regions = bundle.proposer.detect(prepared)
            looked = reducer.logits(prepared, regions.boxes)
        found.append(detected_image(image, lesions, prepared, regions))
        logits.append(looked)
    return found, logits


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Lesions cut from full images: ROIs, which are malignant, and ``(S, S) bool`` masks where they are known."""

    rois: RoiBatch
    malignant: list[bool]
    masks: list[NDArray[np.bool_] | None]


def _cut(validation: Dataset, bundle: Bundle) -> _Cuts:
    """The cuts by the true boxes, with the published masks that can be laid on them."""
    rois: list[Roi] = []
    malignant: list[bool] = []
    masks: list[NDArray[np.bool_] | None] = []
    for _, lesions, prepared in prepared_images(validation, bundle, None):
        if prepared is None:
            continue
        for lesion in lesions:
            box = prepared.from_original.boxes(lesion.box[None])[0]
            rois.append(cut_roi(prepared.pixels, box, prepared.pixel_aspect))
            malignant.append(lesion.malignant)
            masks.append(mask_in_cut(validation, lesion, prepared, rois[-1])[0] if placed(lesion) else None)
    return _Cuts(RoiBatch.of(rois), malignant, masks)
