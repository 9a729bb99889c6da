"""Draw lines and text on an image ``(h, w, 3) uint8`` RGB, in place."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mammoscope.kinds import ColourKey
from mammoscope.writers.overlay.fonts import font

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Okabe and Ito 2008: distinguishable with every common kind of colour blindness.
VERMILLION: Colour = (213, 94, 0)
SKY_BLUE: Colour = (86, 180, 233)
REDDISH_PURPLE: Colour = (204, 121, 167)
YELLOW: Colour = (240, 228, 66)
WHITE: Colour = (255, 255, 255)
SOFT_WHITE: Colour = (196, 202, 208)
PLATE: Colour = (12, 15, 19)
BLACK: Colour = (0, 0, 0)
PALETTE: dict[ColourKey, Colour] = {
    "vermillion": VERMILLION,
    "sky blue": SKY_BLUE,
    "reddish purple": REDDISH_PURPLE,
}

_SHIFT = 4  # bits of a pixel's fraction that OpenCV takes


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Width of a line of text in pixels."""
    return int(np.ceil(font(size, bold=bold).getlength(text)))


def draw_text(
    picture: Picture, place: tuple[float, float], text: str, size: int, colour: Colour, *, bold: bool = False
) -> None:
    """Write one line: ``place`` is its left end (x) and the middle of its capitals (y)."""
    width, height = text_width(text, size, bold=bold) + 4, 2 * size
    left, top = round(place[0]) - 1, round(place[1]) - height // 2
    x0, y0, x1, y1 = max(0, left), max(0, top), min(picture.shape[1], left + width), min(picture.shape[0], top + height)
    if x0 >= x1 or y0 >= y1:
        return
    ink = Image.new("L", (width, height))
    # DejaVu's capitals are 0.73 of the size high.
    ImageDraw.Draw(ink).text((1, height / 2 + 0.365 * size), text, 255, font(size, bold=bold), anchor="ls")
    share = np.asarray(ink)[y0 - top : y1 - top, x0 - left : x1 - left, None].astype(np.uint16)
    window = picture[y0:y1, x0:x1]
    window[:] = (window * (255 - share) + np.array(colour, dtype=np.uint16) * share + 127) // 255


def draw_polygon(picture: Picture, points: NDArray[np.float64], colour: Colour, width: int) -> None:
    """A closed outline ``(N, 2)`` with a dark rim, so that it stands out from bright tissue."""
    fixed = [_fixed(points)]
    cv2.polylines(picture, fixed, True, BLACK, width + max(2, width), cv2.LINE_AA, _SHIFT)
    cv2.polylines(picture, fixed, True, colour, width, cv2.LINE_AA, _SHIFT)


def draw_line(
    picture: Picture, start: tuple[float, float], end: tuple[float, float], colour: Colour, width: int
) -> None:
    """A straight line with a dark rim."""
    ends = [_fixed(np.array([start, end]))]
    cv2.polylines(picture, ends, False, BLACK, width + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(picture, ends, False, colour, width, cv2.LINE_AA, _SHIFT)


def draw_box(
    picture: Picture, box: tuple[float, float, float, float], colour: Colour, width: int, *, dashed: bool
) -> None:
    """A box (x0, y0, x1, y1) with a dark rim; ``dashed`` leaves gaps, whole dashes at the corners."""
    x0, y0, x1, y1 = box
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    strokes: list[NDArray[np.float64]] = []
    for start, end in pairwise(corners):
        length = float(np.hypot(*(end - start)))
        # An odd number of equal parts, alternately drawn and left out, so that both ends are drawn.
        parts = max(1, 2 * round(length / (10 * width)) + 1) if dashed else 1
        stops = start + np.linspace(0, 1, parts + 1)[:, None] * (end - start)
        strokes.extend(stops[part : part + 2] for part in range(0, parts, 2))
    fixed = [_fixed(stroke) for stroke in strokes]
    cv2.polylines(picture, fixed, False, BLACK, width + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(picture, fixed, False, colour, width, cv2.LINE_AA, _SHIFT)


def fill_rectangle(picture: Picture, rectangle: tuple[float, float, float, float], colour: Colour) -> None:
    """A filled rectangle (x0, y0, x1, y1); parts outside the image are left out."""
    left, top, right, bottom = (max(0, round(value)) for value in rectangle)
    picture[top:bottom, left:right] = colour


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Points as OpenCV's fixed-point numbers; its pixel centres are whole numbers, ours lie at one half."""
    return np.rint((points - 0.5) * (1 << _SHIFT)).astype(np.int32)
