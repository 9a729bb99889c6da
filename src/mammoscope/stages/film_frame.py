"""Bright strips along the borders of a scan: the frame that held the film, or light beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NARROW, _WIDE = 1 / 40, 1 / 4  # of a side; narrower ones are what a film's edge leaves, and are seen to elsewhere
_ENDS = 0.1  # of a line at either end, where another strip may begin
_FLAT = 20  # of 255, from the fifth to the ninety-fifth part in a hundred
_BRIGHT, _DROP = 100, 30  # of 255: the level of a strip, and how much darker or brighter it is right behind
_BEHIND = 2  # lines, where the reduction has mixed both


def inside_frame(grey: NDArray[np.uint8]) -> tuple[slice, slice]:
    """The rows and columns of an image ``(H, W)`` that lie inside wide, bright, even strips along its borders.

    A strip is even along the whole border, which no breast is: that has texture, and an outline.
    """
    height, width = grey.shape
    top, bottom = _depth(grey), _depth(grey[::-1])
    left, right = _depth(grey.T), _depth(grey.T[::-1])
    return slice(top, height - bottom), slice(left, width - right)


def _depth(lines: NDArray[np.uint8]) -> int:
    """How many of the lines from the first one on are a strip, or lie outside of it; 0 where there is none."""
    count, length = lines.shape
    most, end = int(count * _WIDE), int(length * _ENDS)
    middle = lines[: most + _BEHIND + 1, end : length - end]
    low, level, high = np.percentile(middle, (5, 50, 95), axis=1)
    uneven = np.flatnonzero(high - low > _FLAT)
    even = int(uneven[0]) if len(uneven) else len(middle)
    bright = np.flatnonzero(level[:even] >= _BRIGHT)
    if not len(bright):
        return 0
    depth = int(bright[-1]) + 1
    if not count * _NARROW < depth <= most:
        return 0
    behind = middle[depth + _BEHIND - 1].astype(np.float64)
    return depth if abs(float(np.median(behind)) - level[bright].max()) >= _DROP else 0
