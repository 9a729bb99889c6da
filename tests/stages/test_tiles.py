"""Tiles of a breast, and boxes that their borders cut, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.stages.tiles import Tile, TileGrid, TileSettings, inside, stitched

# Two by two tiles of 100 pixels, 20 of which the next one shows too: they start at 0 and 80, and cover 180 pixels.
GRID = TileGrid(TileSettings(rows=2, columns=2, overlap=0.2), 100, 100)
# The same side by side, without overlap.
ABUTTING = TileGrid(TileSettings(rows=2, columns=2, overlap=0), 100, 100)
Box = tuple[float, float, float, float]


def on_tiles(grid: TileGrid, found: dict[int, list[tuple[Box, float]]]) -> tuple[list[list[float]], list[float]]:
    """``stitched`` of what is found on some tiles, in the tiles' own pixels."""
    boxes = [np.array([box for box, _ in found.get(at, [])], dtype=float).reshape(-1, 4) for at in range(4)]
    scores = [np.array([score for _, score in found.get(at, [])]) for at in range(4)]
    joined, best = stitched(grid.tiles, boxes, scores)
    return joined.tolist(), best.tolist()


def seen(grid: TileGrid, box: Box, scores: dict[int, float]) -> dict[int, list[tuple[Box, float]]]:
    """What a perfect detector finds on some tiles of one mass, with given scores."""
    whole = np.array([box], dtype=float)
    found = {at: inside(whole, grid.tiles[at], 0.0) for at in scores}
    return {at: [(tuple(boxes[0].tolist()), scores[at])] for at, boxes in found.items()}


def test_tiles_cover_the_image_and_overlap() -> None:
    assert GRID.size == (180, 180)
    assert [(tile.x0, tile.y0, tile.x1, tile.y1) for tile in GRID.tiles] == [
        (0, 0, 100, 100),
        (80, 0, 180, 100),
        (0, 80, 100, 180),
        (80, 80, 180, 180),
    ]
    wide = TileGrid(TileSettings(rows=1, columns=3, overlap=0.25), 64, 128)
    assert wide.size == (64, 320)
    assert [tile.x0 for tile in wide.tiles] == [0, 96, 192]


def test_one_tile_is_the_whole_image() -> None:
    grid = TileGrid(TileSettings(overlap=0.5), 96, 64)
    assert grid.size == (96, 64)
    assert grid.tiles == (Tile(0, 0, 0, 0, 64, 96),)
    pixels = np.arange(96 * 64, dtype=np.uint8).reshape(96, 64)
    assert np.array_equal(grid.tiles[0].cut(pixels), pixels)


def test_a_tile_shows_its_part() -> None:
    pixels = np.zeros((180, 180), dtype=np.uint8)
    pixels[85, 90] = 7
    assert GRID.tiles[3].cut(pixels)[5, 10] == 7
    assert GRID.tiles[3].cut(pixels).shape == (100, 100)


@pytest.mark.parametrize(
    ("box", "least", "shown"),
    [
        ((90, 10, 110, 30), 0.3, [[10, 10, 30, 30]]),  # whole
        ((60, 10, 110, 30), 0.6, [[0, 10, 30, 30]]),  # 30 of 50 columns, which is 0.6
        ((60, 10, 110, 30), 0.61, []),
        ((10, 10, 30, 30), 0.0, []),  # on the other tile
        ((60, 10, 80, 30), 0.0, []),  # touches the border
        ((90, 10, 90, 30), 0.0, []),  # of no area
    ],
)
def test_boxes_are_cut_at_the_border_if_enough_is_inside(box: Box, least: float, shown: list[list[float]]) -> None:
    assert inside(np.array([box], dtype=float), GRID.tiles[1], least).tolist() == shown


def test_a_tile_without_boxes_shows_none() -> None:
    assert inside(np.zeros((0, 4)), GRID.tiles[1], 0.3).shape == (0, 4)


@pytest.mark.parametrize("grid", [GRID, ABUTTING])
@pytest.mark.parametrize("box", [(40, 20, 160, 50), (60, 10, 115, 60)])
def test_a_box_across_a_vertical_border_becomes_one(grid: TileGrid, box: Box) -> None:
    assert on_tiles(grid, seen(grid, box, {0: 0.4, 1: 0.7})) == ([list(box)], [0.7])


