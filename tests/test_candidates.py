"""The table that passes from step to step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.geometry import Frame, FrameChange

BOXES = np.array([[0.0, 0, 10, 10], [5, 5, 20, 30], [1, 2, 3, 4]])


def _found(scores: tuple[float, ...] = (0.2, 0.9, 0.5)) -> Candidates:
    """Three candidates with an ROI, a mask and a malignancy score each, which tell the rows apart."""
    count = len(scores)
    changes = tuple(FrameChange(Frame.PREPROCESSED, Frame.ROI).cropped(row, 0) for row in range(count))
    grey = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    return replace(
        Candidates.on_view(BOXES[:count], np.array(scores)),
        rois=RoiBatch(grey, changes),
        masks=Masks(grey.astype(np.float32) / 10, 0.5),
        malignancy_score=np.arange(count) / 10,
        attributes={"shape": np.arange(count)[:, None] / 10 * [1, -1] + [0, 1]},
    )


def _rows(found: Candidates) -> list[tuple[float, int, float, float, float]]:
    assert found.rois is not None and found.masks is not None and found.malignancy_score is not None
    shifts = [-change.shift_x for change in found.rois.from_preprocessed]
    masks = found.masks.probabilities[:, 0, 0] * 10
    said = found.attributes["shape"][:, 0] * 10
    of_rois = found.rois.pixels[:, 0, 0].tolist()
    return list(zip(shifts, of_rois, masks, found.malignancy_score * 10, said, strict=True))


def test_nothing_found_has_no_rows_and_no_problem() -> None:
    none = Candidates.none()
    assert len(none) == 0 and none.problem([True]) is None
    for same in (
        none.ranked(),
        none.above(0.5),
        none.of_view(3),
        Candidates.joined([]),
        Candidates.joined([none, none]),
    ):
        assert len(same) == 0 and same.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("take", "rows"),
    [
        (lambda found: found.ranked(), [1, 2, 0]),
        (lambda found: found.above(0.5), [1, 2]),
        (lambda found: found.above(0.95), []),
        (lambda found: found.take(np.array([2, 0])), [2, 0]),
        (lambda found: found.take(np.array([True, False, False])), [0]),
        (lambda found: found.of_view(0), [0, 1, 2]),
        (lambda found: found.of_view(1), []),
    ],
)
def test_all_columns_follow_the_rows(take: object, rows: list[int]) -> None:
    taken = take(_found())  # type: ignore[operator]
    assert np.array(_rows(taken)) == pytest.approx(np.array([[row] * 5 for row in rows]))
    assert taken.boxes == pytest.approx(BOXES[rows])


def test_equal_scores_keep_their_order() -> None:
    assert _rows(_found((0.5, 0.5, 0.5)).ranked()) == _rows(_found((0.5, 0.5, 0.5)))


def test_parts_are_joined_row_after_row_and_empty_ones_take_nothing_away() -> None:
    found = _found()
    again = Candidates.joined([found.take(np.array([0])), Candidates.none(), found.take(np.array([1, 2])).moved_to(4)])
    assert _rows(again) == _rows(found)
    assert again.view.tolist() == [0, 4, 4]


def test_a_column_that_a_part_lacks_is_lacking_in_all() -> None:
    found = _found()
    assert Candidates.joined([found, replace(found, masks=None)]).masks is None


def test_what_is_not_said_of_a_part_is_nan_there() -> None:
    found = _found()
    one, others = found.take(np.array([0])), found.take(np.array([1, 2]))
    more = replace(others, attributes={"birads": np.array([[0.2, 0.3, 0.5], [1, 0, 0]])})
    joined = Candidates.joined([one, more])
    np.testing.assert_array_equal(joined.attributes["shape"], [[0, 1], [np.nan] * 2, [np.nan] * 2])
    assert joined.attributes["birads"][:, 0].tolist() == pytest.approx([np.nan, 0.2, 1], nan_ok=True)
    assert joined.problem([True]) is None
    assert joined.take(np.array([2])).attributes["birads"].tolist() == [[1, 0, 0]]
    assert Candidates.joined([one, Candidates.none()]).attributes["shape"].tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"boxes": BOXES[:2]},
        {"kind": np.array(["mass"])},
        {"view": np.zeros((3, 1), np.int64)},
        {"malignancy_score": np.zeros(2)},
        {"rois": RoiBatch(np.zeros((0, 4, 4), np.uint8), ())},
        {"attributes": {"shape": np.ones((2, 4)) / 4}},
        {"attributes": {"shape": np.ones(3)}},
    ],
)
def test_columns_of_other_lengths_make_no_table(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(_found(), **wrong)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"view": np.array([0, 1, 2])}, "a view that the exam of 2 does not have"),
        ({"view": np.array([0, -1, 0])}, "a view that"),
        ({"rois": None}, "masks without the ROIs that they are drawn in"),
        ({"boxes": BOXES[:, [2, 1, 0, 3]]}, "a box that is not"),
        ({"boxes": BOXES * np.nan}, "a box that is not"),
        ({"detection_score": np.array([0, 1, 1.01])}, "a detection_score that is not a number from 0 to 1"),
        ({"malignancy_score": np.array([0, np.nan, 1])}, "a malignancy_score that is not a number"),
        ({"masks": Masks(np.full((3, 4, 4), np.inf, np.float32), 0.5)}, "a mask that is not finite"),
        ({"attributes": {"shape": np.array([[0.5, 0.5]] * 2 + [[0.9, 0.9]])}}, "attributes 'shape' that are not prob"),
        ({"attributes": {"shape": np.array([[0.5, 0.5]] * 2 + [[1.1, -0.1]])}}, "attributes 'shape' that are not"),
        ({"attributes": {"shape": np.array([[0.5, 0.5]] * 2 + [[0.5, np.nan]])}}, "attributes 'shape' that are not"),
    ],
)
def test_values_that_cannot_be_are_named(wrong: dict[str, object], problem: str) -> None:
    assert problem in (replace(_found(), **wrong).problem([True, True]) or "nothing")
