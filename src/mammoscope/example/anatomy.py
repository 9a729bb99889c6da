"""The anatomy of the phantom: outline of the breast, nipple, pectoral muscle, gland. All in millimetres.

The frame is that of a left breast: x runs from the chest wall (0) towards the nipple, y down the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammoscope.example.settings import Density

Outline = NDArray[np.float64]

FIELD_HEIGHT_MM = 232.96
FIELD_WIDTH_MM = 179.2
_DENSITIES: dict[Density | None, tuple[float, float]] = {
    None: (0.34, 0.5),
    Density.A: (0.02, 0.1),
    Density.B: (0.22, 0.32),
    Density.C: (0.46, 0.56),
    Density.D: (0.72, 0.85),
}


@dataclass(frozen=True)
class Patient:
    """What both breasts and both views share.

    Attributes
    ----------
    depth_mm
        From the chest wall to the nipple.
    half_height_mm
        Half the height of the breast at the chest wall, CC.
    density
        Of glandular tissue, 0 (fatty) to 0.85 (dense): how far from its middle it reaches.
    """

    depth_mm: float
    half_height_mm: float
    density: float

    @classmethod
    def draw(cls, rng: np.random.Generator, density: Density | None = None) -> Patient:
        """A patient at random, perhaps of this density; the same as without it in all else."""
        return cls(rng.uniform(88, 104), rng.uniform(76, 90), rng.uniform(*_DENSITIES[density]))


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The form of one view.

    Attributes
    ----------
    outline
        ``(N, 2)`` closed polygon of the breast; it leaves the image at the chest wall.
    nipple
        Position of the nipple.
    gland_centre, gland_axes
        Ellipse that holds most of the gland, and its half axes.
    pectoral
        ``(N, 2)`` closed polygon of the pectoral muscle; None on CC views.
    """

    outline: Outline
    nipple: tuple[float, float]
    gland_centre: tuple[float, float]
    gland_axes: tuple[float, float]
    pectoral: Outline | None


def craniocaudal(patient: Patient, rng: np.random.Generator, height_mm: float) -> Anatomy:
    """The CC view of one breast in an image ``height_mm`` high."""
    depth = patient.depth_mm * rng.uniform(0.98, 1.02)
    half = patient.half_height_mm * rng.uniform(0.98, 1.02)
    middle = height_mm / 2 + rng.uniform(-5, 5)
    turn = np.linspace(-1, 1, 181)
    # A superellipse, fuller on the lateral side (up).
    power = np.where(turn < 0, 2.25, 1.95)
    x = depth * (1 - np.abs(turn) ** power) ** 0.56
    y = middle + half * turn * np.where(turn < 0, 1.04, 1.0)
    nipple_y = middle + rng.uniform(1, 6)
    outline = _with_nipple(np.stack([x, y], axis=1), nipple_y)
    # The skin continues a little along the chest wall before it leaves the image.
    outline[[0, -1], 0] = -20
    nipple = (float(outline[:, 0].max()), nipple_y)
    return Anatomy(outline, nipple, (0.53 * depth, nipple_y - 6), (0.40 * depth, 0.60 * half), None)


def mediolateral_oblique(patient: Patient, rng: np.random.Generator) -> Anatomy:
    """The MLO view of one breast; the axilla leaves the image at the top."""
    depth = patient.depth_mm * rng.uniform(0.99, 1.04)
    nipple_y = rng.uniform(128, 138)
    low = nipple_y + rng.uniform(64, 72)
    corners = np.array(
        [
            (-20, -30),
            (0.70 * depth, -30),
            (0.70 * depth, 2),
            (0.71 * depth, 30),
            (0.82 * depth, 62),
            (0.97 * depth, 96),
            (1.045 * depth, nipple_y + 2),
            (0.96 * depth, nipple_y + 34),
            (0.60 * depth, low - 6),
            (0.22 * depth, low),
            (0.10 * depth, low + 4),
            (0.03 * depth, low + 12),
            (-20, low + 18),
        ]
    )
    outline = _with_nipple(_rounded(corners), nipple_y)
    nipple = (float(outline[:, 0].max()), nipple_y)
    top, end = rng.uniform(50, 58), rng.uniform(138, 152)
    along = np.linspace(0, 1, 60)
    border = np.stack([top * (1 - along) * (1 + 0.30 * along), end * along], axis=1)
    pectoral = np.concatenate([[(-20, -30), (top * 1.12, -30)], border, [(-20, end + 25)]])
    gland_centre = (0.60 * depth, nipple_y - 10)
    return Anatomy(outline, nipple, gland_centre, (0.36 * depth, 48.0), pectoral)


def _with_nipple(outline: Outline, nipple_y: float) -> Outline:
    """The outline with a small bump, on the part that faces away from the chest wall."""
    front = outline[:, 0] > 0.6 * outline[:, 0].max()
    bump = 3.6 * np.exp(-(((outline[:, 1] - nipple_y) / 3.6) ** 4))
    raised = outline.copy()
    raised[:, 0] += np.where(front, bump, 0.0)
    return raised


def _rounded(corners: Outline, rounds: int = 5) -> Outline:
    """A smooth closed curve from its control polygon (corner cutting, Chaikin 1974)."""
    for _ in range(rounds):
        following = np.roll(corners, -1, axis=0)
        corners = np.stack([0.75 * corners + 0.25 * following, 0.25 * corners + 0.75 * following], axis=1).reshape(
            -1, 2
        )
    return corners