@pytest.mark.parametrize("grid", [GRID, ABUTTING])
def test_a_box_across_a_horizontal_border_becomes_one(grid: TileGrid) -> None:
    box = (20.0, 40.0, 50.0, 160.0)
    assert on_tiles(grid, seen(grid, box, {0: 0.9, 2: 0.7})) == ([list(box)], [0.9])


@pytest.mark.parametrize("grid", [GRID, ABUTTING])
@pytest.mark.parametrize("missed", [None, 0, 3])
def test_a_box_across_a_corner_becomes_one(grid: TileGrid, missed: int | None) -> None:
    box = (50.0, 60.0, 140.0, 150.0)
    scores = {at: score for at, score in enumerate((0.5, 0.8, 0.6, 0.3)) if at != missed}
    joined, best = on_tiles(grid, seen(grid, box, scores))
    assert best == [0.8]
    # The other three reach all four sides.
    assert joined == [list(box)]


def test_a_box_within_the_overlap_is_left_to_suppression() -> None:
    box = (85.0, 20.0, 96.0, 30.0)
    assert on_tiles(GRID, seen(GRID, box, {0: 0.5, 1: 0.6})) == ([list(box), list(box)], [0.6, 0.5])


def test_a_box_that_one_tile_shows_whole_takes_what_the_other_shows_of_it() -> None:
    box = (60.0, 20.0, 95.0, 50.0)  # ends in the overlap; the second tile shows it from 80
    assert on_tiles(GRID, seen(GRID, box, {0: 0.5, 1: 0.6})) == ([list(box)], [0.6])


def test_a_box_wholly_on_one_tile_stays_as_it_is() -> None:
    found = {0: [((10.0, 10.0, 30.0, 30.0), 0.5)], 3: [((40.0, 40.0, 60.0, 60.0), 0.9)]}
    assert on_tiles(GRID, found) == ([[120, 120, 140, 140], [10, 10, 30, 30]], [0.9, 0.5])


def test_without_boxes_there_is_nothing_to_stitch() -> None:
    assert on_tiles(GRID, {}) == ([], [])


def test_boxes_that_end_just_before_the_border_are_cut_by_it() -> None:
    # Two pixels are 2% of the side.
    near = {0: [((40.0, 20.0, 98.0, 50.0), 0.5)], 1: [((2.0, 20.0, 60.0, 50.0), 0.6)]}
    assert on_tiles(ABUTTING, near) == ([[40, 20, 160, 50]], [0.6])
    farther = {0: [((40.0, 20.0, 97.0, 50.0), 0.5)], 1: [((3.0, 20.0, 60.0, 50.0), 0.6)]}
    assert len(on_tiles(ABUTTING, farther)[0]) == 2


@pytest.mark.parametrize(("bottom", "count"), [(60, 1), (61, 2), (15, 2), (35, 1)])
def test_boxes_become_one_only_if_they_agree_along_the_border(bottom: float, count: int) -> None:
    # Rows 20 to 40 against 20 to bottom: 20 to 60 has half in common, 20 to 35 three quarters.
    rows = sorted((20.0, bottom))
    found = {0: [((40.0, 20.0, 100.0, 40.0), 0.5)], 1: [((0.0, rows[0], 60.0, rows[1]), 0.6)]}
    assert len(on_tiles(ABUTTING, found)[0]) == count


def test_boxes_in_the_overlap_that_do_not_meet_stay_two() -> None:
    # The first ends at the border of its tile, the other lies before it begins.
    found = {0: [((96.0, 20.0, 100.0, 30.0), 0.5)], 1: [((3.0, 20.0, 10.0, 30.0), 0.6)]}
    assert len(on_tiles(GRID, found)[0]) == 2


def test_the_outer_border_joins_nothing() -> None:
    found = {0: [((0.0, 20.0, 30.0, 50.0), 0.5)], 1: [((70.0, 20.0, 100.0, 50.0), 0.6)]}
    assert len(on_tiles(ABUTTING, found)[0]) == 2


def test_of_two_parts_on_one_tile_the_better_is_taken() -> None:
    found = {
        0: [((40.0, 20.0, 100.0, 50.0), 0.9)],
        1: [((0.0, 22.0, 60.0, 52.0), 0.3), ((0.0, 20.0, 30.0, 50.0), 0.6)],
    }
    assert on_tiles(ABUTTING, found) == ([[40, 20, 130, 50], [100, 22, 160, 52]], [0.9, 0.3])
