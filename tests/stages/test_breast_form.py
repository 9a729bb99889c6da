"""Where a breast reaches furthest from the chest wall."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mammoscope.stages.breast_form import tip_row


def half_ellipse(height: int, width: int, middle: float) -> NDArray[np.bool_]:
    """``(height, width) bool``: a breast whose chest wall is left and whose nipple is at ``middle``."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.asarray((columns / width) ** 2 + ((rows - middle) / (height / 2)) ** 2 < 1)


@pytest.mark.parametrize("middle", [100.0, 60.0, 130.5])
def test_the_tip_is_at_the_height_of_the_nipple(middle: float) -> None:
    assert tip_row(half_ellipse(200, 150, middle)) == pytest.approx(middle, abs=1)


def test_a_nipple_in_profile_is_the_tip() -> None:
    mask = np.zeros((200, 170), dtype=bool)
    mask[:, :150] = half_ellipse(200, 150, 100)
    mask[70:76, :165] = True
    assert tip_row(mask) == 73


def test_of_a_breast_of_one_pixel_it_is_that_pixel() -> None:
    mask = np.zeros((5, 4), dtype=bool)
    mask[3, 1] = True
    assert tip_row(mask) == 3.5
