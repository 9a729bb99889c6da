"""The published crops of a dataset's lesions, as input for the steps of a bundle, and their true masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle
from mammoscope.candidates import Candidates, RoiBatch
from mammoscope.datasets.images import read_crop
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.errors import BundleError, DatasetError
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import MASS_FRACTION, ROI_SIZE, stretch_contrast
from mammoscope.stages.step import PreparedExam, PreparedView

_AS_CUT = FrameChange(Frame.PREPROCESSED, Frame.ROI)
_AS_FILED = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)


def lesions_with_crop(dataset: Dataset) -> list[Lesion]:
    """The lesions that have both a crop and a mask."""
    return [lesion for lesion in dataset.lesions if lesion.crop and lesion.mask]


def crop_case(dataset: Dataset, lesion: Lesion) -> tuple[PreparedExam, Candidates]:
    """A crop as an exam of one view, and the true candidate, whose ROI is the whole crop.

    Its contrast is stretched as ``cut_roi`` does.
    """
    path = dataset.crop_path(lesion)
    pixels = stretch_contrast(read_crop(path))
    shrinks = pixels.shape[0] > ROI_SIZE
    pixels = _square(pixels, path, cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    whole = Preprocessed(pixels, np.ones(pixels.shape, dtype=bool), _AS_FILED, 1.0)
    margin = ROI_SIZE * (1 - MASS_FRACTION) / 2
    box = np.array([[margin, margin, ROI_SIZE - margin, ROI_SIZE - margin]])
    truth = replace(Candidates.on_view(box, np.ones(1)), rois=RoiBatch(pixels[None], (_AS_CUT,)))
    return PreparedExam((PreparedView(whole),)), truth


def read_true_mask(dataset: Dataset, lesion: Lesion) -> NDArray[np.bool_]:
    """The published mask of a crop, ``(S, S) bool`` at the size of an ROI."""
    path = dataset.mask_path(lesion)
    return _square(read_crop(path), path, cv2.INTER_NEAREST) > 127


def average_mask(dataset: Dataset, bundle: Bundle) -> tuple[NDArray[np.bool_], bool]:
    """The average mask ``(S, S) bool``, thresholded at 0.5.

    Returns
    -------
    tuple
        The mask, and whether it is of the bundle's training masks (else of this dataset's own).
    """
    path = bundle.average_mask
    if path is not None:
        try:
            return _square(read_crop(path), path, cv2.INTER_LINEAR) > 127, True
        except DatasetError as error:
            raise BundleError(str(error)) from None
    total = np.zeros((ROI_SIZE, ROI_SIZE), dtype=np.int64)
    lesions = lesions_with_crop(dataset)
    for lesion in lesions:
        total += read_true_mask(dataset, lesion)
    return np.asarray(2 * total >= max(1, len(lesions))), False


def _square(pixels: NDArray[np.uint8], path: Path, interpolation: int) -> NDArray[np.uint8]:
    """A square image at the size of an ROI."""
    height, width = pixels.shape
    if height != width:
        raise DatasetError(f"{path}: has {width} x {height} pixels, expected a square")
    if height == ROI_SIZE:
        return pixels
    return np.asarray(cv2.resize(pixels, (ROI_SIZE, ROI_SIZE), interpolation=interpolation), dtype=np.uint8)
