"""Joint networks in a bundle: the threshold of their masks, and the calibration of their malignancy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.bundle import Bundle
from mammoscope.bundling.calibration import best_mask_threshold, fit_platt
from mammoscope.bundling.roles.detect import example_breasts
from mammoscope.bundling.roles.maker import StepMaker, alone, input_settings
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.evaluation.cases import exam_cases, run
from mammoscope.evaluation.metrics.detection import match
from mammoscope.evaluation.metrics.end_to_end import MATCH_IOU
from mammoscope.families.recipe import JointRecipe
from mammoscope.geometry import box_iou
from mammoscope.stages.manifests import BundleManifest, StepManifest
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import Roi

_UNFITTED = {"mask_threshold": 0.5, "slope": 1.0, "intercept": 0.0}
_SURE = 1e-9  # probabilities nearer to 0 or 1 count as this near


class JointMaker(StepMaker[JointRecipe]):
    """See ``StepMaker``."""

    role = "joint"
    implementation = "onnx-joint"

    def settings(self, recipe: JointRecipe, *, rescored: bool) -> dict[str, Any]:
        """Masks and malignancy are as the network gives them."""
        return {**input_settings(recipe, recipe.input_size), **self.kept(recipe, rescored=rescored), **_UNFITTED}

    def kept(self, recipe: JointRecipe, *, rescored: bool) -> dict[str, Any]:
        """Which of overlapping boxes are left out."""
        return {"nms_iou": recipe.rescored_nms_iou if rescored else recipe.nms_iou}

    def examples(self, recipe: JointRecipe, validation: Dataset) -> list[dict[str, Tensor]]:
        """See ``example_breasts``."""
        return example_breasts(recipe, validation)

    def comparable(self, outputs: Sequence[NDArray[np.float32]], recipe: JointRecipe) -> list[NDArray[np.float32]]:
        """Boxes count as a share of the image's side, logits by their probabilities, scores and masks as they are."""
        boxes, scores, masks, malignancy = outputs
        return [boxes / np.float32(recipe.input_size), scores, masks, torch.from_numpy(malignancy).sigmoid().numpy()]

    def fitted(self, step: StepManifest, manifest: BundleManifest, folder: Path, validation: Dataset) -> dict[str, Any]:
        """The masks' threshold, slope and intercept, on the lesions that this network finds.

        What cannot be fitted stays as the network gives it: where no found lesion is outlined, or all are of one class.
        """
        unfitted = alone(manifest.with_settings(step.name, **_UNFITTED), step.name, folder)
        found = list(found_lesions(validation, unfitted))
        fitted: dict[str, Any] = dict(_UNFITTED)
        graded = [each for each in found if each.lesion.malignant is not None]
        labels = np.array([each.lesion.malignant for each in graded], dtype=bool)
        if labels.any() and not labels.all():
            sure = np.clip([each.malignancy for each in graded], _SURE, 1 - _SURE)
            platt = fit_platt(np.log(sure / (1 - sure)), labels)
            fitted |= {"slope": platt.slope, "intercept": platt.intercept}
        outlined = [(each.drawn, each.mask) for each in found if each.mask is not None]
        if outlined:
            drawn, masks = (np.stack(column) for column in zip(*outlined, strict=True))
            fitted["mask_threshold"] = best_mask_threshold(drawn, masks)
        return fitted


class FoundLesion(NamedTuple):
    """A lesion, and what a network says of the region that takes it.

    Attributes
    ----------
    malignancy
        Its score.
    drawn, mask
        ``(S, S)`` in the ROI: probabilities, and the truth; None where that is not known.
    """

    lesion: Lesion
    malignancy: float
    drawn: NDArray[np.float32]
    mask: NDArray[np.bool_] | None


def found_lesions(dataset: Dataset, bundle: Bundle) -> Iterator[FoundLesion]:
    """The lesions that a bundle's finding steps find, at an IoU of ``MATCH_IOU`` or more, outlined and classified."""
    for case in exam_cases(dataset, bundle):
        found = run(bundle.finding, case.exam, Candidates.none(), case.place)
        for view, (prepared, lesions) in enumerate(zip(case.exam.views, case.lesions, strict=True)):
            if prepared.breast is None:
                continue
            boxes = np.array([lesion.box for lesion in lesions], dtype=np.float64).reshape(-1, 4)
            rows = found.of_view(view).ranked()
            taken = match(box_iou(rows.boxes, prepared.breast.from_original.boxes(boxes)), MATCH_IOU)
            for row in np.flatnonzero(taken >= 0):
                yield _found_lesion(dataset, lesions[taken[row]], prepared.breast, rows.take(np.array([row])))


def _found_lesion(dataset: Dataset, lesion: Lesion, breast: Preprocessed, region: Candidates) -> FoundLesion:
    rois, masks, malignancy = region.rois, region.masks, region.malignancy_score
    assert rois is not None and masks is not None and malignancy is not None  # as a joint network gives them
    roi = Roi(rois.pixels[0], rois.from_preprocessed[0])
    mask = mask_in_cut(dataset, lesion, breast, roi)[0] if placed(lesion) else None
    return FoundLesion(lesion, float(malignancy[0]), masks.probabilities[0], mask)
