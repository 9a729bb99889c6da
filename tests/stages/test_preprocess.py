"""The breast is found, hung to the left and cleared of labels, whatever the film looks like."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mammoscope.geometry import box_iou
from mammoscope.mammogram import Mammogram
from mammoscope.readers import read_mammogram
from mammoscope.stages.preprocess import ContrastSettings, Preprocessed, PreprocessSettings, preprocess

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"


def _mammogram(pixels: NDArray[np.uint16], pixel_aspect: float = 1.0) -> Mammogram:
    return Mammogram(pixels, "drawn", "0" * 64, "PNG", 16, pixel_aspect=pixel_aspect)


def _film(
    *,
    height: int = 800,
    width: int = 600,
    right: bool = False,
    base: int = 0,
    label: bool = True,
    edge: bool = False,
) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """A drawn film ``(H, W) uint16`` and where its breast is."""
    breast = np.zeros((height, width), dtype=np.uint8)
    cv2.ellipse(breast, (0, height // 2), (int(width * 0.6), int(height * 0.4)), 0, -90, 90, 1, cv2.FILLED)
    pixels = np.full((height, width), base, dtype=np.float64)
    pixels[breast > 0] = 30_000
    pixels += breast * cv2.GaussianBlur(np.random.default_rng(0).normal(0, 40_000, breast.shape), (0, 0), 8)
    if label:
        pixels[height // 20 : height // 10, width * 7 // 10 : width * 9 // 10] = 60_000
    if edge:
        pixels[:, -5:] = 65_000
        pixels[-5:] = 65_000
    pixels = pixels.clip(0, 65_535).astype(np.uint16)
    inside = breast.astype(bool)
    return (pixels[:, ::-1].copy(), inside[:, ::-1].copy()) if right else (pixels, inside)


def _in_original(prepared: Preprocessed, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The breast mask in the original frame."""
    centres = np.argwhere(prepared.mask)[:, ::-1] + 0.5
    x, y = prepared.from_original.inverse().points(centres).astype(int).T
    mask = np.zeros(shape, dtype=bool)
    mask[y, x] = True
    return mask


@pytest.mark.parametrize(
    "film",
    [
        {},
        {"right": True},
        {"right": True, "label": False},
        {"base": 9_000},
        {"edge": True},
        {"base": 9_000, "edge": True, "right": True},
        {"height": 2400, "width": 1900},
        {"height": 300, "width": 200},
        {"height": 800, "width": 800, "right": True},
    ],
)
def test_the_breast_is_found_and_hung_left(film: dict[str, int]) -> None:
    pixels, breast = _film(**film)
    prepared = preprocess(_mammogram(pixels), PreprocessSettings())
    assert prepared is not None
    found = _in_original(prepared, pixels.shape)
    assert (found & breast).sum() / (found | breast).sum() > 0.93
    columns = prepared.mask.sum(axis=0)
    middle = prepared.width // 2
    assert columns[:middle].sum() > columns[-middle:].sum(), "the chest wall is not left"
    assert (prepared.pixels[~prepared.mask] == 0).all(), "something outside the breast was left"
    rows, places = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    true_box = np.array([[places[0], rows[0], places[-1] + 1, rows[-1] + 1]])
    frame = np.array([[0, 0, prepared.width, prepared.height]])
    assert box_iou(prepared.from_original.inverse().boxes(frame), true_box)[0, 0] > 0.9


@pytest.mark.parametrize("right", [False, True])
def test_pixels_and_frame_change_agree(right: bool) -> None:
    pixels, _ = _film(right=right)
    spot = (200, 400) if not right else (399, 400)
    cv2.circle(pixels, spot, 3, 65_535, cv2.FILLED)
    prepared = preprocess(_mammogram(pixels), PreprocessSettings())
    assert prepared is not None
    x, y = prepared.from_original.points(np.array([spot]) + 0.5)[0].astype(int)
    assert prepared.pixels[y, x] == 255
    assert prepared.pixels[y - 2 : y + 3, x - 2 : x + 3].min() > 230


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((400, 300), np.uint16),
        np.full((400, 300), 65_535, np.uint16),
        np.full((64, 64), 7, np.uint16),
    ],
    ids=["black", "white", "flat"],
)
def test_no_breast_is_said(pixels: NDArray[np.uint16]) -> None:
    assert preprocess(_mammogram(pixels), PreprocessSettings()) is None


def test_a_label_alone_is_not_a_breast() -> None:
    pixels = np.zeros((800, 600), np.uint16)
    pixels[40:80, 420:540] = 60_000
    assert preprocess(_mammogram(pixels), PreprocessSettings()) is None


def test_contrast_setting_zero_leaves_the_image() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    assert ContrastSettings(clip_limit=0).apply(picture) is picture
    assert (ContrastSettings(clip_limit=4).apply(picture) != picture).any()


def test_a_real_film_with_grey_base_and_frame() -> None:
    path = SHARED / "dicom" / "MG1_J2KI.dcm"
    if not path.exists():
        pytest.skip("needs shared/data/dicom/MG1_J2KI.dcm")
    mammogram = read_mammogram(path)
    prepared = preprocess(mammogram, PreprocessSettings())
    assert prepared is not None
    # Looked at: the breast reaches two thirds across; the printed letters and the clip lie right of it.
    assert 0.6 < prepared.width / mammogram.width < 0.75
    assert 0.7 < prepared.mask.mean() < 0.85


def test_the_test_pattern_is_not_a_breast() -> None:
    path = SHARED / "dicom" / "MG_test_pattern.dcm"
    if not path.exists():
        pytest.skip("needs shared/data/dicom/MG_test_pattern.dcm")
    assert preprocess(read_mammogram(path), PreprocessSettings()) is None
