"""Overlapping tiles of an image, and the boxes that their borders cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mammoscope.geometry import FloatArray, Frame, FrameChange

# Chosen, not tuned.
_NEAR = 0.02  # of a tile's side: a box that ends as near to a border, or nearer, is cut by it
_AGREEMENT = 0.5  # least IoU, along the border, of two boxes that are parts of one


class TileSettings(BaseModel):
    """Into how many tiles the breast is cut; one is the whole breast."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: Annotated[int, Field(ge=1, le=8)] = 1
    columns: Annotated[int, Field(ge=1, le=8)] = 1
    overlap: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.25, description="Of neighbouring tiles, as a share of a tile's side."
    )


@dataclass(frozen=True)
class Tile:
    """One tile: ``x0``, ``y0``, ``x1``, ``y1`` are its borders, frame ``model_input``."""

    row: int
    column: int
    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def to_tile(self) -> FrameChange:
        """The change from ``model_input``."""
        return FrameChange(Frame.MODEL_INPUT, Frame.TILE).cropped(self.x0, self.y0)

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Its part of an image ``(H, W)`` of the frame ``model_input``."""
        return pixels[self.y0 : self.y1, self.x0 : self.x1]


@dataclass(frozen=True)
class TileGrid:
    """The tiles of an image, of ``height`` x ``width`` pixels each, row by row.

    The image is as large as its tiles cover, so that all are of one scale and none reaches beyond it.
    """

    settings: TileSettings
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self._starts_y[-1] + self.height, self._starts_x[-1] + self.width

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """All of them."""
        return tuple(
            Tile(row, column, x0, y0, x0 + self.width, y0 + self.height)
            for row, y0 in enumerate(self._starts_y)
            for column, x0 in enumerate(self._starts_x)
        )

    @property
    def _starts_y(self) -> list[int]:
        return _starts(self.settings.rows, self.height, self.settings.overlap)

    @property
    def _starts_x(self) -> list[int]:
        return _starts(self.settings.columns, self.width, self.settings.overlap)


def _starts(count: int, side: int, overlap: float) -> list[int]:
    return [place * (side - round(overlap * side)) for place in range(count)]


def inside(boxes: FloatArray, tile: Tile, least: float) -> FloatArray:
    """What a tile shows of boxes ``(N, 4)``, frame ``model_input``.

    Returns
    -------
    numpy.ndarray
        ``(M, 4)``, frame ``tile``: the boxes of which at least the share ``least`` of the area, and any at all, is
        inside, cut at the tile's borders.
    """
    return inside_with_rows(boxes, tile, least)[0]


def inside_with_rows(boxes: FloatArray, tile: Tile, least: float) -> tuple[FloatArray, NDArray[np.bool_]]:
    """What a tile shows of boxes ``(N, 4)``, see ``inside``, and ``(N,)`` which of them these are."""
    cut = np.clip(boxes, [tile.x0, tile.y0] * 2, [tile.x1, tile.y1] * 2)
    area, visible = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, cut))
    shown = (visible > 0) & (visible >= least * area)
    return tile.to_tile.boxes(cut[shown]), shown


def stitched(
    tiles: Sequence[Tile], boxes: Sequence[NDArray[np.floating]], scores: Sequence[NDArray[np.floating]]
) -> tuple[FloatArray, NDArray[np.floating]]:
    """The boxes found on all tiles, with those joined that are parts of one, cut by a border.

    Two boxes of neighbouring tiles are parts of one if a border between these tiles cuts at least one of them, they
    touch or overlap across it, and they agree along it. The best box takes the best such part from each other tile,
    then those of these parts, so that a mass on a corner becomes one too; then the best box that is left does so. A
    joined box has the best score of its parts. Two whole boxes of one mass stay two, for ``suppress_overlaps``.

    Parameters
    ----------
    tiles
        Those of a grid.
    boxes, scores
        ``(N, 4)``, frame ``tile``, and ``(N,)`` of each tile; there may be none.

    Returns
    -------
    tuple
        ``(M, 4)``, frame ``model_input``, and ``(M,)``, highest score first.
    """
    placed = np.concatenate(
        [tile.to_tile.inverse().boxes(of_one) for tile, of_one in zip(tiles, boxes, strict=True)]
    ).reshape(-1, 4)
    score = np.concatenate(scores)
    owner = np.repeat(np.arange(len(tiles)), [len(of_one) for of_one in scores])
    order = np.argsort(-score, kind="stable")
    placed, score, owner = placed[order], score[order], owner[order]
    free = np.ones(len(placed), dtype=bool)
    joined, best = [], []
    for first in range(len(placed)):
        if not free[first]:
            continue
        free[first] = False
        parts = [first]
        for part in parts:  # grows
            for tile in _neighbours(tiles, owner[part], owner[parts]):
                others = np.flatnonzero(free & (owner == tile))
                same = others[_parts_of_one(placed[part], placed[others], tiles[owner[part]], tiles[tile])]
                if len(same):
                    free[same[0]] = False
                    parts.append(int(same[0]))
        joined.append(np.concatenate([placed[parts, :2].min(axis=0), placed[parts, 2:].max(axis=0)]))
        best.append(first)
    return np.array(joined, dtype=np.float64).reshape(-1, 4), score[best]


def _neighbours(tiles: Sequence[Tile], place: int, used: NDArray[np.intp]) -> Iterator[int]:
    """Places of the tiles that share a border with one, and are not used."""
    tile = tiles[place]
    for other_place, other in enumerate(tiles):
        if abs(other.row - tile.row) + abs(other.column - tile.column) == 1 and other_place not in used:
            yield other_place


def _parts_of_one(box: FloatArray, others: FloatArray, tile: Tile, other: Tile) -> NDArray[np.bool_]:
    """Which of the boxes ``(N, 4)`` of a neighbouring tile are parts of one with a box of this tile."""
    across = 0 if tile.row == other.row else 1
    along = 1 - across
    borders, other_borders = (np.array([each.x0, each.y0, each.x1, each.y1]) for each in (tile, other))
    after = bool(other_borders[across] > borders[across])
    # The side of the box that faces the other tile, and the sides of the others that face this one.
    ours, theirs = (across + 2, across) if after else (across, across + 2)
    near = _NEAR * (borders[across + 2] - borders[across])
    cut = abs(box[ours] - borders[ours]) <= near
    others_cut = np.abs(others[:, theirs] - other_borders[theirs]) <= near
    # A cut box goes on: its end counts as lying on the border.
    our_end = borders[ours] if cut else box[ours]
    their_ends = np.where(others_cut, other_borders[theirs], others[:, theirs])
    if after:
        touching = (their_ends <= our_end) & (others[:, across + 2] >= box[across])
    else:
        touching = (their_ends >= our_end) & (others[:, across] <= box[across + 2])
    common = np.minimum(box[along + 2], others[:, along + 2]) - np.maximum(box[along], others[:, along])
    union = np.maximum(box[along + 2], others[:, along + 2]) - np.minimum(box[along], others[:, along])
    return np.asarray((cut | others_cut) & touching & (common >= _AGREEMENT * union) & (common > 0))
