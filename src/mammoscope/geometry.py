"""Changes between coordinate frames: the only module that moves boxes and points from one frame to another.

Coordinates are continuous: x runs right, y runs down, and pixel ``i`` covers ``[i, i + 1)``, so an image of ``W``
columns spans ``[0, W]``. This is the convention of OpenCV's resize, and it makes flips and scalings exact.
Boxes are ``(x0, y0, x1, y1)`` with ``x0 <= x1`` and ``y0 <= y1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Frame(StrEnum):
    """Names of the coordinate frames. All results of mammoscope are in ``ORIGINAL``."""

    ORIGINAL = "original"  # pixels of the file as stored
    PREPROCESSED = "preprocessed"  # flipped so that the chest wall is left, cropped to the breast, not scaled
    MODEL_INPUT = "model_input"  # what a network sees of the whole breast
    TILE = "tile"  # a part of that which a network sees by itself
    ROI = "roi"  # the square cut around one region


@dataclass(frozen=True)
class FrameChange:
    """An axis-aligned map from one frame to another: ``x' = scale_x * x + shift_x``, the same for y.

    Flips, crops and scalings are all of this form, so a chain of them is again one ``FrameChange``.
    """

    source: Frame
    target: Frame
    scale_x: float = 1.0
    shift_x: float = 0.0
    scale_y: float = 1.0
    shift_y: float = 0.0

    def __post_init__(self) -> None:
        values = (self.scale_x, self.shift_x, self.scale_y, self.shift_y)
        if not all(np.isfinite(values)) or self.scale_x == 0 or self.scale_y == 0:
            raise ValueError(f"a frame change needs finite shifts and non-zero scales, got {values}")

    def flipped_horizontally(self, width: float) -> FrameChange:
        """This change followed by a mirror of the target frame, which is ``width`` wide."""
        return self._followed_by(-1.0, width, 1.0, 0.0, self.target)

    def cropped(self, x0: float, y0: float) -> FrameChange:
        """This change followed by a crop whose top left corner is ``(x0, y0)`` of the target frame."""
        return self._followed_by(1.0, -x0, 1.0, -y0, self.target)

    def scaled(self, scale_x: float, scale_y: float) -> FrameChange:
        """This change followed by a scaling about the origin."""
        return self._followed_by(scale_x, 0.0, scale_y, 0.0, self.target)

    def then(self, other: FrameChange) -> FrameChange:
        """This change followed by ``other``, which must start where this one ends."""
        if other.source is not self.target:
            raise ValueError(f"cannot chain {self.source}->{self.target} with {other.source}->{other.target}")
        return self._followed_by(other.scale_x, other.shift_x, other.scale_y, other.shift_y, other.target)

    def renamed(self, *, source: Frame | None = None, target: Frame | None = None) -> FrameChange:
        """The same map between frames of other names."""
        return FrameChange(
            source or self.source, target or self.target, self.scale_x, self.shift_x, self.scale_y, self.shift_y
        )

    def inverse(self) -> FrameChange:
        """The inverse change."""
        return FrameChange(
            self.target,
            self.source,
            1.0 / self.scale_x,
            -self.shift_x / self.scale_x,
            1.0 / self.scale_y,
            -self.shift_y / self.scale_y,
        )

    def points(self, points: NDArray[np.number]) -> FloatArray:
        """Move points ``(N, 2)`` of (x, y) from ``source`` to ``target``."""
        moved = np.asarray(points, dtype=np.float64).reshape(-1, 2) * (self.scale_x, self.scale_y)
        moved += (self.shift_x, self.shift_y)
        return moved

    def boxes(self, boxes: NDArray[np.number]) -> FloatArray:
        """Move boxes ``(N, 4)`` of (x0, y0, x1, y1) from ``source`` to ``target``; corners stay in order."""
        corners = self.points(np.asarray(boxes, dtype=np.float64).reshape(-1, 2)).reshape(-1, 2, 2)
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)

    def _followed_by(
        self, scale_x: float, shift_x: float, scale_y: float, shift_y: float, target: Frame
    ) -> FrameChange:
        return FrameChange(
            self.source,
            target,
            self.scale_x * scale_x,
            self.shift_x * scale_x + shift_x,
            self.scale_y * scale_y,
            self.shift_y * scale_y + shift_y,
        )


def clip_boxes(boxes: NDArray[np.number], width: float, height: float) -> FloatArray:
    """Boxes ``(N, 4)`` limited to an image of ``width`` x ``height`` in the same frame."""
    limits = np.array([width, height, width, height], dtype=np.float64)
    return np.clip(np.asarray(boxes, dtype=np.float64).reshape(-1, 4), 0.0, limits)


def scale_boxes(boxes: NDArray[np.number], factor: float) -> FloatArray:
    """Boxes ``(N, 4)`` with sides ``factor`` times as long, about their middles."""
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 2, 2)
    middles = corners.mean(axis=1, keepdims=True)
    return np.asarray(middles + factor * (corners - middles)).reshape(-1, 4)


def box_iou(boxes_a: NDArray[np.number], boxes_b: NDArray[np.number]) -> FloatArray:
    """Intersection over union of every pair of boxes of one frame: ``(N, 4)`` and ``(M, 4)`` give ``(N, M)``.

    Pairs whose union has no area score 0.
    """
    a = np.asarray(boxes_a, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(boxes_b, dtype=np.float64).reshape(1, -1, 4)
    overlap = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0.0, None)
    intersection = overlap.prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0))
