"""PNG files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.files import write_bytes

# One filter for all rows takes half the time of choosing one for each, for files of the same size. OpenCV before 4.12
# has no such setting, and does so of itself.
_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    _SETTINGS += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG from ``(h, w, 3)`` RGB or ``(h, w)`` grey, uint8.

    Raises
    ------
    ValueError
        Another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or not pixels.size:
        raise ValueError(f"pixels must be (h, w, 3) or (h, w) uint8, got {pixels.shape} {pixels.dtype}")
    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", stored, _SETTINGS)
    return encoded.tobytes()


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write ``(h, w, 3)`` RGB or ``(h, w)`` grey uint8 pixels, whole or not at all.

    Raises
    ------
    MammoscopeError
        The file cannot be written.
    """
    write_bytes(path, encode_png(pixels))
