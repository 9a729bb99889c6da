"""Lay the mask of a lesion, which is of its crop or of the whole image, on its full image."""

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
    """Whether the lesion's mask can be laid on its full image: it has no crop, or one of known orientation."""
    return bool(lesion.mask) and (not lesion.crop or lesion.crop_flipped is not None)


def mask_in_cut(dataset: Dataset, lesion: Lesion, prepared: Preprocessed, roi: Roi) -> tuple[NDArray[np.bool_], int]:
    """The mask of a lesion in a cut from its full image.

    A mask without a crop lies on the image as it is. The rectangle that one with a crop fills there is the lesion's box
    in the full image, whatever the image's proportions, and also if the crop was shifted because the mass lies at the
    image's border.

    Returns
    -------
    tuple
        ``(S, S) bool``, frame ``roi``; and the pixels of the whole mask at the same scale, some of which may lie
        outside the cut.
    """
    mask = read_mask(dataset.mask_path(lesion)).astype(np.uint8) * 255
    on_image = FrameChange(Frame.ROI, Frame.ORIGINAL)
    if lesion.crop:
        left, top, width, height = cv2.boundingRect(mask)
        on_image = on_image.cropped(left, top).scaled(lesion.width / max(width, 1), lesion.height / max(height, 1))
        if lesion.crop_flipped:
            on_image = on_image.flipped_horizontally(lesion.width)
        on_image = on_image.cropped(-lesion.x, -lesion.y)
    change = on_image.then(prepared.from_original).then(roi.from_preprocessed)
    matrix = np.array([[change.scale_x, 0, change.shift_x], [0, change.scale_y, change.shift_y]])
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's warp counts from pixel centres
    side = roi.pixels.shape[0]
    inside = np.asarray(cv2.warpAffine(mask, matrix, (side, side), flags=cv2.INTER_LINEAR) > 127)
    whole = round(np.count_nonzero(mask) * abs(change.scale_x * change.scale_y))
    return inside, max(whole, int(inside.sum()))
