"""Cut the square around one region: the same cut for training, evaluation and analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.candidates import Candidates, RoiBatch
from mammoscope.geometry import Frame, FrameChange
from mammoscope.levels import look_up, percentiles
from mammoscope.stages.step import PreparedExam

ROI_SIZE = 256
MASS_FRACTION = 0.9  # of the frame that the mass spans, as in the published crops
_STRETCH_PERCENTILES = (0.5, 99.5)

PixelT = TypeVar("PixelT", np.uint8, np.float32)


@dataclass(frozen=True, eq=False)
class Roi:
    """The neighbourhood of one region.

    Attributes
    ----------
    pixels
        ``(S, S) uint8``, frame ``roi``: square in the breast (not in the file's pixels), contrast stretched
        unless it was cut otherwise.
    from_preprocessed
        The change from the ``preprocessed`` frame to ``roi``.
    """

    pixels: NDArray[np.uint8]
    from_preprocessed: FrameChange


def cut_roi(
    pixels: NDArray[np.uint8],
    box: NDArray[np.number],
    pixel_aspect: float,
    *,
    size: int = ROI_SIZE,
    mass_fraction: float = MASS_FRACTION,
    stretch: bool = True,
) -> Roi:
    """Cut the square around a box out of a preprocessed mammogram.

    Parameters
    ----------
    pixels
        ``(H, W) uint8``, frame ``preprocessed``.
    box
        ``(4,)`` of (x0, y0, x1, y1), same frame.
    pixel_aspect
        Height of a pixel divided by its width; the cut is square in the breast.
    size
        Side of the result in pixels.
    mass_fraction
        Share of the square's side that the longer side of the box takes.
    stretch
        Whether its contrast is stretched; else it stays that of the mammogram.

    Notes
    -----
    Outside the image the square is padded with black, which the contrast stretch ignores.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    side = max(x1 - x0, (y1 - y0) * pixel_aspect, 1.0) / mass_fraction  # in widths of a pixel
    width, height = max(2, round(side)), max(2, round(side / pixel_aspect))
    left, top = round((x0 + x1 - width) / 2), round((y0 + y1 - height) / 2)
    window, inside = _window(pixels, left, top, width, height)
    stretched = stretch_contrast(window, window[inside]) if stretch else window
    shrinks = width > size
    resized = cv2.resize(stretched, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    change = FrameChange(Frame.PREPROCESSED, Frame.ROI).cropped(left, top).scaled(size / width, size / height)
    return Roi(np.asarray(resized, dtype=np.uint8), change)


def stretch_contrast(pixels: NDArray[np.uint8], measured: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Stretch the brightness of an ROI ``(H, W) uint8`` to 0-255, by percentiles of it, or of its part ``measured``."""
    values = pixels if measured is None else measured
    if values.size == 0:
        return pixels
    low, high = percentiles(values, _STRETCH_PERCENTILES)
    if high <= low:
        return np.zeros_like(pixels)
    levels = np.clip((np.arange(256) - low) / (high - low) * 255.0, 0, 255).round().astype(np.uint8)
    return look_up(levels, pixels)


def _window(
    pixels: NDArray[np.uint8], left: int, top: int, width: int, height: int
) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
    """The pixels of a window that may leave the image, black outside, and which rows and columns of it are inside."""
    window = np.zeros((height, width), dtype=np.uint8)
    rows = slice(max(0, top), max(0, min(pixels.shape[0], top + height)))
    columns = slice(max(0, left), max(0, min(pixels.shape[1], left + width)))
    inside = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    if rows.start < rows.stop and columns.start < columns.stop:
        window[inside] = pixels[rows, columns]
        return window, inside
    return window, (slice(0, 0), slice(0, 0))


def moved_image(image: NDArray[PixelT], change: FrameChange, width: int, height: int) -> NDArray[PixelT]:
    """An image ``(H, W)`` of a change's source frame, resampled to ``(height, width)`` of its target; 0 outside it."""
    matrix = np.array([[change.scale_x, 0, change.shift_x], [0, change.scale_y, change.shift_y]])
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's warp counts from pixel centres
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR), dtype=image.dtype)


def roi_batch(rois: Sequence[Roi], size: int = ROI_SIZE) -> RoiBatch:
    """Join ROIs of one size; an empty sequence gives an empty batch."""
    pixels = np.stack([roi.pixels for roi in rois]) if rois else np.zeros((0, size, size), dtype=np.uint8)
    return RoiBatch(pixels, tuple(roi.from_preprocessed for roi in rois))


def rois_of(exam: PreparedExam, found: Candidates) -> RoiBatch:
    """The ROIs of candidates: those that an earlier step cut, else cut now from their views."""
    if found.rois is not None:
        return found.rois
    rois = []
    for view, box in zip(found.view, found.boxes, strict=True):
        breast = exam.breast(int(view))
        rois.append(cut_roi(breast.pixels, box, breast.pixel_aspect))
    return roi_batch(rois)
