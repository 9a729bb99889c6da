"""Outlines and sizes against shapes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from mammoscope.kinds import KINDS
from mammoscope.mammogram import PixelSpacing
from mammoscope.stages.measure import longest_diameter, measure, outline_of_mask, polygon_area

_SPACING = PixelSpacing(0.1, 0.05, "ImagerPixelSpacing")


def _disc(radius: float, centre: tuple[float, float] = (64, 64), size: int = 128) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    distance = np.hypot(x - centre[0], y - centre[1])
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


def test_a_disc_is_measured_within_a_hundredth() -> None:
    outline = outline_of_mask(_disc(40), 0.5)
    assert polygon_area(outline) == pytest.approx(np.pi * 40**2, rel=0.01)
    assert longest_diameter(outline) == pytest.approx(80, rel=0.01)
    assert outline.mean(axis=0) == pytest.approx([64, 64], abs=0.3)


def test_of_two_regions_the_larger_is_outlined_and_holes_are_filled() -> None:
    probabilities = np.maximum(_disc(30, (40, 64)), _disc(10, (100, 64)))
    probabilities[60:68, 36:44] = 0
    assert polygon_area(outline_of_mask(probabilities, 0.5)) == pytest.approx(np.pi * 900, rel=0.01)


@pytest.mark.parametrize("probabilities", [np.zeros((64, 64), np.float32), np.full((64, 64), 0.4, np.float32)])
def test_nothing_reaches_the_threshold(probabilities: np.ndarray) -> None:
    outline = outline_of_mask(probabilities, 0.5)
    assert outline.shape == (0, 2)
    assert measure(outline, KINDS[0], _SPACING).unknown_because == "no outline was found"


def test_a_mask_that_fills_the_roi_stays_inside_it() -> None:
    outline = outline_of_mask(np.ones((64, 64), np.float32), 0.5)
    assert outline.min() >= 0 and outline.max() <= 64
    assert polygon_area(outline) == pytest.approx(64 * 64, rel=0.03)


def test_one_pixel() -> None:
    probabilities = np.zeros((16, 16), np.float32)
    probabilities[5, 7] = 1
    outline = outline_of_mask(probabilities, 0.5)
    assert outline.mean(axis=0) == pytest.approx([7.5, 5.5])


def test_millimetres_follow_both_spacings() -> None:
    square = np.array([[0, 0], [100, 0], [100, 100], [0, 100]], dtype=float)
    size = measure(square, KINDS[0], _SPACING)
    assert size.area_mm2 == pytest.approx(5 * 10)
    assert size.longest_diameter_mm == pytest.approx(np.hypot(5, 10), abs=0.01)
    unknown = measure(square, KINDS[0], None)
    assert unknown.area_mm2 is None and unknown.unknown_because == "the file does not say the pixel spacing"
