"""Where labels go: beside their box, never over each other, never outside the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rectangle = tuple[float, float, float, float]
_Rectangles = NDArray[np.float64]

# Costs in label heights of distance.
_OUT_OF_LINE = 1.0
_OVER_OWN_BOX, _OVER_OTHER_BOX, _SHARE_OF_OTHER_BOX, _ACROSS_LABEL = 3.0, 3.0, 2.0, 2.0
_IN_LINE = 8  # the first candidates stand in line with a side of their box


def place_labels(
    boxes: Sequence[Rectangle],
    sizes: Sequence[tuple[float, float]],
    picture_size: tuple[float, float],
    gap: float,
    taken: Sequence[Rectangle] = (),
) -> tuple[Rectangle | None, ...]:
    """Find a place for each label, the first ones first.

    A label is placed near its box, where it hides little of its own and other boxes.

    Parameters
    ----------
    boxes
        (x0, y0, x1, y1) of what each label belongs to, in pixels of the image drawn on.
    sizes
        (width, height) of each label.
    picture_size
        (width, height) that labels stay within.
    gap
        Kept between a label and its box, and between labels.
    taken
        Rectangles that no label may cover.

    Returns
    -------
    tuple
        (x0, y0, x1, y1) for each label; None where no free place is left.
    """
    every_box = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    blocked = np.array(taken, dtype=np.float64).reshape(-1, 4)
    placed: list[Rectangle | None] = []
    for number, (box, size) in enumerate(zip(every_box, sizes, strict=True)):
        candidates = _candidates(box, size, picture_size, gap)
        cost = np.where(np.arange(len(candidates)) < _IN_LINE, 0.0, _OUT_OF_LINE)
        rim = np.array([gap, gap, -gap, -gap]) / 2
        free = ~(_overlap(candidates, blocked - rim) > 0).any(axis=1)
        candidates, cost = candidates[free], cost[free]
        if not len(candidates):
            placed.append(None)
            continue
        lines = _shortest_lines(candidates, box)
        cost += np.hypot(*(lines[:, 1] - lines[:, 0]).T) / size[1] + _ACROSS_LABEL * _crossings(lines, blocked)
        hidden = _overlap(candidates, every_box) / (size[0] * size[1])
        cost += _OVER_OWN_BOX * hidden[:, number]
        others = np.delete(hidden, number, axis=1)
        cost += (_OVER_OTHER_BOX * (others > 0) + _SHARE_OF_OTHER_BOX * others).sum(axis=1)
        best = candidates[int(np.argmin(cost))]
        blocked = np.concatenate([blocked, best[None]])
        placed.append((float(best[0]), float(best[1]), float(best[2]), float(best[3])))
    return tuple(placed)


def leader(label: Rectangle, box: Rectangle, gap: float) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The shortest line from a label's edge to that of its box; None where they are about ``gap`` apart or touch."""
    ends = _shortest_lines(np.array([label]), np.array(box))[0]
    if np.hypot(*(ends[1] - ends[0])) <= 1.5 * gap:
        return None
    return (float(ends[0, 0]), float(ends[0, 1])), (float(ends[1, 0]), float(ends[1, 1]))


def _candidates(
    box: _Rectangles, size: tuple[float, float], picture_size: tuple[float, float], gap: float
) -> _Rectangles:
    """Places ``(N, 4)`` inside the image: around the box in order of preference, then everywhere on a grid."""
    (x0, y0, x1, y1), (width, height) = box, size
    above, below = y0 - gap - height, y1 + gap
    left, right = x0 - gap - width, x1 + gap
    near = [
        (x0, above),
        (x1 - width, above),
        (x0, below),
        (x1 - width, below),
        (right, y0),
        (left, y0),
        (right, y1 - height),
        (left, y1 - height),
        # Inside, for a box that fills the image.
        (x0 + gap, y0 + gap),
        (x0 + gap, y1 - gap - height),
    ]
    room_x, room_y = picture_size[0] - gap - width, picture_size[1] - gap - height
    if room_x < gap or room_y < gap:
        return np.zeros((0, 4))
    columns = np.linspace(gap, room_x, max(2, min(40, round((room_x - gap) / (0.2 * width)))))
    rows = np.linspace(gap, room_y, max(2, min(80, round((room_y - gap) / (0.6 * height)))))
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    corners = np.clip(np.concatenate([np.array(near), grid]), gap, (room_x, room_y))
    return np.concatenate([corners, corners + np.array([width, height])], axis=1)


def _overlap(rectangles: _Rectangles, others: _Rectangles) -> _Rectangles:
    """Shared area of each pair: ``(N, 4)`` and ``(M, 4)`` give ``(N, M)``."""
    low = np.maximum(rectangles[:, None, :2], others[None, :, :2])
    high = np.minimum(rectangles[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2))


def _shortest_lines(rectangles: _Rectangles, box: _Rectangles) -> _Rectangles:
    """The shortest line from each rectangle to a box: ``(N, 2, 2)``, start and end of (x, y)."""
    # Where the two face each other along an axis, the line stands in the middle of what they share.
    shared = (np.maximum(rectangles[:, :2], box[:2]) + np.minimum(rectangles[:, 2:], box[2:])) / 2
    starts = np.clip(shared, rectangles[:, :2], rectangles[:, 2:])
    ends = np.clip(shared, box[:2], box[2:])
    return np.stack([starts, ends], axis=1)


def _crossings(lines: _Rectangles, rectangles: _Rectangles) -> _Rectangles:
    """How many of the rectangles ``(M, 4)`` each line ``(N, 2, 2)`` runs through."""
    along = np.linspace(0, 1, 24)[:, None]
    points = lines[:, None, 0] * (1 - along) + lines[:, None, 1] * along
    x, y = points[:, :, None, 0], points[:, :, None, 1]
    x0, y0, x1, y1 = rectangles.T
    inside: NDArray[np.bool_] = (x > x0) & (x < x1) & (y > y0) & (y < y1)
    return np.asarray(inside.any(axis=1).sum(axis=1, dtype=np.float64))
