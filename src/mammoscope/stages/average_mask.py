"""Outline every region by the mean training mask, laid on its box: what knowing the box alone gives.

It needs no network, and is what a segmenter must surpass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.candidates import Candidates, Masks
from mammoscope.errors import BundleError
from mammoscope.geometry import FloatArray, FrameChange
from mammoscope.stages.manifests import AVERAGE_MASK
from mammoscope.stages.roi import MASS_FRACTION, ROI_SIZE, rois_of
from mammoscope.stages.step import OfKindsSettings, PreparedExam, Scope

_THRESHOLD = 0.5

PixelT = TypeVar("PixelT", np.uint8, np.float32)


class AverageMask:
    """A segmenter that looks at nothing but the box."""

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = True
    Settings: ClassVar[type[OfKindsSettings]] = OfKindsSettings

    def __init__(self, average: NDArray[np.float32], settings: OfKindsSettings) -> None:
        self._average, self._settings = average, settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: OfKindsSettings) -> AverageMask:
        """Read the mean training mask.

        Raises
        ------
        BundleError
            The file cannot be decoded, or is not square.
        """
        path = files[AVERAGE_MASK]
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if grey is None or grey.shape[0] != grey.shape[1]:
            raise BundleError(f"{path}: is not a square image")
        if grey.shape[0] != ROI_SIZE:
            grey = cv2.resize(grey, (ROI_SIZE, ROI_SIZE), interpolation=cv2.INTER_LINEAR)
        return cls(np.asarray(grey / 255, dtype=np.float32), settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The same candidates, each of its kinds with a mask; ROIs are cut if there are none yet."""
        rois = rois_of(exam, found)
        masks = np.zeros(rois.pixels.shape, dtype=np.float32)
        for row in self._settings.rows(found).tolist():
            change, box = rois.from_preprocessed[row], found.boxes[row]
            masks[row] = laid_on(self._average, change, box, rois.pixels.shape[1])
        return replace(found, rois=rois, masks=Masks(masks, _THRESHOLD))


def laid_on(
    average: NDArray[PixelT], from_preprocessed: FrameChange, box: FloatArray, size: int = ROI_SIZE
) -> NDArray[PixelT]:
    """An average mask shrunk so that its frame is the usual cut of a box, in a cut that may be wider.

    Parameters
    ----------
    average
        ``(S, S)``.
    from_preprocessed
        The change to the frame of the cut.
    box
        ``(4,)``, frame ``preprocessed``.
    size
        Side of the cut in pixels.

    Returns
    -------
    NDArray
        ``(size, size)``, 0 beyond the average mask's frame.
    """
    x0, y0, x1, y1 = from_preprocessed.boxes(box[None])[0]
    side = max(1, round(max(x1 - x0, y1 - y0) / MASS_FRACTION))
    small = cv2.resize(average, (side, side), interpolation=cv2.INTER_NEAREST)
    laid = np.zeros((size, size), dtype=average.dtype)
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    rows = slice(max(0, top), min(size, top + side))
    columns = slice(max(0, left), min(size, left + side))
    if rows.start < rows.stop and columns.start < columns.stop:
        laid[rows, columns] = small[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return laid
