"""Masks from outlines: polygons, chain codes, and the run lengths of COCO."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from mammoscope.datasets.importers.importer import FoundMask, UnusableError

Point = tuple[float, float]

# Freeman's directions as DDSM numbers them: 0 is up, then clockwise, as (x, y) with y down.
_DIRECTIONS = np.array([(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)])


@dataclass(frozen=True)
class Polygons:
    """The mask of one or several polygons.

    Attributes
    ----------
    polygons
        Corners (x, y) in pixels of the image, from the corner of the first pixel.
    """

    polygons: tuple[tuple[Point, ...], ...]

    def __call__(self, shape: tuple[int, int]) -> FoundMask:
        mask = np.zeros(shape, np.uint8)
        for polygon in self.polygons:
            corners = np.asarray(polygon, dtype=np.float64) - 0.5
            # Pixels whose middle is inside: OpenCV draws the corners' own pixels too, so they are rounded inwards.
            inwards = np.where(corners < corners.mean(axis=0), np.ceil(corners), np.floor(corners))
            cv2.fillPoly(mask, [inwards.astype(np.int32)], 1)
        return FoundMask(mask.view(np.bool_))


@dataclass(frozen=True)
class ChainCode:
    """The mask within an outline of DDSM: a start (x, y), and steps in eight directions (0 is up, then clockwise).

    Attributes
    ----------
    size
        Rows and columns of the film as digitised, to which the outline refers; the image may be smaller.
    """

    start: tuple[int, int]
    steps: tuple[int, ...]
    size: tuple[int, int]

    def __call__(self, shape: tuple[int, int]) -> FoundMask:
        moves = _DIRECTIONS[np.asarray(self.steps, dtype=np.intp)].reshape(-1, 2)
        points = np.concatenate([[self.start], self.start + np.cumsum(moves, axis=0)])
        if points.min() < 0 or (points >= self.size[::-1]).any():
            raise UnusableError("its outline leaves the film")
        mask = np.zeros(self.size, np.uint8)
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
        return FoundMask(mask.view(np.bool_))


@dataclass(frozen=True)
class RunLengths:
    """A mask of COCO: lengths of runs, column by column, the first of background.

    Attributes
    ----------
    size
        Rows and columns.
    """

    counts: tuple[int, ...]
    size: tuple[int, int]

    def __call__(self, shape: tuple[int, int]) -> FoundMask:
        if sum(self.counts) != self.size[0] * self.size[1] or min(self.counts, default=0) < 0:
            raise UnusableError(f"its run lengths do not fill {self.size[1]} x {self.size[0]} pixels")
        values = np.arange(len(self.counts)) % 2 == 1
        return FoundMask(np.repeat(values, self.counts).reshape(self.size[::-1]).T)


def unpacked_counts(text: str) -> tuple[int, ...]:
    """The run lengths in the compressed form of COCO: six bits a character, differences from the third on.

    Raises
    ------
    ValueError
        It is not such a text.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError("a character that run lengths do not have")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("they are cut off")
    return tuple(counts)


def outline_digest(outline: object) -> str:
    """What tells an outline from another, for ``FoundLesion.source``."""
    return hashlib.sha256(repr(outline).encode()).hexdigest()[:16]
