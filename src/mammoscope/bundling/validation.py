"""Lesions of validation patients, one at a time: what networks are compared and calibrated on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mammoscope.candidates import Candidates, RoiBatch
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.errors import RecipeError
from mammoscope.evaluation.crops import crop_case, lesions_with_crop, read_true_mask
from mammoscope.stages.preprocess import PreprocessSettings
from mammoscope.stages.roi import cut_roi, roi_batch
from mammoscope.stages.step import PreparedExam, PreparedView

_EXAMPLES = 16


@dataclass(frozen=True, eq=False)
class LesionCase:
    """A lesion as the only candidate of an exam of one view.

    Attributes
    ----------
    exam, truth
        The view, and the true candidate with its ROI.
    mask
        ``(S, S) bool`` in the ROI; None where it is not known.
    """

    lesion: Lesion
    exam: PreparedExam
    truth: Candidates
    mask: NDArray[np.bool_] | None

    @property
    def rois(self) -> RoiBatch:
        """Its ROI, as a batch."""
        assert self.truth.rois is not None  # as it was made
        return self.truth.rois


def crop_cases(dataset: Dataset) -> Iterator[LesionCase]:
    """The lesions with a published crop and mask, in these."""
    for lesion in lesions_with_crop(dataset):
        yield LesionCase(lesion, *crop_case(dataset, lesion), read_true_mask(dataset, lesion))


def cut_cases(dataset: Dataset, settings: PreprocessSettings) -> Iterator[LesionCase]:
    """All lesions, cut from their full images by their true boxes; those on images without a breast are left out."""
    for image, lesions in dataset.images.items():
        if not lesions:
            continue
        view = PreparedView.of(dataset_mammogram(dataset, image), settings)
        if view.breast is None:
            continue
        for lesion in lesions:
            box = view.breast.from_original.boxes(lesion.box[None])
            roi = cut_roi(view.breast.pixels, box[0], view.breast.pixel_aspect)
            mask = mask_in_cut(dataset, lesion, view.breast, roi)[0] if placed(lesion) else None
            truth = replace(Candidates.on_view(box, np.ones(1)), rois=roi_batch([roi]))
            yield LesionCase(lesion, PreparedExam((view,)), truth, mask)


def example_rois(dataset: Dataset, settings: PreprocessSettings) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """ROIs and masks of the first lesions, ``(N, S, S) uint8`` each, 255 in a mask; crops where there are any.

    Raises
    ------
    RecipeError
        There is none.
    """
    cases = list(islice(crop_cases(dataset), _EXAMPLES)) or list(islice(cut_cases(dataset, settings), _EXAMPLES))
    if not cases:
        raise RecipeError(f"{dataset.folder}: its validation patients have no lesion to test the bundle on")
    rois = RoiBatch.joined([case.rois for case in cases]).pixels
    masks = [np.ones(rois.shape[1:], dtype=bool) if case.mask is None else case.mask for case in cases]
    return rois, np.stack(masks) * np.uint8(255)
