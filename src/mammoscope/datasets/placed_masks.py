"""Lay the mask of a lesion, which is of its crop or of the whole image, on its full image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.images import read_mask
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import Roi, moved_image


def placed(lesion: Lesion) -> bool:
    """Whether the lesion's mask can be laid on its full image: it has no crop, or one of known orientation."""
    return bool(lesion.mask) and (not lesion.crop or lesion.crop_flipped is not None)


def mask_in_cut(dataset: Dataset, lesion: Lesion, prepared: Preprocessed, roi: Roi) -> tuple[NDArray[np.bool_], int]:
    """The mask of a lesion in a cut from its full image.

    Returns
    -------
    tuple
        ``(S, S) bool``, frame ``roi``; and the pixels of the whole mask at the same scale, some of which may lie
        outside the cut.
    """
    mask, on_image = _mask_on_image(dataset, lesion)
    change = on_image.then(prepared.from_original).then(roi.from_preprocessed)
    side = roi.pixels.shape[0]
    inside = np.asarray(moved_image(mask, change, side, side) > 127)
    whole = round(np.count_nonzero(mask) * abs(change.scale_x * change.scale_y))
    return inside, max(whole, int(inside.sum()))


def mask_on_input(dataset: Dataset, lesion: Lesion, to_input: FrameChange, size: int) -> NDArray[np.uint8]:
    """The mask of a lesion ``(size, size) uint8``, 255 on it, where a change from ``original`` puts it."""
    mask, on_image = _mask_on_image(dataset, lesion)
    return moved_image(mask, on_image.then(to_input), size, size)


def _mask_on_image(dataset: Dataset, lesion: Lesion) -> tuple[NDArray[np.uint8], FrameChange]:
    """A mask ``(H, W) uint8``, 255 on the lesion, and where it lies on the full image.

    A mask without a crop lies on the image as it is. The rectangle that one with a crop fills there is the lesion's box
    in the full image, whatever the image's proportions, and also if the crop was shifted because the mass lies at the
    image's border.
    """
    mask = read_mask(dataset.mask_path(lesion)).astype(np.uint8) * 255
    on_image = FrameChange(Frame.ROI, Frame.ORIGINAL)
    if lesion.crop:
        left, top, width, height = cv2.boundingRect(mask)
        on_image = on_image.cropped(left, top).scaled(lesion.width / max(width, 1), lesion.height / max(height, 1))
        if lesion.crop_flipped:
            on_image = on_image.flipped_horizontally(lesion.width)
        on_image = on_image.cropped(-lesion.x, -lesion.y)
    return mask, on_image
