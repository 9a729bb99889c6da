"""The phantom's masses: densities of several shapes and margins whose outlines are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example.settings import Shape
from mammoscope.example.texture import FloatImage, draw_line, power_law_noise, wandering_path

_OUTLINE_POINTS = 128
_SPICULES = 30


@dataclass(frozen=True)
class MassForm:
    """How masses of a shape are drawn.

    Attributes
    ----------
    shape, margin
        As CBIS-DDSM names them.
    malignant
        Whether these are the features of a malignant mass.
    waves
        How often the outline swings around the circle, and how far, as a share of the radius.
    narrow
        Width over length.
    edges_mm
        Softness of the margin where it is sharp, and where it is obscured.
    spicules
        How many lines run out of it.
    """

    shape: str
    margin: str
    malignant: bool
    waves: tuple[tuple[int, float], ...]
    narrow: float = 1.0
    edges_mm: tuple[float, float] = (0.3, 0.5)
    spicules: int = 0


_IRREGULAR = ((2, 0.11), (3, 0.08), (4, 0.05), (5, 0.045), (7, 0.03), (11, 0.02))
FORMS: dict[Shape, MassForm] = {
    Shape.ROUND: MassForm("ROUND", "CIRCUMSCRIBED", False, ((2, 0.02), (3, 0.015))),
    Shape.OVAL: MassForm("OVAL", "CIRCUMSCRIBED", False, ((2, 0.02), (3, 0.02)), narrow=0.68),
    Shape.LOBULATED: MassForm("LOBULATED", "MICROLOBULATED", False, ((3, 0.10), (5, 0.07), (9, 0.02)), narrow=0.85),
    Shape.IRREGULAR: MassForm("IRREGULAR", "ILL_DEFINED", True, _IRREGULAR, edges_mm=(0.7, 1.8)),
    Shape.SPICULATED: MassForm("IRREGULAR", "SPICULATED", True, _IRREGULAR, edges_mm=(0.35, 1.3), spicules=_SPICULES),
}


def mass_outline(
    rng: np.random.Generator, form: MassForm, centre: tuple[float, float], diameter_mm: float
) -> NDArray[np.float64]:
    """A closed outline, ``(128, 2)`` points of (x, y) in mm, without spicules.

    Parameters
    ----------
    centre
        In mm.
    diameter_mm
        Largest distance between two points of the outline, kept exactly.
    """
    angle = np.linspace(0, 2 * np.pi, _OUTLINE_POINTS, endpoint=False)
    radius = np.ones(_OUTLINE_POINTS)
    for lobes, height in form.waves:
        radius += height * rng.uniform(0.6, 1.2) * np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
    points = radius[:, None] * np.stack([np.cos(angle), form.narrow * np.sin(angle)], axis=1)
    tilt = rng.uniform(0, np.pi)
    points = points @ np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    longest = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1)).max()
    return np.asarray(points * (diameter_mm / longest) + centre)


def render_mass(
    rng: np.random.Generator, shape: tuple[int, int], form: MassForm, outline_mm: NDArray[np.float64], mm: float
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
    crisp, lost = (cv2.GaussianBlur(filled.astype(np.float32) / 255, (0, 0), sigma / mm) for sigma in form.edges_mm)
    where = 1 / (1 + np.exp(-2 * power_law_noise(rng, (height, width), 1.5, longest=0.3)))
    inside = cv2.distanceTransform((filled > 127).astype(np.uint8), cv2.DIST_L2, 5)
    depth = inside / max(float(inside.max()), 1.0)
    grain = power_law_noise(rng, (height, width), 1.4, longest=0.15)
    body = (where * crisp + (1 - where) * lost) * (0.70 + 0.30 * np.sqrt(depth) + 0.07 * grain)

    spicules = np.zeros((height, width), dtype=np.float32)
    middle = centre - corner
    for angle in np.linspace(0, 2 * np.pi, form.spicules, endpoint=False) + rng.normal(0, 0.12, form.spicules):
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
