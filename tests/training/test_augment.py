"""Augmentation moves pixels, boxes and masks together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from mammoscope.families.recipe import Augmentation
from mammoscope.geometry import box_iou
from mammoscope.training.augment import random_coarseness, random_erasure, random_light, random_warp
from mammoscope.training.lesion_rois import LesionPicture, plain_picture, random_picture

_STRONG = Augmentation(rotation_degrees=30, shift=0.1, zoom=0.3, flip_horizontal=0.5, flip_vertical=0.5)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("aspect", [1.0, 1.8])
def test_a_box_follows_its_mass(seed: int, aspect: float) -> None:
    size = 256
    picture = np.zeros((size, size), np.uint8)
    cv2.ellipse(picture, (120, 140), (40, 16), 0, 0, 360, 255, cv2.FILLED)
    box = np.array([[80, 124, 161, 157]], dtype=float)
    warp = random_warp(np.random.default_rng(seed), _STRONG, source=(size, size), target=(size, size), aspect=aspect)
    moved, boxes = warp.picture(picture, size, size), warp.boxes(box, size, size)
    x, y, width, height = cv2.boundingRect((moved > 127).astype(np.uint8))
    assert box_iou(boxes, np.array([[x, y, x + width, y + height]]))[0, 0] > 0.9


def test_without_settings_nothing_moves() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    rng, still = np.random.default_rng(0), Augmentation()
    warp = random_warp(rng, still, source=(64, 64), target=(64, 64))
    assert (warp.picture(picture, 64, 64) == picture).all()
    box = np.array([[3.0, 4.0, 20.0, 30.0]])
    assert warp.boxes(box, 64, 64) == pytest.approx(box)
    assert (random_light(rng, still, picture) == picture).all()
    assert random_coarseness(rng, still, picture) is picture
    assert random_erasure(rng, still, picture) is picture


def test_boxes_that_leave_the_image_are_not_targets() -> None:
    warp = random_warp(np.random.default_rng(0), Augmentation(), source=(100, 100), target=(100, 100))
    boxes = np.array([[-30, 10, 20, 40], [-5, 10, 45, 40], [200, 200, 220, 220]], dtype=float)
    kept = warp.boxes(boxes, 100, 100)
    assert kept.tolist() == [[0, 10, 20, 40], [0, 10, 45, 40]][kept.shape[0] == 1 :]
    assert warp.boxes(np.zeros((0, 4)), 100, 100).shape == (0, 4)


def test_light_keeps_the_background_black() -> None:
    picture = np.zeros((32, 32), np.uint8)
    picture[8:24, 8:24] = 100
    bright = Augmentation(brightness=0.3, contrast=0.3, gamma=0.3)
    changed = [random_light(np.random.default_rng(seed), bright, picture, keep_black=True) for seed in range(10)]
    assert all((result[picture == 0] == 0).all() for result in changed)
    assert len({int(result[16, 16]) for result in changed}) > 5


def test_an_image_with_context_is_cut_to_the_mass() -> None:
    pixels, mask = np.full((410, 410), 50, np.uint8), np.zeros((410, 410), np.uint8)
    radius = 410 * 0.5625 / 2
    cv2.circle(mask, (205, 205), round(radius), 255, cv2.FILLED)
    pixels[mask > 0] = 180
    _, cut = plain_picture(LesionPicture(pixels, mask, 0.5625, sharp=False), 256)
    columns = np.flatnonzero((cut > 127).any(axis=0))
    assert (columns[-1] - columns[0] + 1) / 256 == pytest.approx(0.9, abs=0.02)


def test_the_same_seed_gives_the_same_image() -> None:
    rng = np.random.default_rng(1)
    source = LesionPicture(rng.integers(0, 255, (256, 256), dtype=np.uint8), np.full((256, 256), 255, np.uint8), 0.9)
    settings = _STRONG.model_copy(update={"blur": 1.0, "erase": 1.0, "gamma": 0.3})
    first, second, other = (random_picture(np.random.default_rng(seed), settings, source, 128)[0] for seed in (5, 5, 6))
    assert (first == second).all() and (first != other).any()
