"""What a bundle fits on its validation patients beside the networks: scales, thresholds, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle, BundleManifest
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.lesions import Dataset
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.evaluation.cases import detect_images
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.classify import OnnxClassifier
from mammoscope.stages.preprocess import PreprocessSettings, preprocess
from mammoscope.stages.roi import ROI_SIZE, Roi, RoiBatch, cut_roi, stretch_contrast
from mammoscope.stages.segment import enlargement
from mammoscope.training.calibrate import best_box_scale, best_enlarged_shift, best_mask_threshold, fit_platt
from mammoscope.training.lesion_rois import load_crop


def fit_on_validation(manifest: BundleManifest, folder: Path, validation: Dataset) -> BundleManifest:
    """Fit the boxes' scale, the mask's threshold and shift, and the classifier's calibration, on validation patients.

    Crops set the threshold, for they are sharp, as full-resolution images are; the shift then suits it to cuts from
    images of few pixels. The classifier sees both, with predicted masks.
    """
    manifest = with_stage(manifest, "detector", box_scale=1.0)
    found = detect_images(validation, Bundle(folder, manifest, ""))
    manifest = with_stage(manifest, "detector", box_scale=best_box_scale(found))
    crops, cuts = _crops(validation), _cuts(validation, manifest.preprocess)
    segmenter = Bundle(folder, with_stage(manifest, "segmenter", enlarged_shift=0.0), "").segmenter
    known = np.array([mask is not None for mask in cuts.masks])
    threshold = best_mask_threshold(segmenter.segment(crops.rois).probabilities, _stacked(crops.masks))
    shift = best_enlarged_shift(
        segmenter.segment(cuts.rois).probabilities[known],
        _stacked(cuts.masks),
        enlargement(cuts.rois)[known],
        threshold,
    )
    manifest = with_stage(manifest, "segmenter", threshold=threshold, enlarged_shift=shift)
    bundle = Bundle(folder, manifest, "")
    classifier = cast(OnnxClassifier, bundle.classifier)
    logits = [classifier.logits(part.rois, bundle.segmenter.segment(part.rois)) for part in (crops, cuts)]
    fitted = fit_platt(np.concatenate(logits), np.array(crops.malignant + cuts.malignant))
    return with_stage(manifest, "classifier", slope=fitted.slope, intercept=fitted.intercept)


def with_stage(manifest: BundleManifest, stage: str, **changes: Any) -> BundleManifest:
    """A manifest with other settings of one stage."""
    return manifest.model_copy(update={stage: getattr(manifest, stage).model_copy(update=changes)})


@dataclass(frozen=True, eq=False)
class _Shown:
    """Lesions as the stages see them: ROIs, which are malignant, and ``(S, S) bool`` masks where they are known."""

    rois: RoiBatch
    malignant: list[bool]
    masks: list[NDArray[np.bool_] | None]


def _stacked(masks: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_]:
    """Those that are known; none is an empty stack."""
    known = [mask for mask in masks if mask is not None]
    return np.stack(known) if known else np.zeros((0, ROI_SIZE, ROI_SIZE), dtype=bool)


def _crops(validation: Dataset) -> _Shown:
    """The published crops."""
    crops = [(lesion, crop) for lesion in validation.lesions if (crop := load_crop(validation, lesion))]
    change = FrameChange(Frame.PREPROCESSED, Frame.ROI)
    rois = [Roi(stretch_contrast(crop.pixels), change) for _, crop in crops]
    return _Shown(RoiBatch.of(rois), [lesion.malignant for lesion, _ in crops], [crop.mask > 127 for _, crop in crops])


def _cuts(validation: Dataset, settings: PreprocessSettings) -> _Shown:
    """The cuts by the true boxes from full images, with the published masks that can be laid on them."""
    rois: list[Roi] = []
    malignant: list[bool] = []
    masks: list[NDArray[np.bool_] | None] = []
    for image, lesions in validation.images.items():
        prepared = preprocess(dataset_mammogram(validation, image), settings)
        if prepared is None:
            continue
        for lesion in lesions:
            box = prepared.from_original.boxes(lesion.box[None])[0]
            rois.append(cut_roi(prepared.pixels, box, prepared.pixel_aspect))
            malignant.append(lesion.malignant)
            masks.append(mask_in_cut(validation, lesion, prepared, rois[-1])[0] if placed(lesion) else None)
    return _Shown(RoiBatch.of(rois), malignant, masks)
