"""The findings drawn over the original mammogram."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.findings import Analysis, Finding
from mammoscope.kinds import grade_named, kind_named
from mammoscope.mammogram import Mammogram
from mammoscope.writers.malignancy import malignancy_words
from mammoscope.writers.overlay.ink import (
    PALETTE,
    PLATE,
    SOFT_WHITE,
    WHITE,
    Colour,
    Picture,
    draw_box,
    draw_line,
    draw_polygon,
    draw_text,
    fill_rectangle,
    text_width,
)
from mammoscope.writers.overlay.labels import Rectangle, leader, place_labels
from mammoscope.writers.overlay.strips import bottom_strip, top_strip

_SMALLEST_SIDE = 800  # smaller images are enlarged, so that text beside a box stays small compared with it
_SMALLEST_WIDTH = 640
_SCALE_BARS_MM = (20, 10, 5, 2, 1)
_Parts = tuple[tuple[str, bool], ...]  # of a label


def render_overlay(mammogram: Mammogram, analysis: Analysis, max_side: int = 2400) -> NDArray[np.uint8]:
    """Draw an analysis over its mammogram, in the original orientation and the breast's true proportions.

    Each class has a colour and a line (solid box: malignant, dashed box: benign). Beside the box are the probability of
    malignancy and the word of the finding's kind; the kind says whether its outline is drawn too. The number of a
    finding is its place in ``analysis.findings``, from 1. Text is in strips above and below.

    Parameters
    ----------
    mammogram, analysis
        What was analysed, and what was found.
    max_side
        Longer side of the mammogram in the result, in pixels.

    Returns
    -------
    ``(h, w, 3) uint8`` RGB.
    """
    canvas = _canvas(mammogram, max_side)
    taken = _draw_scale_bar(canvas, mammogram)
    unlabelled = _draw_findings(canvas, analysis.findings, analysis.thresholds.malignancy, taken)
    width, size = canvas.width, max(12, round(0.85 * canvas.size))
    return np.concatenate(
        [top_strip(analysis, width, size), canvas.picture, bottom_strip(analysis, width, size, unlabelled=unlabelled)]
    )


@dataclass(frozen=True, eq=False)
class _Canvas:
    """The mammogram as it is drawn on.

    Attributes
    ----------
    picture
        ``(h, w, 3) uint8`` RGB; narrow mammograms have black at both sides.
    scale_x, scale_y
        Pixels of the drawing for one of the original frame.
    left
        Column where the mammogram begins.
    size
        Of the type, in pixels.
    """

    picture: Picture
    scale_x: float
    scale_y: float
    left: int
    size: int

    @property
    def width(self) -> int:
        return int(self.picture.shape[1])

    @property
    def height(self) -> int:
        return int(self.picture.shape[0])

    @property
    def stroke(self) -> int:
        return max(2, round(self.size / 11))

    def box(self, finding: Finding) -> Rectangle:
        """The box in the drawing, fully visible even on the border."""
        box, rim = finding.box, self.stroke / 2
        x0, x1 = np.clip([box.x0 * self.scale_x, box.x1 * self.scale_x], rim, self.width - 2 * self.left - rim)
        y0, y1 = np.clip([box.y0 * self.scale_y, box.y1 * self.scale_y], rim, self.height - rim)
        return float(x0) + self.left, float(y0), float(x1) + self.left, float(y1)

    def outline(self, finding: Finding) -> NDArray[np.float64]:
        return np.array(finding.outline) * (self.scale_x, self.scale_y) + (self.left, 0)


def _canvas(mammogram: Mammogram, max_side: int) -> _Canvas:
    true_height = mammogram.height * mammogram.pixel_aspect
    longer = max(true_height, mammogram.width)
    scale = min(max_side, max(longer, _SMALLEST_SIDE)) / longer
    height, width = max(1, round(true_height * scale)), max(1, round(mammogram.width * scale))
    shrinks = width * height < mammogram.pixels.size
    resized = cv2.resize(
        mammogram.pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    grey = cv2.convertScaleAbs(resized, alpha=255 / 65535)
    left = max(0, _SMALLEST_WIDTH - width) // 2
    right = max(0, _SMALLEST_WIDTH - width - left)
    framed = cv2.copyMakeBorder(grey, 0, 0, left, right, cv2.BORDER_CONSTANT, value=0)
    picture = np.asarray(cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    size = max(13, round(max(picture.shape[:2]) / 76))
    return _Canvas(picture, width / mammogram.width, height / mammogram.height, left, size)


def _draw_scale_bar(canvas: _Canvas, mammogram: Mammogram) -> list[Rectangle]:
    """Draw a bar of a round length in the darker lower corner; returns the rectangle that it takes, if any."""
    if mammogram.spacing is None:
        return []
    pixels_per_mm = canvas.scale_x / mammogram.spacing.column_mm
    room = 0.35 * (canvas.width - 2 * canvas.left)
    length_mm = next((mm for mm in _SCALE_BARS_MM if mm * pixels_per_mm <= room), None)
    if length_mm is None:
        return []
    size, text = canvas.size, f"{length_mm} mm"
    length, edge = length_mm * pixels_per_mm, round(1.2 * size)
    wide = max(length, text_width(text, size))
    corner = canvas.picture[-6 * size :, :, 0]
    reach = round(wide) + 2 * edge
    is_right = corner[:, -reach:].mean() <= corner[:, :reach].mean()
    middle = canvas.width - edge - wide / 2 if is_right else edge + wide / 2
    x0, x1, y, tick = middle - length / 2, middle + length / 2, canvas.height - edge, 0.35 * size
    for start, end in (((x0, y), (x1, y)), ((x0, y - tick), (x0, y + tick)), ((x1, y - tick), (x1, y + tick))):
        draw_line(canvas.picture, start, end, WHITE, canvas.stroke)
    draw_text(canvas.picture, (middle - text_width(text, size) / 2, y - size), text, size, WHITE)
    return [(middle - wide / 2 - edge / 2, y - 2 * size, middle + wide / 2 + edge / 2, float(canvas.height))]


def _draw_findings(
    canvas: _Canvas, findings: tuple[Finding, ...], operating_point: float, taken: list[Rectangle]
) -> int:
    """Draw boxes, outlines and labels; returns for how many labels there was no room."""
    picture, size, stroke = canvas.picture, canvas.size, canvas.stroke
    boxes = [canvas.box(finding) for finding in findings]
    for finding, box in zip(findings, boxes, strict=True):
        colour = _colour(finding)
        draw_box(picture, box, colour, stroke, dashed=grade_named(finding.malignancy).line == "dashed")
        if finding.outline and kind_named(finding.kind).outlined:
            draw_polygon(picture, canvas.outline(finding), colour, stroke)
    gap = max(3.0, 0.35 * size)
    labels = [_label_parts(finding, operating_point) for finding in findings]
    sizes = [(_label_width(number, parts, size), 1.7 * size) for number, parts in enumerate(labels, 1)]
    places = place_labels(boxes, sizes, (canvas.width, canvas.height), gap, taken)
    shown = [(*item, place) for item, place in zip(enumerate(findings), places, strict=True) if place is not None]
    # All leaders first, so that none crosses a label.
    for index, finding, place in shown:
        line = leader(place, boxes[index], gap)
        if line is not None:
            draw_line(picture, *line, _colour(finding), max(1, stroke - 1))
    for index, finding, place in shown:
        _draw_label(canvas, index + 1, labels[index], _colour(finding), place)
    return len(findings) - len(shown)


def _colour(finding: Finding) -> Colour:
    return PALETTE[grade_named(finding.malignancy).colour]


def _label_parts(finding: Finding, operating_point: float) -> _Parts:
    """Pieces of a label's text; True: in the colour of the class."""
    return (
        (malignancy_words(finding.malignancy_score, operating_point), True),
        (f"  |  {kind_named(finding.kind).word} {finding.detection_score:.2f}", False),
    )


def _label_width(number: int, parts: _Parts, size: int) -> int:
    written = sum(text_width(text, size, bold=bold) for text, bold in parts)
    return _number_width(number, size) + written + round(1.1 * size)


def _number_width(number: int, size: int) -> int:
    return text_width(str(number), size, bold=True) + round(0.9 * size)


def _draw_label(canvas: _Canvas, number: int, parts: _Parts, colour: Colour, place: Rectangle) -> None:
    picture, size = canvas.picture, canvas.size
    x0, y0, _, y1 = place
    middle, chip = (y0 + y1) / 2, _number_width(number, size)
    fill_rectangle(picture, place, PLATE)
    fill_rectangle(picture, (x0, y0, x0 + chip, y1), colour)
    draw_text(picture, (x0 + 0.45 * size, middle), str(number), size, PLATE, bold=True)
    x = x0 + chip + 0.5 * size
    for text, is_class in parts:
        draw_text(picture, (x, middle), text, size, colour if is_class else SOFT_WHITE, bold=is_class)
        x += text_width(text, size, bold=is_class)
