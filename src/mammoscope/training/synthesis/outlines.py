"""Outlines of masses drawn by the words of BI-RADS for shape and margin; the mask of such a mass is known exactly."""

from __future__ import annotations

from collections.abc import Collection

import cv2
import numpy as np
from numpy.typing import NDArray

# As CBIS-DDSM writes them.
SHAPES = ("ROUND", "OVAL", "LOBULATED", "IRREGULAR")
MARGINS = ("CIRCUMSCRIBED", "MICROLOBULATED", "OBSCURED", "ILL_DEFINED", "SPICULATED")

_POINTS = 720
_LEAST_RADIUS = 0.3  # of the mean one: the mass keeps a body
_SOFTNESS = 0.03  # standard deviation of the blur of a soft rim, as a share of the image's side


def outline_radii(rng: np.random.Generator, shape: str, margin: str) -> NDArray[np.float64]:
    """Distances ``(P,)`` of an outline from its middle, at P even angles from 0 to 2 pi, of about 1.

    An ellipse times harmonics: few and low ones make lobes, many random ones an irregular shape, high ones the fine
    lobes of a microlobulated margin; narrow peaks make spicules. Ill-defined and obscured margins only differ in how
    soft the rim is, see ``soft_rim``.

    Parameters
    ----------
    shape, margin
        One of ``SHAPES``, and one of ``MARGINS``.
    """
    angles = np.arange(_POINTS) * 2 * np.pi / _POINTS
    longest = {"ROUND": 1.1, "OVAL": 1.8, "LOBULATED": 1.35, "IRREGULAR": 1.5}[shape]
    shortest = 1.25 if shape == "OVAL" else 1.0
    stretch = np.sqrt(rng.uniform(shortest, longest))
    turned = angles - rng.uniform(0, np.pi)
    radii = 1 / np.hypot(np.cos(turned) / stretch, np.sin(turned) * stretch)
    radii *= 1 + sum(_wave(rng, angles, order, 0.01) for order in range(2, 6))
    if shape == "LOBULATED":
        radii *= 1 + rng.uniform(0.13, 0.2) * np.cos(rng.integers(3, 5) * angles + rng.uniform(0, 2 * np.pi))
    if shape == "IRREGULAR":
        radii *= 1 + sum(_wave(rng, angles, order, 0.22 / order**0.7) for order in range(2, 9))
    if margin == "MICROLOBULATED":
        lobes = np.abs(np.sin(rng.integers(6, 10) * angles + rng.uniform(0, np.pi)))
        radii *= 1 + rng.uniform(0.06, 0.1) * (lobes - lobes.mean())
    radii = np.maximum(radii, _LEAST_RADIUS)
    if margin == "SPICULATED":
        count = int(rng.integers(8, 17))
        places, lengths, widths = (
            rng.uniform(*bounds, count) for bounds in ((0.0, 2 * np.pi), (0.1, 0.45), (0.04, 0.1))
        )
        away = np.abs((angles[:, None] - places + np.pi) % (2 * np.pi) - np.pi)
        radii = radii + (lengths * np.exp(-((away / widths) ** 2))).max(axis=1)
    return np.asarray(radii, dtype=np.float64)


def draw_mask(radii: NDArray[np.float64], size: int, span: float) -> NDArray[np.uint8]:
    """The mask of an outline, ``(size, size) uint8``: 255 inside, its edge smoothed over one pixel.

    Its box is in the middle, and the longer side of the box is ``span`` of ``size``, as in ROIs of real masses.
    """
    angles = np.arange(len(radii)) * 2 * np.pi / len(radii)
    points = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = span * size / (high - low).max()
    y, x = (np.mgrid[:size, :size] + 0.5 - size / 2) / scale + ((low + high) / 2)[::-1, None, None]
    edge = np.interp(np.arctan2(y, x), angles, radii, period=2 * np.pi)
    return np.asarray(np.clip((edge - np.hypot(x, y)) * scale + 0.5, 0, 1) * 255, dtype=np.uint8)


def soft_rim(rng: np.random.Generator, mask: NDArray[np.uint8], margins: Collection[str]) -> NDArray[np.uint8]:
    """A mask ``(S, S) uint8`` whose rim is blurred where the words ``margins`` say so, else as it is.

    All around where the margin is ill-defined, on one side of random direction where it is obscured.
    """
    if not {"ILL_DEFINED", "OBSCURED"}.intersection(margins):
        return mask
    side = len(mask)
    blurred = cv2.GaussianBlur(mask, (0, 0), _SOFTNESS * side)
    if "ILL_DEFINED" in margins:
        return np.asarray(blurred, dtype=np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    share = np.clip(0.5 + 8 * (x * np.cos(angle) + y * np.sin(angle)), 0, 1)
    return np.asarray(share * blurred + (1 - share) * mask, dtype=np.uint8)


def _wave(rng: np.random.Generator, angles: NDArray[np.float64], order: int, amplitude: float) -> NDArray[np.float64]:
    return np.asarray(amplitude * rng.normal() * np.cos(order * angles + rng.uniform(0, 2 * np.pi)))
