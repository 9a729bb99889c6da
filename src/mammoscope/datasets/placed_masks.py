"""Lay the published mask of a lesion, which comes with its crop, on its full image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.images import read_mask
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import Roi


def placed(lesion: Lesion) -> bool:
    """Whether the lesion's published mask can be laid on its full image: its crop's orientation is known."""
    return bool(lesion.crop and lesion.mask and lesion.crop_flipped is not None)


def mask_in_cut(dataset: Dataset, lesion: Lesion, prepared: Preprocessed, roi: Roi) -> tuple[NDArray[np.bool_], int]:
    """The published mask of a lesion in a cut from its full image.

    The rectangle that the mask fills in its crop is the lesion's box in the full image, whatever the film's
    proportions, and also where the crop was shifted because the mass lies at the film's border.

    Returns
    -------
    tuple
        ``(S, S) bool``, frame ``roi``; and the pixels of the whole mask at the same scale, some of which may lie
        outside the cut.
    """
    mask = read_mask(dataset.mask_path(lesion)).astype(np.uint8) * 255
    left, top, width, height = cv2.boundingRect(mask)
    scale_x, scale_y = lesion.width / max(width, 1), lesion.height / max(height, 1)
    crop = FrameChange(Frame.ROI, Frame.ORIGINAL).cropped(left, top).scaled(scale_x, scale_y)
    if lesion.crop_flipped:
        crop = crop.flipped_horizontally(lesion.width)
    change = crop.cropped(-lesion.x, -lesion.y).then(prepared.from_original).then(roi.from_preprocessed)
    matrix = np.array([[change.scale_x, 0, change.shift_x], [0, change.scale_y, change.shift_y]])
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's warp counts from pixel centres
    side = roi.pixels.shape[0]
    inside = np.asarray(cv2.warpAffine(mask, matrix, (side, side), flags=cv2.INTER_LINEAR) > 127)
    whole = round(np.count_nonzero(mask) * abs(change.scale_x * change.scale_y))
    return inside, max(whole, int(inside.sum()))
