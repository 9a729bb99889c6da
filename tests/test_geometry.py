"""Boxes and points go from the original to every frame and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammoscope.geometry import Frame, FrameChange, box_iou, clip_boxes, scale_boxes

_SIDES = st.integers(64, 20_000)
_SHARES = st.floats(0, 1)


@given(
    size=st.tuples(_SIDES, _SIDES),
    corners=st.tuples(_SHARES, _SHARES, _SHARES, _SHARES),
    crop=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    mirrored=st.booleans(),
    scale=st.tuples(st.floats(0.01, 4), st.floats(0.01, 4)),
)
def test_any_box_goes_there_and_back_within_half_a_pixel(
    size: tuple[int, int],
    corners: tuple[float, float, float, float],
    crop: tuple[float, float],
    mirrored: bool,
    scale: tuple[float, float],
) -> None:
    width, height = size
    x0, x1 = sorted((corners[0] * width, corners[1] * width))
    y0, y1 = sorted((corners[2] * height, corners[3] * height))
    box = np.array([[x0, y0, x1, y1]])
    left, top = int(crop[0] * width), int(crop[1] * height)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).cropped(left, top)
    if mirrored:
        change = change.flipped_horizontally(width - left)
    change = change.then(FrameChange(Frame.PREPROCESSED, Frame.MODEL_INPUT).scaled(*scale))

    there = change.boxes(box)
    assert (there[:, :2] <= there[:, 2:]).all()
    assert np.abs(change.inverse().boxes(there) - box).max() < 0.5
    corner = np.array([[x0, y0]])
    assert np.abs(change.inverse().points(change.points(corner)) - corner).max() < 0.5


@pytest.mark.parametrize(
    ("change", "point", "expected"),
    [
        (FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED), (3, 4), (3, 4)),
        (FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).cropped(10, 20), (10, 20), (0, 0)),
        (FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).flipped_horizontally(100), (0, 5), (100, 5)),
        (FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).cropped(10, 0).flipped_horizontally(50), (10, 5), (50, 5)),
        (FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).scaled(0.5, 2), (10, 10), (5, 20)),
    ],
)
def test_each_change_by_hand(change: FrameChange, point: tuple[int, int], expected: tuple[int, int]) -> None:
    assert change.points(np.array([point])).tolist() == [list(expected)]


def test_a_flip_moves_pixels_as_an_array_flip_does() -> None:
    pixels = np.arange(12).reshape(2, 6)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).flipped_horizontally(6)
    x, y = change.points(np.array([[1.5, 0.5]]))[0]  # the centre of pixel (1, 0)
    assert pixels[:, ::-1][int(y), int(x)] == pixels[0, 1]


def test_chains_must_fit() -> None:
    to_roi = FrameChange(Frame.PREPROCESSED, Frame.ROI)
    with pytest.raises(ValueError, match="cannot chain preprocessed->roi with preprocessed->roi"):
        to_roi.then(to_roi)
    with pytest.raises(ValueError, match="non-zero scales"):
        FrameChange(Frame.ORIGINAL, Frame.ROI, scale_x=0)


def test_iou_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]])
    iou = box_iou(boxes[:1], boxes)[0]
    assert iou.tolist() == pytest.approx([1, 50 / 150, 0, 0])
    assert box_iou(np.zeros((0, 4)), boxes).shape == (0, 4)
    assert clip_boxes(np.array([[-5, 2, 50, 8]]), 20, 6).tolist() == [[0, 2, 20, 6]]
    assert scale_boxes(np.array([[10, 20, 30, 60]]), 1.5).tolist() == [[5, 10, 35, 70]]
    assert scale_boxes(np.zeros((0, 4)), 1.5).shape == (0, 4)
