"""The square around a region, wherever it lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mammoscope.candidates import Candidates
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import MASS_FRACTION, ROI_SIZE, cut_roi, roi_batch, rois_of, stretch_contrast
from mammoscope.stages.step import PreparedExam, PreparedView


def _gradient(height: int = 400, width: int = 300) -> np.ndarray:
    return np.tile(np.linspace(0, 255, width), (height, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    "box",
    [(100, 150, 160, 210), (0, 0, 40, 40), (260, 360, 300, 400), (10, 10, 11, 11), (0, 0, 300, 400), (50, 50, 50, 50)],
)
@pytest.mark.parametrize("aspect", [1.0, 1.7])
def test_the_box_takes_its_share_of_the_square(box: tuple[int, int, int, int], aspect: float) -> None:
    roi = cut_roi(_gradient(), np.array(box), aspect)
    assert roi.pixels.shape == (ROI_SIZE, ROI_SIZE)
    x0, y0, x1, y1 = roi.from_preprocessed.boxes(np.array([box], dtype=float))[0]
    assert (x0 + x1) / 2 == pytest.approx(ROI_SIZE / 2, abs=ROI_SIZE / 2 if box[2] - box[0] <= 1 else 4)
    if box[2] - box[0] >= 40:
        assert max(x1 - x0, y1 - y0) == pytest.approx(MASS_FRACTION * ROI_SIZE, rel=0.04)
        # Square in the breast: as wide as it is high, counted in widths of a pixel.
        change = roi.from_preprocessed
        assert change.scale_x == pytest.approx(change.scale_y / aspect, rel=0.05)


def test_contrast_is_stretched_without_the_padding() -> None:
    pixels = np.full((100, 100), 100, np.uint8)
    pixels[40:60, 0:20] = 140
    roi = cut_roi(pixels, np.array([0, 40, 20, 60]), 1.0)
    assert roi.pixels.min() == 0 and roi.pixels.max() == 255
    inside = roi.pixels[:, ROI_SIZE // 3 :]
    assert set(np.unique(inside[64:192, 20:100])) <= {255}


def test_a_flat_region_gives_a_black_square() -> None:
    assert (stretch_contrast(np.full((8, 8), 9, np.uint8)) == 0).all()


def test_candidates_are_cut_from_their_views_unless_they_have_rois() -> None:
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)
    left, right = (
        Preprocessed(pixels, np.ones((400, 300), bool), change, 1.0) for pixels in (_gradient(), 255 - _gradient())
    )
    exam = PreparedExam((PreparedView(left), PreparedView(right)))
    assert rois_of(exam, Candidates.none()).pixels.shape == (0, ROI_SIZE, ROI_SIZE)
    found = Candidates.joined(
        [
            Candidates.on_view(np.array([[0, 0, 9, 9]]), np.ones(1)),
            Candidates.on_view(np.array([[5, 5, 90, 90]]), np.ones(1), view=1),
        ]
    )
    rois = rois_of(exam, found)
    assert (rois.pixels[0] == cut_roi(left.pixels, found.boxes[0], 1.0).pixels).all()
    assert (rois.pixels[1] == cut_roi(right.pixels, found.boxes[1], 1.0).pixels).all()
    given = roi_batch([cut_roi(left.pixels, found.boxes[1], 1.0)] * 2)
    assert rois_of(exam, replace(found, rois=given)) is given
