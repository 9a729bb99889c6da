"""Images made worse, each in one way and by a strength: noise, blur, resolution, greys, compression, film frame."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import MammoscopeError
from mammoscope.mammogram import Mammogram

Pixels = NDArray[np.uint16]
_BRIGHTEST = 65535
_LABEL = (0.06, 0.12)  # height and width of a film's label, in widths of the frame's inner side


@dataclass(frozen=True)
class Change:
    """One way to make an image worse.

    Attributes
    ----------
    name, unit
        In reports; the unit says what a strength is.
    strengths
        From mild to severe.
    apply
        Changes pixels ``(H, W) uint16`` by a strength; random numbers are given where it needs some.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Pixels, float, np.random.Generator], Pixels]

    def of(self, mammogram: Mammogram, strength: float) -> Mammogram:
        """The image changed by a strength; the same image is always changed alike."""
        rng = np.random.default_rng(zlib.crc32(mammogram.name.encode()))
        return replace(mammogram, pixels=self.apply(mammogram.pixels, strength, rng))


def noise(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Noise as of a lower dose: its deviation grows as the root of the grey value, ``share`` of it at the brightest."""
    grey = pixels / _BRIGHTEST
    return _pixels(grey + share * np.sqrt(grey) * rng.standard_normal(pixels.shape, dtype=np.float32))


def blur(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """Gaussian blur with a deviation of a share of the image's width."""
    sigma = share * pixels.shape[1]
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), dtype=np.uint16)


def resolution(pixels: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    """Made smaller by a factor, and as large as before again."""
    height, width = pixels.shape
    smaller = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint16)


def gamma(pixels: Pixels, exponent: float, _: np.random.Generator) -> Pixels:
    """Grey values raised to a power: above 1 contrast moves from dark to bright tissue."""
    return _pixels((pixels / _BRIGHTEST) ** exponent)


def jpeg2000(pixels: Pixels, ratio: float, _: np.random.Generator) -> Pixels:
    """Compressed by JPEG 2000 to 1 / ``ratio`` of its 16-bit size, and unpacked.

    Raises
    ------
    MammoscopeError
        The installed OpenCV has no JPEG 2000.
    """
    settings = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, max(1, round(1000 / ratio))]
    try:
        done, packed = cv2.imencode(".jp2", pixels, settings)
    except cv2.error:
        done = False
    if not done:
        raise MammoscopeError("the installed OpenCV cannot write JPEG 2000")
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), dtype=np.uint16)


def film_frame(pixels: Pixels, share: float, _: np.random.Generator) -> Pixels:
    """A bright frame as of a scanned film's edge, a share of the width wide, with a label at its upper right."""
    width = pixels.shape[1]
    edge = max(1, round(share * width))
    framed = pixels.copy()
    for side in (np.s_[:edge], np.s_[-edge:], np.s_[:, :edge], np.s_[:, -edge:]):
        framed[side] = _BRIGHTEST
    tall, wide = (round(part * width) for part in _LABEL)
    framed[edge : edge + tall, width - edge - wide : width - edge] = _BRIGHTEST
    return framed


def inverted(pixels: Pixels, _: float, __: np.random.Generator) -> Pixels:
    """Black for white, as of a file that states the wrong photometric interpretation."""
    return np.asarray(_BRIGHTEST - pixels, dtype=np.uint16)


CHANGES = (
    Change("noise", "deviation at the brightest grey", (0.02, 0.05, 0.1, 0.2), noise),
    Change("blur", "deviation, share of the width", (0.001, 0.002, 0.004, 0.008), blur),
    Change("resolution", "times fewer pixels a side", (1.5, 2, 4, 8), resolution),
    Change("gamma", "exponent of grey values", (0.5, 0.75, 1.5, 2), gamma),
    Change("jpeg2000", "compression ratio", (15, 30, 60, 120), jpeg2000),
    Change("film-frame", "share of the width", (0.01, 0.02, 0.04), film_frame),
    Change("inverted", "1: inverted", (1,), inverted),
)


def _pixels(grey: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(np.rint(grey * _BRIGHTEST), 0, _BRIGHTEST), dtype=np.uint16)
