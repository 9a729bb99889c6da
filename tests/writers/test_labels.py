"""Places of labels: inside the image, apart from each other, near their boxes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammoscope.geometry import box_iou
from mammoscope.writers.overlay.labels import leader, place_labels

PICTURE = (600.0, 800.0)
LABEL = (180.0, 24.0)
GAP = 6.0


def test_no_boxes_need_no_labels() -> None:
    assert place_labels([], [], PICTURE, GAP) == ()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((100, 300, 150, 350), (100, 270, 280, 294)),  # above, in line with the left side
        ((560, 300, 600, 350), (414, 270, 594, 294)),  # pushed in from the right border
        ((100, 0, 150, 50), (100, 56, 280, 80)),  # below where there is no room above
        ((0, 780, 40, 800), (6, 750, 186, 774)),  # lower left corner
    ],
)
def test_a_lone_label_stands_beside_its_box(
    box: tuple[float, float, float, float], expected: tuple[float, float, float, float]
) -> None:
    assert place_labels([box], [LABEL], PICTURE, GAP) == (expected,)


def test_a_label_inside_a_box_that_fills_the_image() -> None:
    (place,) = place_labels([(0, 0, *PICTURE)], [LABEL], PICTURE, GAP)
    assert place is not None
    assert place[0] >= GAP
    assert place[3] <= PICTURE[1] - GAP


def test_a_label_wider_than_the_image_has_no_place() -> None:
    assert place_labels([(0, 0, 10, 10)], [(700.0, 24.0)], PICTURE, GAP) == (None,)


def test_what_is_taken_is_left_free() -> None:
    box = (100.0, 300.0, 150.0, 350.0)
    above = (90.0, 260.0, 290.0, 296.0)
    (place,) = place_labels([box], [LABEL], PICTURE, GAP, [above])
    assert place is not None
    assert box_iou(np.array([place]), np.array([above])) == 0


def test_a_label_keeps_off_the_other_box_where_it_can() -> None:
    boxes = [(100.0, 300.0, 150.0, 350.0), (110.0, 265.0, 260.0, 295.0)]
    first, _ = place_labels(boxes, [LABEL, LABEL], PICTURE, GAP)
    assert first is not None
    assert box_iou(np.array([first]), np.array([boxes[1]])) == 0


corner = st.tuples(st.floats(0, 590), st.floats(0, 790), st.floats(1, 300), st.floats(1, 300))


@settings(max_examples=60, deadline=None)
@given(st.lists(corner, min_size=1, max_size=12))
def test_labels_never_overlap_nor_leave_the_image(corners: list[tuple[float, float, float, float]]) -> None:
    boxes = [(x, y, min(x + width, PICTURE[0]), min(y + height, PICTURE[1])) for x, y, width, height in corners]
    scale_bar = (480.0, 740.0, 600.0, 800.0)
    places = place_labels(boxes, [LABEL] * len(boxes), PICTURE, GAP, [scale_bar])
    shown = [place for place in places if place is not None]
    assert len(shown) == len(boxes)
    for x0, y0, x1, y1 in shown:
        assert 0 <= x0 < x1 <= PICTURE[0]
        assert 0 <= y0 < y1 <= PICTURE[1]
        assert (x1 - x0, y1 - y0) == pytest.approx(LABEL)
    for one, other in combinations([*shown, scale_bar], 2):
        assert box_iou(np.array([one]), np.array([other])) == 0


def test_an_image_full_of_labels_turns_the_rest_away() -> None:
    places = place_labels([(10, 10, 20, 20)] * 40, [LABEL] * 40, (200.0, 100.0), GAP)
    shown = [place for place in places if place is not None]
    assert 1 <= len(shown) < 40
    assert places[0] is not None


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ((100, 270, 280, 294), None),  # beside its box
        ((100, 310, 280, 334), None),  # over it
        ((100, 200, 280, 224), ((125, 224), (125, 300))),  # above, apart
        ((300, 500, 480, 524), ((300, 500), (150, 350))),  # corner to corner
    ],
)
def test_a_leader_joins_a_label_that_stands_apart(label: tuple[float, float, float, float], expected: object) -> None:
    assert leader(label, (100, 300, 150, 350), GAP) == expected
