"""Segmenters in a bundle: the threshold of their masks, and the shift for enlarged ROIs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.bundling.calibration import best_enlarged_shift, best_mask_threshold
from mammoscope.bundling.roles.maker import StepMaker, alone, as_inputs, input_settings
from mammoscope.bundling.validation import LesionCase, crop_cases, cut_cases, example_rois
from mammoscope.candidates import RoiBatch
from mammoscope.datasets.layout import Dataset
from mammoscope.families.recipe import SegmenterRecipe
from mammoscope.files import file_sha256
from mammoscope.stages.manifests import AVERAGE_MASK, BundleManifest, StepFile, StepManifest
from mammoscope.stages.segment import OnnxSegmenter, enlargement
from mammoscope.training.lesion_rois import load_crop

_AVERAGE_MASK_FILE = "average_mask.png"
_EVEN = 0.5  # threshold of masks if there is nothing to fit it on


class SegmenterMaker(StepMaker[SegmenterRecipe]):
    """See ``StepMaker``."""

    role = "segment"
    implementation = "onnx-segmenter"

    def settings(self, recipe: SegmenterRecipe, *, rescored: bool) -> dict[str, Any]:
        """Masks are used as the network gives them."""
        return {**input_settings(recipe, recipe.input_size), "threshold": _EVEN, "enlarged_shift": 0.0}

    def examples(self, recipe: SegmenterRecipe, validation: Dataset) -> list[dict[str, Tensor]]:
        """ROIs of the first lesions."""
        rois, _ = example_rois(validation, recipe.preprocess)
        return [{"roi": as_inputs(rois, recipe.input_size, recipe)}]

    def more_files(self, training: Dataset, folder: Path) -> dict[str, StepFile]:
        """The mean of the training masks, 8 bits: the baseline for the segmenter's figures."""
        masks = [crop.mask for crop in (load_crop(training, lesion) for lesion in training.lesions) if crop]
        if not masks:
            return {}
        path = folder / _AVERAGE_MASK_FILE
        cv2.imwrite(str(path), np.mean(masks, axis=0).round().astype(np.uint8))
        return {AVERAGE_MASK: StepFile(file=path.name, sha256=file_sha256(path))}

    def fitted(self, step: StepManifest, manifest: BundleManifest, folder: Path, validation: Dataset) -> dict[str, Any]:
        """The threshold on crops, because they are sharp like full-resolution images; then the shift on cuts.

        Without crops the threshold is fitted on cuts too.
        """
        unshifted = alone(manifest.with_settings(step.name, enlarged_shift=0.0), step.name, folder)
        segmenter = cast(OnnxSegmenter, unshifted.steps[0].step)

        def drawn(cases: Iterable[LesionCase]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
            """Probabilities, masks and enlargement of the cases whose mask is known."""
            known = [(case.rois, case.mask) for case in cases if case.mask is not None]
            if not known:
                return np.zeros((0, 1, 1), np.float32), np.zeros((0, 1, 1), bool), np.zeros(0)
            rois = RoiBatch.joined([roi for roi, _ in known])
            return segmenter.segment(rois).probabilities, np.stack([mask for _, mask in known]), enlargement(rois)

        crops, cuts = drawn(crop_cases(validation)), drawn(cut_cases(validation, manifest.preprocess))
        sharp = crops if len(crops[0]) else cuts
        threshold = best_mask_threshold(sharp[0], sharp[1]) if len(sharp[0]) else _EVEN
        return {"threshold": threshold, "enlarged_shift": best_enlarged_shift(*cuts, threshold)}
