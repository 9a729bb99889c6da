"""Anchors fitted to the boxes of a training split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Anchors:
    """The anchors of a detector: see ``make_retinanet``; ``fit`` is the mean over boxes of the best anchor's IoU."""

    base: float
    ratios: tuple[float, ...]
    fit: float


def fit_anchors(boxes: NDArray[np.float64], count: int) -> Anchors:
    """Fit anchors to boxes.

    The ratios are evenly spaced quantiles of the boxes' own; the smallest side is the one of a fine grid with which the
    anchors of all levels meet the boxes best, both centred.

    Parameters
    ----------
    boxes
        ``(N, 4)`` of (x0, y0, x1, y1) in pixels of the detector's input.
    count
        How many ratios.
    """
    width, height = (boxes[:, 2:] - boxes[:, :2]).clip(1.0).T
    quantiles = (np.arange(count) + 0.5) / count
    ratios = np.exp(np.quantile(np.log(height / width), quantiles))
    scales = 2.0 ** (np.arange(15) / 3)  # five levels, three sizes each
    best = Anchors(0.0, (), -1.0)
    for base in np.geomspace(8, 64, 49):
        sides = base * scales[:, None]
        anchor_width, anchor_height = (sides / np.sqrt(ratios)).ravel(), (sides * np.sqrt(ratios)).ravel()
        common = np.minimum(width[:, None], anchor_width) * np.minimum(height[:, None], anchor_height)
        union = (width * height)[:, None] + anchor_width * anchor_height - common
        fit = float((common / union).max(axis=1).mean())
        if fit > best.fit:
            best = Anchors(round(float(base), 2), tuple(round(float(ratio), 4) for ratio in ratios), round(fit, 4))
    return best
