"""The overlay, looked at pixel by pixel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_analyses import analysis, finding, mammogram
from numpy.typing import NDArray

from mammoscope.errors import MammoscopeError
from mammoscope.findings import Analysis
from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing
from mammoscope.writers.overlay.ink import PLATE, SKY_BLUE, VERMILLION, YELLOW, Colour
from mammoscope.writers.overlay.picture import render_overlay
from mammoscope.writers.png import encode_png, write_png

Pixels = NDArray[np.uint8]


def near(pixels: Pixels, colour: Colour) -> NDArray[np.bool_]:
    """Where an image has a colour, edges of text and lines left out."""
    return np.asarray(np.abs(pixels.astype(int) - colour).max(axis=-1) < 12)


def strip_heights(overlay: Pixels) -> tuple[int, int]:
    """Rows of the strips above and below the image."""
    plate = (overlay[:, 0] == PLATE).all(axis=1)
    return int(np.argmin(plate)), int(np.argmin(plate[::-1]))


def picture_of(overlay: Pixels) -> Pixels:
    top, bottom = strip_heights(overlay)
    return overlay[top : len(overlay) - bottom]


def test_without_findings_the_image_is_the_mammogram_alone() -> None:
    image = mammogram(spacing=None)
    picture = picture_of(render_overlay(image, analysis(image)))
    np.testing.assert_allclose(picture, np.repeat((image.pixels / 257)[..., None], 3, axis=2), atol=1)


@pytest.mark.parametrize("outcome", ["no_finding", "no_breast_found"])
def test_an_empty_outcome_is_said_without_a_legend(outcome: str) -> None:
    image = mammogram()
    overlay = render_overlay(image, analysis(image, outcome=outcome))
    assert not near(overlay, VERMILLION).any()
    assert not near(overlay, SKY_BLUE).any()
    assert near(overlay[-strip_heights(overlay)[1] :], YELLOW).any()


@pytest.mark.parametrize(
    ("rows", "columns", "aspect", "max_side", "expected"),
    [
        (1200, 900, 1.0, 2400, (1200, 900)),
        (3000, 2000, 1.0, 2400, (2400, 1600)),
        (2000, 3000, 1.0, 1500, (1000, 1500)),
        (800, 800, 1.75, 2400, (1400, 800)),  # stretched to a square
        (800, 800, 1.75, 1000, (1000, 640)),  # narrow: black at both sides
        (900, 900, 0.5, 2400, (450, 900)),
        (100, 100, 1.0, 2400, (800, 800)),  # enlarged, for room to write
        (1, 1, 1.0, 2400, (800, 800)),
        (3000, 8, 1.0, 2400, (2400, 640)),
    ],
)
def test_the_image_has_true_proportions(
    rows: int, columns: int, aspect: float, max_side: int, expected: tuple[int, int]
) -> None:
    image = mammogram(pixels=np.full((rows, columns), 40000, np.uint16), pixel_aspect=aspect, spacing=None)
    picture = picture_of(render_overlay(image, analysis(image), max_side))
    assert picture.shape == (*expected, 3)
    grey = near(picture, (155, 155, 155))
    assert grey[:, expected[1] // 2].all()
    true_width = max(1, round(columns * expected[0] / (rows * aspect)))
    assert (abs(grey.sum(axis=1) - true_width) <= 1).all()


def box_edge(picture: Pixels, box: tuple[int, int, int, int], colour: Colour) -> NDArray[np.bool_]:
    """Where the upper edge of a box is drawn, along its length."""
    x0, y0, x1, _ = box
    return np.asarray(near(picture[y0 - 2 : y0 + 2, x0:x1], colour).any(axis=0))


@pytest.mark.parametrize(
    ("laterality", "columns"), [(Laterality.RIGHT, (500, 640)), (Laterality.LEFT, (200, 340)), (None, (500, 640))]
)
def test_a_malignant_finding_is_solid_and_vermillion(laterality: Laterality | None, columns: tuple[int, int]) -> None:
    image = mammogram(laterality=laterality)
    box = (columns[0], 500, columns[1], 640)
    picture = picture_of(render_overlay(image, analysis(image, finding(box, 0.81))))
    assert box_edge(picture, box, VERMILLION).mean() > 0.97
    outline = near(picture[510:630, columns[0] + 5 : columns[1] - 5], VERMILLION)
    # The ellipse in the box, not its mirror image nor something else.
    rows, found = np.nonzero(outline)
    assert found.min() == pytest.approx(7 - 5, abs=3)
    assert rows.mean() == pytest.approx(60, abs=3)
    assert not near(picture, SKY_BLUE).any()


def test_a_benign_finding_is_dashed_and_blue() -> None:
    image = mammogram()
    box = (500, 500, 640, 640)
    picture = picture_of(render_overlay(image, analysis(image, finding(box, 0.2))))
    edge = box_edge(picture, box, SKY_BLUE)
    assert 0.35 < edge.mean() < 0.75
    assert edge[:3].any()
    assert edge[-3:].any()
    assert not near(picture, VERMILLION).any()


def test_a_box_on_a_stretched_and_reduced_image_lies_where_it_should() -> None:
    image = mammogram(1600, 1600, pixel_aspect=1.5, spacing=None)
    picture = picture_of(render_overlay(image, analysis(image, finding((800, 800, 1000, 1000), outline=())), 1200))
    assert picture.shape[:2] == (1200, 800)
    column = near(picture[:, 402:480], VERMILLION).sum(axis=1)
    edges = np.flatnonzero(column > 70)
    assert edges.min() == pytest.approx(600, abs=2)
    assert edges.max() == pytest.approx(750, abs=2)


def test_a_box_on_the_border_is_wholly_visible() -> None:
    image = mammogram()
    picture = picture_of(render_overlay(image, analysis(image, finding((780, 0, 900, 90), outline=()))))
    assert near(picture[:3, 785:895], VERMILLION).any(axis=0).all()
    assert near(picture[5:85, -3:], VERMILLION).any(axis=1).all()


@pytest.mark.parametrize(
    ("spacing", "max_side", "length"),
    [
        (PixelSpacing(0.1, 0.1, "ImagerPixelSpacing"), 2400, 200),  # 20 mm
        (PixelSpacing(0.1, 0.1, "ImagerPixelSpacing"), 900, 150),
        (PixelSpacing(0.05, 0.05, "ImagerPixelSpacing"), 2400, 200),  # 10 mm: 20 would take too much room
    ],
)
def test_the_scale_bar_is_as_long_as_it_says(spacing: PixelSpacing, max_side: int, length: int) -> None:
    image = mammogram(pixels=np.zeros((1200, 900), np.uint16), spacing=spacing)
    picture = picture_of(render_overlay(image, analysis(image), max_side))
    white = near(picture, (255, 255, 255)).sum(axis=1)
    assert int(white.max()) == pytest.approx(length, abs=4)


def test_without_spacing_there_is_no_scale_bar() -> None:
    image = mammogram(pixels=np.zeros((1200, 900), np.uint16), spacing=None)
    assert not picture_of(render_overlay(image, analysis(image))).any()


def test_the_scale_bar_stands_in_the_darker_corner() -> None:
    pixels = np.zeros((1200, 900), np.uint16)
    pixels[:, 450:] = 30000
    image = mammogram(pixels=pixels)
    picture = picture_of(render_overlay(image, analysis(image)))
    assert np.nonzero(near(picture, (255, 255, 255)))[1].max() < 450


def many(count: int, image: Mammogram) -> Analysis:
    rng = np.random.default_rng(0)
    corners = rng.uniform((0, 0), (image.width - 80, image.height - 80), (count, 2))
    return analysis(image, *(finding((x, y, x + 80, y + 80), rng.uniform(), 0.5) for x, y in corners))


@pytest.mark.parametrize("count", [1, 10, 100])
def test_each_finding_has_a_label_while_there_is_room(count: int) -> None:
    image = mammogram(pixels=np.zeros((1200, 900), np.uint16))
    picture = picture_of(render_overlay(image, many(count, image)))
    # The numbers stand on filled fields of their class's colour, about as high as the label.
    filled = (near(picture, VERMILLION) | near(picture, SKY_BLUE)).astype(np.uint8)
    fields = cv2.erode(filled, np.ones((13, 3), np.uint8))
    found = cv2.connectedComponents(cv2.dilate(fields, np.ones((1, 25), np.uint8)))[0] - 1
    assert found == count if count <= 10 else found >= 20


def test_labels_without_room_are_counted_below() -> None:
    image = mammogram()
    few, crowded = (render_overlay(image, many(count, image)) for count in (2, 100))
    assert strip_heights(crowded)[1] > strip_heights(few)[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "x" * 400},
        {"name": "Ärztin-患者-1", "laterality": None, "view": None},
        {"warnings": ("A warning of many words. " * 30, "Another.", "A third.")},
    ],
)
def test_strips_hold_any_text_without_growing_wider(changes: dict[str, object]) -> None:
    image = mammogram(100, 80, **changes)
    overlay = render_overlay(image, analysis(image, finding((10, 10, 40, 40))))
    assert overlay.shape[1] == 640
    # Nothing touches the sides of the strips.
    top, bottom = strip_heights(overlay)
    for strip in (overlay[:top], overlay[-bottom:]):
        assert (strip[:, :6] == PLATE).all()
        assert (strip[:, -6:] == PLATE).all()


@pytest.mark.parametrize("shape", [(40, 60, 3), (40, 60), (5, 1, 3), (1, 1)])
def test_a_png_holds_the_pixels(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "one.png", pixels)
    read = cv2.imread(str(tmp_path / "one.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read[..., ::-1] if len(shape) == 3 else read, pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint16), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_other_pixels_are_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="must be"):
        encode_png(pixels)


def test_a_png_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MammoscopeError, match=r"file/one\.png: cannot be written"):
        write_png(tmp_path / "file" / "one.png", np.zeros((4, 4), np.uint8))


def test_drawing_does_not_import_matplotlib() -> None:
    code = (
        "import sys; from mammoscope.writers.overlay import fonts, picture; fonts.font(20); "
        "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
