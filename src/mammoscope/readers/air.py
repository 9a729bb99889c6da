"""Whether the air around a breast is shown bright: then the picture is inverted, whatever its file says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 160  # of the reduced picture
# Rings along the borders, of the sides. The outermost may lie in a film's frame or touch a label; the innermost is
# still in the air of all but very large breasts.
_DEPTHS = (0.02, 0.06, 0.12, 0.16)
_LEAST_SEEN = 0.9  # of a ring: a unit that blackens the margin has taken the air away that would tell
_LEVELS = 50
_FLAT = 0.06  # of the range of brightness: how far a level of air spreads
_SAME = 0.13  # how far the levels of the rings may lie apart
_LEAST_SHARE = 0.28  # of each ring that is air
_LEAST_OF_SIDE = 0.4  # of three sides of one ring
_BRIGHT = 0.55
_CLEAR = 0.12  # how far from the air's level the breast lies
_LEAST_BREAST, _MOST_BEYOND = 0.05, 0.02  # of the picture, on either side of the air's level


def reduction(pixels: NDArray[Any]) -> int:
    """Every how many pixels of a picture ``(H, W)`` are enough to look at."""
    return max(1, int(pixels.shape[0]) // _ROWS)


def is_inverted(brightness: NDArray[Any], ignored: NDArray[np.bool_] | None = None) -> bool:
    """Whether a picture surely shows air bright and the breast darker.

    Air is flat: one level holds much of every ring along the borders. Where the level of all rings is the same, is
    bright, and nothing is brighter, it is that of air. None of 1,297 films (the training images of CBIS-DDSM and
    normals of DDSM) is taken for inverted; of the same films inverted, 95% are recognised. The others have frames, or
    breasts that fill the film.

    Parameters
    ----------
    brightness
        ``(H, W)``, 0 to 1; may be reduced, see ``reduction``.
    ignored
        ``(H, W) bool``: pixels that say nothing, such as padding.
    """
    picture = np.asarray(brightness, dtype=np.float32)
    counts = np.ones(picture.shape, bool) if ignored is None else ~ignored
    rings, seen = ([_sides(one, depth) for depth in _DEPTHS] for one in (picture, counts))
    if any(np.concatenate(sides).mean() < _LEAST_SEEN for sides in seen):
        return False
    levels = [_commonest_level(np.concatenate(sides)) for sides in rings]
    air = float(np.median(levels))
    if max(levels) - min(levels) > _SAME or min(levels) < _BRIGHT:
        return False
    if min(_share(np.concatenate(sides), air) for sides in rings) < _LEAST_SHARE:
        return False
    # The breast takes one side of the picture, and parts of two others.
    if max(sorted(_share(side, air) for side in sides)[1] for sides in rings) < _LEAST_OF_SIDE:
        return False
    inside = picture[counts]
    darker, brighter = (inside < air - _CLEAR).mean(), (inside > air + _CLEAR).mean()
    return bool(darker >= _LEAST_BREAST and brighter <= _MOST_BEYOND)


def _sides(picture: NDArray[Any], depth: float) -> list[NDArray[Any]]:
    """The four sides of what is left when ``depth`` of each side is cut off."""
    height, width = picture.shape
    y, x = round(height * depth), round(width * depth)
    cut = picture[y : height - y, x : width - x]
    return [cut[0], cut[-1], cut[:, 0], cut[:, -1]]


def _share(values: NDArray[np.float32], level: float) -> float:
    return float((np.abs(values - level) <= _FLAT).mean())


def _commonest_level(values: NDArray[np.float32]) -> float:
    counts = np.bincount((values * _LEVELS).astype(np.int64).clip(0, _LEVELS), minlength=_LEVELS + 1)
    return float((np.convolve(counts, (1, 1, 1), mode="same").argmax() + 0.5) / _LEVELS)
