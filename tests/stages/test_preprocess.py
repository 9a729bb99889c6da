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


def _framed(share: float, level: int = 60_000) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """A film within a bright frame, which takes this share of each side."""
    pixels, breast = _film()
    y, x = (max(1, round(side * share)) for side in pixels.shape)
    return (
        np.pad(pixels, ((y, y), (x, x)), constant_values=level),
        np.pad(breast, ((y, y), (x, x)), constant_values=False),
    )


def _beside(side: str, share: float) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """A bright strip beside the film, on one side."""
    pixels, breast = _film(base=4_000)
    turns = {"left": 0, "top": 3, "right": 2, "bottom": 1}[side]
    turned, inside = np.rot90(pixels, turns), np.rot90(breast, turns)
    width = round(turned.shape[1] * share)
    joined = np.pad(turned, ((0, 0), (width, 0)), constant_values=60_000)
    return np.rot90(joined, -turns).copy(), np.rot90(np.pad(inside, ((0, 0), (width, 0))), -turns).copy()


def _unevenly_lit(level: float, across: bool) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Air that gets brighter towards the bottom, or towards the side that faces the chest wall."""
    pixels, breast = _film(label=False)
    height, width = pixels.shape
    ramp = np.linspace(0, level, width)[None, :] if across else np.linspace(0, level, height)[:, None]
    return (pixels * 0.6 + ramp).clip(0, 65_535).astype(np.uint16), breast


def _with_belly(radius: float, right: bool) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """A fold of the belly below the breast, at the chest wall."""
    pixels, breast = _film(label=False)
    height, width = pixels.shape
    belly = np.zeros((height, width), np.uint8)
    cv2.ellipse(belly, (0, height), (int(width * 2.5 * radius), int(height * radius)), 0, 0, 360, 1, cv2.FILLED)
    pixels[belly.astype(bool) & ~breast] = 30_000
    return (pixels[:, ::-1].copy(), breast[:, ::-1].copy()) if right else (pixels, breast)


@pytest.mark.parametrize(
    "film",
    [
        *(pytest.param(_framed(share), id=f"frame {share}") for share in (0.045, 0.06, 0.1, 0.2)),
        pytest.param(_framed(0.1, 35_000), id="grey frame"),
        *(
            pytest.param(_beside(side, share), id=f"{side} {share}")
            for side in ("left", "right", "top", "bottom")
            for share in (0.06, 0.15)
        ),
        pytest.param(_unevenly_lit(15_000, across=False), id="lit below"),
        pytest.param(_unevenly_lit(20_000, across=True), id="lit across"),
        *(
            pytest.param(_with_belly(radius, right), id=f"belly {radius}")
            for radius, right in ((0.1, False), (0.13, True))
        ),
    ],
)
def test_nothing_but_the_breast_is_in_the_mask(film: tuple[NDArray[np.uint16], NDArray[np.bool_]]) -> None:
    pixels, breast = film
    prepared = preprocess(_mammogram(pixels), PreprocessSettings())
    assert prepared is not None
    found = _in_original(prepared, pixels.shape)
    assert (found & breast).sum() / (found | breast).sum() > 0.9


def test_a_breast_as_wide_as_the_film_stays_whole() -> None:
    height, width = 800, 600
    breast = np.zeros((height, width), np.uint8)
    cv2.ellipse(breast, (0, 400), (900, 330), 0, -90, 90, 1, cv2.FILLED)
    texture = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 40_000, breast.shape), (0, 0), 8)
    pixels = (breast * (30_000 + texture)).clip(0, 65_535).astype(np.uint16)
    prepared = preprocess(_mammogram(pixels), PreprocessSettings())
    assert prepared is not None
    found = _in_original(prepared, pixels.shape)
    assert (found & (breast > 0)).sum() / breast.sum() > 0.97


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
