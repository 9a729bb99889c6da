"""Prepare a mammogram as a reader hangs it: chest wall left, background cropped, labels removed, contrast equalised."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mammoscope.geometry import Frame, FrameChange
from mammoscope.levels import look_up
from mammoscope.mammogram import Mammogram
from mammoscope.stages.breast_form import chest_wall_is_right, holds_air, without_belly
from mammoscope.stages.film_frame import inside_frame

_ROUNDS, _NEAR = 4, 8  # to find a plane of air, and how many of 255 levels air lies above it


class PreprocessSettings(BaseModel):
    """How the breast is found. Lengths are fractions of the image, so they hold at any resolution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mask_rows: int = Field(default=512, ge=64, le=4096, description="Rows of the reduced image the mask is made on.")
    smoothing: float = Field(default=0.02, ge=0, le=0.2, description="Blur before the threshold, of the rows.")
    margin: float = Field(default=0.01, ge=0, le=0.2, description="Kept around the breast, of the image's size.")
    minimum_area: float = Field(default=0.02, gt=0, lt=1, description="Smaller bright areas do not count as a breast.")


class ContrastSettings(BaseModel):
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994); with clip limit 0 it changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_limit: float = Field(default=2.0, ge=0, le=40)
    tiles: int = Field(default=8, ge=1, le=64, description="Tiles across and down.")

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Equalise the contrast of an image ``(H, W) uint8``."""
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
        ``(H, W) uint8``, frame ``preprocessed``: chest wall left, black outside the breast, full resolution, the
        breast's own range of brightness stretched to 0-255, contrast otherwise as in the file.
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


def preprocess(mammogram: Mammogram, settings: PreprocessSettings) -> Preprocessed | None:
    """Flip, crop and mask a mammogram.

    The breast mask follows the usual recipe for film scans: smooth, threshold (Otsu 1979), take the largest bright
    area, fill it. It is made on a reduced copy; the pixels themselves keep their full resolution.

    Returns
    -------
    Preprocessed or None
        None where no breast is found.
    """
    mask = _breast_mask(mammogram.pixels, settings)
    if mask is None:
        return None
    mask_height, mask_width = mask.shape
    scale_x, scale_y = mammogram.width / mask_width, mammogram.height / mask_height
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin_y, margin_x = settings.margin * mammogram.height, settings.margin * mammogram.width
    top = max(0, int(rows[0] * scale_y - margin_y))
    bottom = min(mammogram.height, int(np.ceil((rows[-1] + 1) * scale_y + margin_y)))
    left = max(0, int(columns[0] * scale_x - margin_x))
    right = min(mammogram.width, int(np.ceil((columns[-1] + 1) * scale_x + margin_x)))

    full_mask = cv2.resize(
        mask.view(np.uint8) * 255, (mammogram.width, mammogram.height), interpolation=cv2.INTER_LINEAR
    )
    inside = np.asarray(full_mask[top:bottom, left:right] > 127)
    pixels = _stretch_to_8_bit(mammogram.pixels[top:bottom, left:right], inside)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).cropped(left, top)
    if chest_wall_is_right(mask):
        pixels, inside = _mirrored(pixels), _mirrored(inside.view(np.uint8)).view(np.bool_)
        change = change.flipped_horizontally(right - left)
    return Preprocessed(pixels, inside, change, mammogram.pixel_aspect)


def _mirrored(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.flip(pixels, 1), dtype=np.uint8)


def _breast_mask(pixels: NDArray[np.uint16], settings: PreprocessSettings) -> NDArray[np.bool_] | None:
    """The breast at reduced size, ``(h, w) bool``; None where no large bright area has a breast's form."""
    height = min(settings.mask_rows, pixels.shape[0])
    width = max(2, min(pixels.shape[1], round(pixels.shape[1] * height / pixels.shape[0])))
    small = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint16)
    grey = _stretched(small)
    if grey is None:
        return None
    rows, columns = inside_frame(grey)
    if (rows, columns) == (slice(0, height), slice(0, width)):
        return _mask_of(grey, settings)
    inner = _stretched(small[rows, columns])
    found = None if inner is None else _mask_of(inner, settings)
    if found is None:
        return None
    mask = np.zeros((height, width), dtype=bool)
    mask[rows, columns] = found
    return mask


def _stretched(small: NDArray[np.uint16]) -> NDArray[np.uint8] | None:
    """From the darkest to the brightest hundredth; None where both are the same."""
    low, high = np.percentile(small, (1, 99))
    if high <= low:
        return None
    levels = np.clip((small.astype(np.float32) - low) * (255.0 / (high - low)), 0, 255)
    return np.asarray(levels, dtype=np.uint8)


