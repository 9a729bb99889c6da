"""Draw the outline of a finding from its mask, and measure it."""

from __future__ import annotations

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.findings import Size
from mammoscope.kinds import Kind
from mammoscope.mammogram import PixelSpacing


def measure(outline: NDArray[np.float64], kind: Kind, spacing: PixelSpacing | None) -> Size:
    """The sizes that are measured of a kind, of an outline ``(N, 2)``, frame ``original``."""
    if len(outline) < 3:
        return Size(area_mm2=None, longest_diameter_mm=None, unknown_because="no outline was found")
    if spacing is None:
        return Size(area_mm2=None, longest_diameter_mm=None, unknown_because="the file does not say the pixel spacing")
    points = outline * (spacing.column_mm, spacing.row_mm)
    return Size(
        area_mm2=round(polygon_area(points), 2) if kind.has("area_mm2") else None,
        longest_diameter_mm=round(longest_diameter(points), 2) if kind.has("longest_diameter_mm") else None,
    )


def outline_of_mask(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.float64]:
    """The outline of the largest region at or above a threshold, finer than a pixel.

    Parameters
    ----------
    probabilities
        ``(S, S) float32``, frame ``roi``.

    Returns
    -------
    numpy.ndarray
        ``(N, 2)`` of (x, y), frame ``roi``, a closed polygon without its first point repeated; empty where no pixel
        reaches the threshold.
    """
    # The rim of zeros closes outlines that leave the ROI; they are then clipped to it.
    padded = np.pad(probabilities, 1)
    lines = contourpy.contour_generator(z=padded).lines(threshold)
    polygons = [np.asarray(line, dtype=np.float64) - 0.5 for line in lines if len(line) > 3]  # to pixel corners
    if not polygons:
        return np.zeros((0, 2))
    largest = max(polygons, key=polygon_area)
    height, width = probabilities.shape
    return np.clip(largest[:-1], 0, [width, height])


def polygon_area(points: NDArray[np.float64]) -> float:
    """Area of a polygon ``(N, 2)``, in squares of its unit."""
    return float(cv2.contourArea(points.astype(np.float32))) if len(points) > 2 else 0.0


def longest_diameter(points: NDArray[np.float64]) -> float:
    """Largest distance between two of the points ``(N, 2)``, in their unit."""
    if len(points) < 2:
        return 0.0
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    return float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(axis=2).max()))
