"""Tables, counts and percentiles of the levels of whole images: what numpy gives, to the last bit, in less time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.unsignedinteger[Any]]
LevelT = TypeVar("LevelT", np.uint8, np.uint16)

_AT_ONCE = 1 << 20  # pixels: they stay in the cache, and OpenCV counts in 32-bit floats, exact up to 16 times as many


def look_up(table: NDArray[LevelT], pixels: Words) -> NDArray[LevelT]:
    """``table[pixels]``.

    Parameters
    ----------
    table
        ``(N,) uint8 or uint16``.
    pixels
        ``(H, W) uint8 or uint16`` in the machine's byte order, all below N.
    """
    size = 1 << (8 * pixels.itemsize)
    if pixels.itemsize == 1 or _looks_up_words():
        return np.asarray(cv2.LUT(pixels, np.resize(table, size)), dtype=table.dtype)
    found = np.empty(pixels.shape, dtype=table.dtype)
    for rows in _pieces(pixels):
        np.take(table, pixels[rows], out=found[rows], mode="clip")
    return found


def count_levels(pixels: Words, size: int) -> NDArray[np.int64]:
    """How often each value from 0 to ``size - 1`` occurs in ``(H, W) uint8 or uint16``; there is none above."""
    counts = np.zeros(size, dtype=np.int64)
    for rows in _pieces(pixels):
        counts += cv2.calcHist([pixels[rows]], [0], None, [size], [0, size]).ravel().astype(np.int64)
    return counts


def percentiles(pixels: NDArray[np.uint8], wanted: tuple[float, ...]) -> tuple[float, ...]:
    """``numpy.percentile(pixels, wanted)`` of ``(H, W) uint8`` with one pixel or more."""
    place = (pixels.size - 1) * (np.array(wanted) / 100)
    before = np.floor(place).astype(np.int64)
    reached = np.cumsum(count_levels(pixels, 256))
    # The values at this place and the next of the sorted pixels.
    low = reached.searchsorted(before, side="right")
    high = reached.searchsorted(np.minimum(before + 1, pixels.size - 1), side="right")
    share, step = place - before, (high - low).astype(np.float64)
    return tuple(np.where(share >= 0.5, high - step * (1 - share), low + step * share).tolist())


def _pieces(pixels: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _AT_ONCE // max(1, pixels.shape[1]))
    return (slice(start, start + rows) for start in range(0, len(pixels), rows))


@cache
def _looks_up_words() -> bool:
    """Whether this OpenCV has tables for 16 bits, as from version 5."""
    try:
        cv2.LUT(np.zeros((1, 1), dtype=np.uint16), np.zeros(1 << 16, dtype=np.uint16))
    except cv2.error:
        return False
    return True
