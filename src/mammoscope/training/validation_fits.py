"""What a bundle fits on its validation patients beside the networks: scales, thresholds, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle, BundleManifest
from mammoscope.datasets.lesions import Dataset
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.evaluation.cases import crop_rois, detect_images, lesions_with_crop, prepared_images
from mammoscope.stages.classify import OnnxClassifier
from mammoscope.stages.protocols import Masks
from mammoscope.stages.roi import ROI_SIZE, Roi, RoiBatch, cut_roi
from mammoscope.stages.segment import enlargement
from mammoscope.training.calibrate import best_box_scale, best_enlarged_shift, best_mask_threshold, fit_platt


def fit_on_validation(manifest: BundleManifest, folder: Path, validation: Dataset) -> BundleManifest:
    """Fit the boxes' scale, the mask's threshold and shift, and the classifier's calibration, on validation patients.

    Crops set the threshold, for they are sharp, as full-resolution images are; the shift then suits it to cuts from
    images of few pixels. The classifier sees both, with predicted masks.
    """
    manifest = with_stage(manifest, "detector", box_scale=1.0)
    manifest = with_stage(manifest, "segmenter", enlarged_shift=0.0)
    unfitted = Bundle(folder, manifest, "")
    manifest = with_stage(manifest, "detector", box_scale=best_box_scale(detect_images(validation, unfitted)))

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
