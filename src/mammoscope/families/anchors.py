"""Anchors fitted to the boxes of a training split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

STRIDES = (8, 16, 32, 64, 128)  # of the levels that have anchors, finest first
_OCTAVE = 2.0 ** (np.arange(3) / 3)


@dataclass(frozen=True)
class Anchors:
    """The anchors of a detector: see ``make_retinanet``; ``fit`` is the mean over boxes of the best anchor's IoU."""

    base: float
    ratios: tuple[float, ...]
    fit: float

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """As ``dataclasses.asdict`` gave them and JSON keeps them."""
        return cls(float(stored["base"]), tuple(stored["ratios"]), float(stored["fit"]))


def fit_anchors(boxes: NDArray[np.float64], count: int) -> Anchors:
    """Fit anchors to boxes.

    The ratios are evenly spaced quantiles of the boxes' own; the smallest side is the one of a fine grid with which the
    anchors fit the boxes best. Anchors lie on the grid of their level, so they are off a box's centre by a quarter of
    the level's stride on average: without that, anchors of coarse levels would look as good as those of fine ones.

    Parameters
    ----------
    boxes
        ``(N, 4)`` of (x0, y0, x1, y1) in pixels of the detector's input.
    count
        How many ratios.
    """
    width, height = (boxes[:, 2:] - boxes[:, :2]).clip(1.0).T[..., None]
    quantiles = (np.arange(count) + 0.5) / count
    ratios = np.exp(np.quantile(np.log(height / width), quantiles))
    levels = 2.0 ** np.arange(len(STRIDES))
    offset = np.repeat(np.array(STRIDES) / 4, len(_OCTAVE) * count)
    best = Anchors(0.0, (), -1.0)
    for base in np.geomspace(8, 64, 49):
        sides = (base * levels[:, None, None]) * _OCTAVE[:, None]
        anchor_width, anchor_height = (sides / np.sqrt(ratios)).ravel(), (sides * np.sqrt(ratios)).ravel()
        common = _overlap(width, anchor_width, offset) * _overlap(height, anchor_height, offset)
        union = width * height + anchor_width * anchor_height - common
        fit = float((common / union).max(axis=1).mean())
        if fit > best.fit:
            best = Anchors(round(float(base), 2), tuple(round(float(ratio), 4) for ratio in ratios), round(fit, 4))
    return best


def _overlap(
    length: NDArray[np.float64], other: NDArray[np.float64], offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Common length of two intervals whose centres lie ``offset`` apart."""
    return np.minimum(np.minimum(length, other), (length + other) / 2 - offset).clip(0)
