"""Cut the crop of a lesion out of a full image, and the same square out of its mask."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.roi import ROI_SIZE, Roi, cut_roi

_NEIGHBOURHOOD = 2.0  # of the box's longer side, what a crop is cut from: more than cut_roi needs
_SHOWN_RANGE = (0.1, 99.9)  # percentiles of the neighbourhood that become black and white

Box = tuple[int, int, int, int]


def lesion_in_mask(mask: NDArray[np.uint8], *, is_one_part: bool) -> tuple[NDArray[np.uint8], Box]:
    """The lesion's area ``(H, W) uint8`` of 0 and 1 in a mask that is not empty, and its box (x, y, width, height).

    ``is_one_part`` takes the largest connected area only.
    """
    left, top, whole_width, whole_height = (int(side) for side in cv2.boundingRect(mask))
    if not is_one_part:
        return mask, (left, top, whole_width, whole_height)
    part = (slice(top, top + whole_height), slice(left, left + whole_width))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask[part], connectivity=8)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, width, height = (int(value) for value in stats[largest, :4])
    component = np.zeros_like(mask)
    component[part] = labels == largest
    return component, (left + x, top + y, width, height)


def cut_crop(pixels: NDArray[np.uint16], box: Box, pixel_aspect: float) -> Roi:
    """The ROI of an image ``(H, W) uint16``; its changes of frame start at the image's own pixels."""
    x, y, width, height = box
    around = round(_NEIGHBOURHOOD * max(width, height * pixel_aspect) / 2 / min(1.0, pixel_aspect))
    left, top = max(0, x - around), max(0, y - around)
    # Reduced to 8 bits by the range of the neighbourhood only, so that a faint lesion keeps its shades.
    near = pixels[top : y + height + around, left : x + width + around]
    low, high = np.percentile(near, _SHOWN_RANGE)
    grey = np.clip((near.astype(np.float32) - low) * (255.0 / max(high - low, 1.0)), 0, 255).round().astype(np.uint8)
    corners = np.array([x - left, y - top, x + width - left, y + height - top])
    roi = cut_roi(grey, corners, pixel_aspect)
    from_image = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).cropped(left, top)
    return Roi(roi.pixels, from_image.then(roi.from_preprocessed))


def cut_mask(mask: NDArray[np.uint8], roi: Roi) -> NDArray[np.uint8]:
    """The square that a crop shows out of a mask ``(H, W) uint8`` of 0 and 1: ``(S, S) uint8``, 0 or 255."""
    x0, y0, x1, y1 = (
        roi.from_preprocessed.inverse().boxes(np.array([[0, 0, ROI_SIZE, ROI_SIZE]]))[0].round().astype(int)
    )
    height, width = mask.shape
    inside = mask[max(0, y0) : y1, max(0, x0) : x1]
    window = cv2.copyMakeBorder(
        inside,
        max(0, -y0),
        max(0, y1 - height),
        max(0, -x0),
        max(0, x1 - width),
        cv2.BORDER_CONSTANT,
        value=0,
    )
    shrinks = window.shape[1] > ROI_SIZE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(window * np.uint8(255), (ROI_SIZE, ROI_SIZE), interpolation=interpolation)
    return np.where(resized > 127, 255, 0).astype(np.uint8)