def _mask_of(grey: NDArray[np.uint8], settings: PreprocessSettings) -> NDArray[np.bool_] | None:
    """The breast in a reduced image ``(h, w)``."""
    height = len(grey)
    grey = _without_film_edges(_without_film_base(grey))
    if settings.smoothing:
        kernel = 2 * max(1, round(settings.smoothing * height / 2)) + 1
        grey = np.asarray(cv2.GaussianBlur(grey, (kernel, kernel), 0), dtype=np.uint8)
    mask = _thresholded(grey, settings)
    if mask is not None and holds_air(mask):
        # Film that is fogged or lit unevenly; the mask stays where the breast itself reaches across the film.
        evened = _thresholded(_without_uneven_air(grey), settings)
        mask = mask if evened is None or holds_air(evened) else evened
    return None if mask is None else without_belly(mask)


def _thresholded(grey: NDArray[np.uint8], settings: PreprocessSettings) -> NDArray[np.bool_] | None:
    otsu, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    # Fatty tissue near the skin lies well below the threshold that splits dense tissue from background.
    return _largest_above(grey, max(8.0, 0.3 * otsu), settings)


def _without_uneven_air(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image less a plane through its air: what is dark, and then what lies near the plane."""
    height, width = grey.shape
    y, x = np.mgrid[0:height, 0:width]
    places = np.stack([np.ones(grey.size), y.ravel() / height, x.ravel() / width], axis=1)
    values = grey.ravel().astype(np.float64)
    otsu, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    air, rest = values <= otsu, values
    for _ in range(_ROUNDS):
        plane, *_ = np.linalg.lstsq(places[air], values[air], rcond=None)
        rest = values - places @ plane
        air = rest <= _NEAR
    return np.asarray(np.clip(rest - _NEAR, 0, 255), dtype=np.uint8).reshape(grey.shape)


def _largest_above(grey: NDArray[np.uint8], threshold: float, settings: PreprocessSettings) -> NDArray[np.bool_] | None:
    """The largest area above a threshold, filled; None where it is too small to be a breast."""
    height, width = grey.shape
    bright = (grey > threshold).astype(np.uint8)
    # Opening separates labels and tape that touch the breast.
    radius = max(1, height // 50)
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    opened = cv2.morphologyEx(
        cv2.copyMakeBorder(bright, radius, radius, radius, radius, cv2.BORDER_REPLICATE), cv2.MORPH_OPEN, element
    )[radius:-radius, radius:-radius]
    contours, _ = cv2.findContours(np.ascontiguousarray(opened), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    if cv2.contourArea(largest) < settings.minimum_area * height * width:
        return None
    mask = np.zeros((height, width), dtype=np.uint8)
    cv2.drawContours(mask, [largest], -1, 1, thickness=cv2.FILLED)
    return mask.astype(bool)


def _without_film_base(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make unexposed film black: the commonest dark level, where it stands out."""
    otsu, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    around = np.convolve(counts, np.ones(9), mode="same")[: max(1, int(otsu / 2))]
    base = int(around.argmax())
    return (
        np.asarray(cv2.subtract(grey, np.full_like(grey, base)), dtype=np.uint8)
        if around[base] > 0.1 * grey.size
        else grey
    )


def _without_film_edges(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blacken the bright strips that a film's edge leaves along the border of a scan.

    A strip is a border row or column that is bright along most of its length although the image a little further in
    is dark there.
    """
    cleaned = grey.copy()
    height, width = grey.shape
    depth_y, depth_x = max(1, height // 25), max(1, width // 25)
    for lines, inner in (
        (cleaned[:depth_y], grey[depth_y]),
        (cleaned[-depth_y:], grey[-depth_y - 1]),
        (cleaned[:, :depth_x].T, grey[:, depth_x]),
        (cleaned[:, -depth_x:].T, grey[:, -depth_x - 1]),
    ):
        # Only where the image is dark just behind the strip: a breast that runs to the border stays whole.
        lines[:, inner < 20] = 0
    return cleaned


def _stretch_to_8_bit(pixels: NDArray[np.uint16], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Stretch the breast's range of brightness to 0-255, black outside."""
    sample = pixels[::4, ::4][inside[::4, ::4]] if pixels.size > 1_000_000 else pixels[inside]
    low, high = np.percentile(sample, (0.5, 99.8)) if sample.size else (0.0, 65535.0)
    levels = np.clip((np.arange(65536, dtype=np.float32) - low) * (255.0 / max(high - low, 1.0)), 0, 255)
    return look_up(levels.round().astype(np.uint8), pixels) * inside
