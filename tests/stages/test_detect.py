"""How overlapping boxes are joined."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.stages.detect import suppress_overlaps, vote_boxes

BOXES = np.array(
    [
        [0, 0, 10, 10],  # the best
        [0, 2, 10, 12],  # IoU 0.67 with the best
        [0, 5, 10, 15],  # IoU 0.33 with the best
        [40, 40, 50, 50],  # far away
        [1, 0, 11, 10],  # IoU 0.82 with the best, below the floor
    ],
    dtype=float,
)
SCORES = np.array([0.9, 0.6, 0.5, 0.3, 0.02])


@pytest.mark.parametrize(
    ("iou", "floor", "limit", "kept"),
    [
        (0.3, 0.05, 100, [0, 3]),
        (0.5, 0.05, 100, [0, 2, 3]),
        (0.9, 0.05, 100, [0, 1, 2, 3]),
        (0.9, 0.01, 100, [0, 1, 2, 3, 4]),
        (0.9, 0.55, 100, [0, 1]),
        (0.5, 0.05, 1, [0]),
        (0.5, 0.95, 100, []),
    ],
)
def test_a_box_that_overlaps_a_better_one_is_left_out(iou: float, floor: float, limit: int, kept: list[int]) -> None:
    assert suppress_overlaps(BOXES, SCORES, floor=floor, iou=iou, limit=limit).tolist() == kept


def test_kept_boxes_are_placed_by_those_left_out_for_them() -> None:
    placed = vote_boxes(BOXES, SCORES, np.array([0, 3]), floor=0.05, iou=0.5)
    # 0.9 of the first and 0.6 of the second: a vertical shift of 2 x 0.6 / 1.5.
    assert placed == pytest.approx(np.array([[0, 0.8, 10, 10.8], [40, 40, 50, 50]]))


@pytest.mark.parametrize("iou", [1.0, 0.9])
def test_a_box_without_close_neighbours_stays_where_it_is(iou: float) -> None:
    kept = np.array([0, 2, 3])
    assert vote_boxes(BOXES, SCORES, kept, floor=0.05, iou=iou) == pytest.approx(BOXES[kept])


def test_a_box_of_no_area_votes_for_itself() -> None:
    boxes = np.array([[5.0, 5, 5, 9]])
    assert vote_boxes(boxes, np.array([0.5]), np.array([0]), floor=0.05, iou=0.5) == pytest.approx(boxes)


def test_without_boxes_there_is_nothing_to_place() -> None:
    none = suppress_overlaps(BOXES[:0], SCORES[:0], floor=0.05, iou=0.5, limit=10)
    assert vote_boxes(BOXES[:0], SCORES[:0], none, floor=0.05, iou=0.5).shape == (0, 4)
