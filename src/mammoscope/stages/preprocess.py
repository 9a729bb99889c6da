"""Prepare a mammogram as a reader hangs it: chest wall left, background cropped, labels removed, contrast evened."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mammoscope.geometry import Frame, FrameChange
from mammoscope.mammogram import Mammogram


class PreprocessSettings(BaseModel):
    """How the breast is found. Lengths are fractions of the image, so they hold at any resolution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mask_rows: int = Field(default=512, ge=64, le=4096, description="Rows of the reduced image the mask is made on.")
    smoothing: float = Field(default=0.02, ge=0, le=0.2, description="Blur before the threshold, of the rows.")
    margin: float = Field(default=0.01, ge=0, le=0.2, description="Kept around the breast, of the image's size.")
    minimum_area: float = Field(default=0.02, gt=0, lt=1, description="Smaller bright areas are no breast.")


class ContrastSettings(BaseModel):
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994); a clip limit of 0 leaves the contrast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_limit: float = Field(default=2.0, ge=0, le=40)
    tiles: int = Field(default=8, ge=1, le=64, description="Tiles across and down.")

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Even the contrast of an image ``(H, W) uint8``."""
        if self.clip_limit == 0:
            return pixels
        clahe = cv2.createCLAHE(clipLimit=self.clip_limit, tileGridSize=(self.tiles, self.tiles))
        return np.asarray(clahe.apply(pixels), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """The breast, ready for the models.

    Attributes
    ----------
    pixels
        ``(H, W) uint8``, frame ``preprocessed``: chest wall left, black outside the breast, full resolution, the breast's
        own range of brightness stretched to 0-255, contrast otherwise as in the file.
    mask
        ``(H, W) bool``: True on the breast.
    from_original
        The change from the file's pixels to ``pixels``.
    pixel_aspect
        Height of a pixel divided by its width.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    from_original: FrameChange
    pixel_aspect: float

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])
