"""The phantom's mass: an irregular, spiculated density whose outline is known exactly."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example.texture import FloatImage, draw_line, power_law_noise, wandering_path

_OUTLINE_POINTS = 128
_SPICULES = 30
_EDGES_MM = (0.35, 1.3)


def mass_outline(rng: np.random.Generator, centre: tuple[float, float], diameter_mm: float) -> NDArray[np.float64]:
    """An irregular closed outline, ``(128, 2)`` points of (x, y) in mm, without its spicules.

    Parameters
    ----------
    centre
        In mm.
    diameter_mm
        Largest distance between two points of the outline, kept exactly.
    """
    angle = np.linspace(0, 2 * np.pi, _OUTLINE_POINTS, endpoint=False)
    radius = np.ones(_OUTLINE_POINTS)
    for lobes, height in ((2, 0.11), (3, 0.08), (4, 0.05), (5, 0.045), (7, 0.03), (11, 0.02)):
        radius += height * rng.uniform(0.6, 1.2) * np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    longest = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)).max()
    return np.asarray(points * (diameter_mm / longest) + centre)


def render_mass(
    rng: np.random.Generator, shape: tuple[int, int], outline_mm: NDArray[np.float64], mm: float
) -> FloatImage:
    """The mass as density ``(h, w)``, 0-1, to be added to tissue: a body inside the outline, and spicules.

    Parameters
    ----------
    shape
        Of the canvas, whose pixels are ``mm`` wide.
    outline_mm
        ``(N, 2)`` from ``mass_outline``.
    """
    centre = outline_mm.mean(axis=0)
    radius = float(np.hypot(*(outline_mm - centre).T).mean())
    left, top = (max(0, int((middle - 4 * radius) / mm)) for middle in centre)
    right, bottom = (
        min(side, int((middle + 4 * radius) / mm) + 1) for middle, side in zip(centre, shape[::-1], strict=True)
    )
    width, height = right - left, bottom - top
    corner = np.array([left, top]) * mm
    outline = outline_mm - corner

    filled = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(filled, [np.rint((outline / mm - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    # The margin is sharp in places and obscured in others, as where a mass grows into its surroundings.
    crisp, lost = (cv2.GaussianBlur(filled.astype(np.float32) / 255, (0, 0), sigma / mm) for sigma in _EDGES_MM)
    where = 1 / (1 + np.exp(-2 * power_law_noise(rng, (height, width), 1.5, longest=0.3)))
    inside = cv2.distanceTransform((filled > 127).astype(np.uint8), cv2.DIST_L2, 5)
    depth = inside / max(float(inside.max()), 1.0)
    grain = power_law_noise(rng, (height, width), 1.4, longest=0.15)
    body = (where * crisp + (1 - where) * lost) * (0.70 + 0.30 * np.sqrt(depth) + 0.07 * grain)

    spicules = np.zeros((height, width), dtype=np.float32)
    middle = centre - corner
    for angle in np.arange(0, 2 * np.pi, 2 * np.pi / _SPICULES) + rng.normal(0, 0.12, _SPICULES):
        nearest = round(angle / (2 * np.pi) * len(outline)) % len(outline)
        x, y = outline[nearest] + 0.35 * (middle - outline[nearest])
        path = wandering_path(rng, (x, y), angle + rng.normal(0, 0.2), radius * rng.uniform(0.7, 2.0), 0.28)
        draw_line(spicules, path, np.linspace(rng.uniform(0.5, 1.0), 0.15, len(path)), rng.uniform(0.18, 0.42), mm)
    reach = np.hypot(*np.meshgrid(np.arange(width) * mm - middle[0], np.arange(height) * mm - middle[1]))
    # Fading towards their tips.
    spicules *= np.clip(1.25 - reach / (2.9 * radius), 0, 1)

    density = np.zeros(shape, dtype=np.float32)
    window = density[top:bottom, left:right]
    window[:] = np.clip(body + spicules * (1 - np.clip(body, 0, 1)), 0, 1)
    return density
