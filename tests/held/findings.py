"""The findings of one image as the record holds them, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import Any

import numpy as np

from mammoscope.bundle import Bundle
from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram
from mammoscope.pipeline import analyze

# Low enough that most images have several findings. Findings at a higher threshold are the first of these.
THRESHOLD = 0.1
# Outlines have a thousand points. Of these every n-th is held, and of all of them the number, the length and the area.
EVERY = 16
SCORE, PIXELS = 1e-6, 0.01
# Relative, for what follows from an outline: a hundredth of a pixel at every point moves it by less.
SIZE = 1e-3
_HALF_LAST_DIGIT = 1e-9  # outlines and boxes have two decimals, whose difference is 0.01 only up to rounding

Row = dict[str, Any]


def analysed(mammogram: Mammogram, bundle: Bundle) -> Row:
    """What the record holds of an image: no pixels, no crops, no header."""
    return row_of(analyze(mammogram, bundle, threshold=THRESHOLD))


def row_of(analysis: Analysis) -> Row:
    """What the record holds of an analysis; outlines in hundredths of a pixel, x and y by turns."""
    return {
        "outcome": analysis.outcome,
        "thresholds": [analysis.thresholds.detection, analysis.thresholds.malignancy],
        "findings": [
            {
                "box": [finding.box.x0, finding.box.y0, finding.box.x1, finding.box.y1],
                "detection_score": finding.detection_score,
                "malignancy_score": finding.malignancy_score,
                "malignancy": finding.malignancy,
                "size_mm": [finding.size.area_mm2, finding.size.longest_diameter_mm],
                "outline": [round(100 * value) for point in finding.outline[::EVERY] for value in point],
                "outline_points": len(finding.outline),
                "outline_length_and_area": _length_and_area(finding.outline),
            }
            for finding in analysis.findings
        ],
    }


def differences(name: str, held: Row, now: Row) -> Iterator[str]:
    """One sentence for each thing that moved by more than is allowed."""
    for key in ("outcome", "thresholds"):
        if held[key] != now[key]:
            yield f"{name}: {key} is {now[key]}, was {held[key]}"
    if len(held["findings"]) != len(now["findings"]):
        yield f"{name}: {len(now['findings'])} findings, were {len(held['findings'])}"
        return
    for number, (old, new) in enumerate(zip(held["findings"], now["findings"], strict=True), start=1):
        yield from _moved(f"{name}, finding {number}", old, new)


def _moved(place: str, held: Row, now: Row) -> Iterator[str]:
    for key in ("detection_score", "malignancy_score"):
        if abs(held[key] - now[key]) > SCORE:
            yield f"{place}: {key} is {now[key]}, was {held[key]}"
    if held["malignancy"] != now["malignancy"]:
        yield f"{place}: is {now['malignancy']}, was {held['malignancy']}"
    if _farthest(held["box"], now["box"]) > PIXELS + _HALF_LAST_DIGIT:
        yield f"{place}: box is {now['box']}, was {held['box']}"
    if held["outline_points"] != now["outline_points"]:
        yield f"{place}: outline has {now['outline_points']} points, had {held['outline_points']}"
    elif _farthest(held["outline"], now["outline"]) > 100 * PIXELS:
        yield f"{place}: outline moved by {_farthest(held['outline'], now['outline']) / 100} px"
    for key in ("size_mm", "outline_length_and_area"):
        if not all(map(_same_size, held[key], now[key])):
            yield f"{place}: {key} is {now[key]}, was {held[key]}"


def _same_size(held: float | None, now: float | None) -> bool:
    return held is now if held is None or now is None else isclose(held, now, rel_tol=SIZE, abs_tol=SIZE)


def _length_and_area(outline: tuple[tuple[float, float], ...]) -> list[float]:
    """In px and px2, of a closed polygon."""
    points = np.asarray(outline, dtype=np.float64).reshape(-1, 2)
    following = np.roll(points, -1, axis=0)
    length = np.hypot(*(following - points).T).sum()
    area = abs((points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum()) / 2
    return [round(float(length), 2), round(float(area), 2)]


def _farthest(held: list[float], now: list[float]) -> float:
    return max((abs(old - new) for old, new in zip(held, now, strict=True)), default=0.0)
