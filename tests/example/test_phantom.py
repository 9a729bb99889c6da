"""The phantom: what it holds, and that the pipeline's first step takes it for a mammogram."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mammoscope.example import PhantomView, make_exam
from mammoscope.geometry import box_iou
from mammoscope.mammogram import Laterality, Mammogram
from mammoscope.stages.preprocess import PreprocessSettings, preprocess

ROWS, COLUMNS = 624, 480
SEEDS = (0, 1, 2)

exam = cache(make_exam)


def small_exam(seed: int) -> tuple[PhantomView, ...]:
    return exam(seed, ROWS, COLUMNS)


def as_mammogram(view: PhantomView) -> Mammogram:
    pixels = np.rint(view.pixels * (65535 / 4095)).astype(np.uint16)
    return Mammogram(pixels=pixels, name="phantom", sha256="0" * 64, file_format="DICOM", bits=12)


def filled(outline: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.rint(outline - 0.5).astype(np.int32)], 1)
    return mask.astype(bool)


@pytest.mark.parametrize(
    ("seed", "rows", "columns", "named"),
    [(0, 199, 640, "199 x 640"), (0, 832, 0, "832 x 0"), (-1, 832, 640, "seed is -1"), (1 << 32, 832, 640, "seed is")],
)
def test_impossible_exams_are_refused(seed: int, rows: int, columns: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make_exam(seed, rows, columns)


@pytest.mark.parametrize(("rows", "columns"), [(200, 200), (832, 640), (640, 900), (1000, 400)])
def test_every_size_gives_four_12_bit_views_with_square_pixels(rows: int, columns: int) -> None:
    views = exam(5, rows, columns)
    assert [(view.laterality, view.view) for view in views] == [
        (Laterality.RIGHT, "CC"),
        (Laterality.LEFT, "CC"),
        (Laterality.RIGHT, "MLO"),
        (Laterality.LEFT, "MLO"),
    ]
    for view in views:
        assert view.pixels.shape == view.breast.shape == (rows, columns)
        assert view.pixels.dtype == np.uint16
        assert 3000 < view.pixels.max() <= 4095
        assert view.spacing_mm == pytest.approx(max(232.96 / rows, 179.2 / columns))


def test_default_size_is_that_of_a_small_detector() -> None:
    view = make_exam(0)[0]
    assert view.pixels.shape == (3328, 2560)
    assert view.spacing_mm == pytest.approx(0.07)


def test_the_seed_alone_decides() -> None:
    again = make_exam(1, ROWS, COLUMNS)
    for view, same, other in zip(small_exam(1), again, small_exam(2), strict=True):
        np.testing.assert_array_equal(view.pixels, same.pixels)
        assert (view.pixels != other.pixels).mean() > 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_one_breast_holds_one_mass_seen_in_both_views(seed: int) -> None:
    views = small_exam(seed)
    with_mass = [view for view in views if view.masses]
    assert [view.view for view in with_mass] == ["CC", "MLO"]
    assert len({view.laterality for view in with_mass}) == 1
    depths = []
    for view in with_mass:
        (mass,) = view.masses
        assert mass.malignant
        gaps = mass.outline[:, None] - mass.outline[None]
        assert 13 <= np.hypot(gaps[..., 0], gaps[..., 1]).max() * view.spacing_mm <= 18
        assert box_iou(np.array([mass.box]), np.array([[*mass.outline.min(axis=0), *mass.outline.max(axis=0)]])) == 1
        columns = np.flatnonzero(view.breast.any(axis=0))
        nipple = columns[0] if view.laterality is Laterality.RIGHT else columns[-1]
        depths.append(abs(mass.outline[:, 0].mean() - nipple) * view.spacing_mm)
    # The posterior nipple line: one lesion lies about as deep in both views.
    assert depths[0] == pytest.approx(depths[1], abs=10)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mass_is_denser_than_what_is_around_it(seed: int) -> None:
    for view in small_exam(seed):
        for mass in view.masses:
            inside = filled(mass.outline, view.pixels.shape)
            assert view.breast[inside].all()
            ring = cv2.dilate(inside.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool) & ~inside
            assert view.pixels[inside].mean() > 1.25 * view.pixels[ring & view.breast].mean()
            assert np.percentile(view.pixels[inside], 20) > np.percentile(view.pixels[ring & view.breast], 80)


@pytest.mark.parametrize("seed", SEEDS)
def test_preprocessing_finds_the_breast_and_drops_the_label(seed: int) -> None:
    for view in small_exam(seed):
        found = preprocess(as_mammogram(view), PreprocessSettings())
        assert found is not None
        assert (found.from_original.scale_x < 0) == (view.laterality is Laterality.RIGHT)
        corner = found.from_original.inverse().boxes(np.array([[0, 0, found.width, found.height]]))[0]
        x0, y0, x1, y1 = corner.round().astype(int)
        mask = np.zeros_like(view.breast)
        mask[y0:y1, x0:x1] = found.mask[:, ::-1] if view.laterality is Laterality.RIGHT else found.mask
        assert (mask & view.breast).sum() / (mask | view.breast).sum() > 0.96
        label = (view.pixels > 1000) & ~view.breast
        assert label.sum() > 300
        assert not (label & mask).any()


@pytest.mark.parametrize("seed", [0, 4294967295])
def test_the_label_lies_in_the_background_opposite_the_chest_wall(seed: int) -> None:
    for view in small_exam(seed):
        label = (view.pixels > 1000) & ~cv2.dilate(view.breast.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
        rows, columns = np.nonzero(label)
        assert rows.max() < 0.2 * ROWS
        right_half = columns.mean() > COLUMNS / 2
        assert right_half == (view.laterality is Laterality.LEFT)
        assert columns.min() > 5
        assert columns.max() < COLUMNS - 5
