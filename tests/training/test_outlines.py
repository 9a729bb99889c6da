"""Outlines drawn by words: their masks are whole, lie in the frame, and look as the words say."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mammoscope.training.synthesis.outlines import MARGINS, SHAPES, draw_mask, outline_radii, soft_rim

SIZE, SPAN = 128, 0.6
SEEDS = range(20)


def mask_of(seed: int, shape: str, margin: str) -> NDArray[np.uint8]:
    return draw_mask(outline_radii(np.random.default_rng(seed), shape, margin), SIZE, SPAN)


@pytest.mark.parametrize(("shape", "margin"), list(product(SHAPES, MARGINS)))
def test_a_mask_is_one_piece_in_the_middle_of_the_frame(shape: str, margin: str) -> None:
    for seed in SEEDS:
        mask = (mask_of(seed, shape, margin) > 127).astype(np.uint8)
        assert cv2.connectedComponents(mask)[0] == 2  # the mass, and what is around it
        x, y, width, height = cv2.boundingRect(mask)
        assert max(width, height) == pytest.approx(SPAN * SIZE, abs=2)
        assert (x + width / 2, y + height / 2) == pytest.approx((SIZE / 2, SIZE / 2), abs=1.5)
        assert 0.25 < mask.sum() / (width * height) < 0.95  # of its box; a full ellipse has 0.79


def test_the_same_seed_draws_the_same_mask_and_another_one_another() -> None:
    first = mask_of(1, "IRREGULAR", "SPICULATED")
    assert np.array_equal(first, mask_of(1, "IRREGULAR", "SPICULATED"))
    assert not np.array_equal(first, mask_of(2, "IRREGULAR", "SPICULATED"))


def roundness(shape: str, margin: str) -> float:
    """4 pi area / perimeter ** 2, which is 1 for a circle; the mean over seeds."""
    found = []
    for seed in SEEDS:
        radii = outline_radii(np.random.default_rng(seed), shape, margin)
        angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
        x, y = radii * np.cos(angles), radii * np.sin(angles)
        area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
        perimeter = np.hypot(np.diff(x, append=x[0]), np.diff(y, append=y[0])).sum()
        found.append(4 * np.pi * area / perimeter**2)
    return float(np.mean(found))


def test_shapes_are_as_round_as_their_words_say() -> None:
    by_shape = [roundness(shape, "CIRCUMSCRIBED") for shape in SHAPES]
    assert by_shape == sorted(by_shape, reverse=True)
    assert by_shape[0] > 0.97 and by_shape[-1] < 0.85


@pytest.mark.parametrize("margin", ["MICROLOBULATED", "SPICULATED"])
def test_these_margins_are_rougher_than_a_circumscribed_one(margin: str) -> None:
    assert roundness("ROUND", margin) < roundness("ROUND", "CIRCUMSCRIBED") - 0.05


def test_an_oval_is_longer_than_wide() -> None:
    radii = [outline_radii(np.random.default_rng(seed), "OVAL", "CIRCUMSCRIBED") for seed in SEEDS]
    assert min(values.max() / values.min() for values in radii) > 1.15


@pytest.mark.parametrize(
    ("margins", "soft"),
    [
        (set(), (False, False)),
        ({"CIRCUMSCRIBED"}, (False, False)),
        ({"SPICULATED", "ILL_DEFINED"}, (True, True)),
        ({"OBSCURED"}, (True, False)),
    ],
)
def test_a_rim_is_soft_where_the_margin_says_so(margins: set[str], soft: tuple[bool, bool]) -> None:
    mask = mask_of(0, "ROUND", "CIRCUMSCRIBED")
    rimmed = soft_rim(np.random.default_rng(0), mask, margins)
    changed = np.abs(rimmed.astype(int) - mask) > 20
    y, x = np.nonzero(changed)
    angles = np.arctan2(y - SIZE / 2, x - SIZE / 2)
    sectors = np.histogram(angles, bins=8, range=(-np.pi, np.pi))[0] > 0
    assert (bool(sectors.any()), bool(sectors.all())) == soft
    # The outline itself stays where it is: the truth is the same.
    moved = np.count_nonzero((rimmed > 127) != (mask > 127))
    assert moved < 0.03 * np.count_nonzero(mask > 127)
