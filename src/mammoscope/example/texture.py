"""Textures of a mammogram: power-law noise, strands that run to the nipple, and thin tapering lines."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]


def power_law_noise(
    rng: np.random.Generator, shape: tuple[int, int], exponent: float = 1.5, longest: float = 0.6
) -> FloatImage:
    """Noise whose amplitude falls as ``1 / f ** exponent``, mean 0 and standard deviation 1.

    Mammographic tissue has this spectrum (Burgess, Jacobson and Judy 2001: power falls with an exponent near 3,
    amplitude with 1.5).

    Parameters
    ----------
    shape
        ``(h, w)`` of the result.
    longest
        Waves longer than this share of the longer side are not made stronger.
    """
    height, width = shape
    frequency = np.hypot(
        np.fft.fftfreq(height).astype(np.float32)[:, None], np.fft.rfftfreq(width).astype(np.float32)[None, :]
    )
    amplitude = np.maximum(frequency, 1 / (longest * max(shape))) ** np.float32(-exponent)
    spectrum = rng.standard_normal((*frequency.shape, 2), dtype=np.float32)
    noise = np.fft.irfft2(amplitude * spectrum.view(np.complex64)[..., 0], s=shape).astype(np.float32)
    noise -= noise.mean()
    return np.asarray(noise / noise.std(), dtype=np.float32)


def strands(rng: np.random.Generator, x: FloatImage, y: FloatImage, nipple: tuple[float, float]) -> FloatImage:
    """Fibrous strands that converge on the nipple, 0-1: ridges of noise that is stretched along the radius.

    Parameters
    ----------
    x, y
        ``(h, w)`` positions in mm.
    nipple
        Position of the nipple in mm.
    """
    angles, radii, reach_mm = 1024, 192, 340
    noise = power_law_noise(rng, (angles, radii), 1.25, longest=0.08)
    ridges = np.exp(-((noise / np.float32(0.34)) ** 2))
    # The centre lies a little in front of the skin, so that strands do not meet in one point.
    dx, dy = nipple[0] + 15 - x, y - nipple[1]
    columns = cv2.magnitude(dx, dy) * np.float32(radii / reach_mm)
    rows = (np.arctan2(dy, dx) + np.float32(np.pi)) * np.float32(angles / (2 * np.pi))
    # Bent a little, or they would look like spokes.
    bends = cv2.resize(power_law_noise(rng, (48, 36), 1.9), x.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(
        cv2.remap(ridges, columns, rows + 7 * bends, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), dtype=np.float32
    )


def draw_line(
    canvas: FloatImage, points: NDArray[np.float64], widths: NDArray[np.float64], strength: float, mm: float
) -> None:
    """Add a tapering line to ``canvas (h, w)`` in place.

    Parameters
    ----------
    points
        ``(N, 2)`` of (x, y) in mm.
    widths
        ``(N,)`` in mm; thinner than a pixel is drawn fainter.
    strength
        Brightness of the middle.
    mm
        Size of a pixel of the canvas.
    """
    margin = int(np.ceil(widths.max() / mm)) + 3
    pixels = points / mm
    x0, y0 = np.floor(pixels.min(axis=0)).astype(int) - margin
    x1, y1 = np.ceil(pixels.max(axis=0)).astype(int) + margin
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(canvas.shape[1], x1), min(canvas.shape[0], y1)
    if x0 >= x1 or y0 >= y1:
        return
    layer = np.zeros((y1 - y0, x1 - x0), dtype=np.uint8)
    fixed = np.rint((pixels - (x0, y0) - 0.5) * 16).astype(np.int32)
    for start, end, width in zip(fixed[:-1], fixed[1:], widths[:-1] / mm, strict=True):
        level = int(255 * min(1.0, max(width, 0.15)))
        cv2.line(
            layer,
            (int(start[0]), int(start[1])),
            (int(end[0]), int(end[1])),
            level,
            max(1, round(width)),
            cv2.LINE_AA,
            4,
        )
    soft = cv2.GaussianBlur(layer, (0, 0), max(0.5, float(widths.mean()) / mm / 3))
    target = canvas[y0:y1, x0:x1]
    np.maximum(target, soft.astype(np.float32) * np.float32(strength / 255), out=target)


def wandering_path(
    rng: np.random.Generator, start: tuple[float, float], direction: float, length: float, bend: float
) -> NDArray[np.float64]:
    """A gently winding path: ``(N, 2)`` points in mm, one each millimetre.

    Parameters
    ----------
    direction
        Radians, 0 to the right, growing downwards.
    bend
        How far the heading swings from ``direction``, in radians.
    """
    steps = max(2, round(length))
    along = np.arange(steps) * (length / steps)
    phases = rng.uniform(0, 2 * np.pi, 2)
    swing = 0.65 * np.sin(along / 9.0 + phases[0]) + 0.35 * np.sin(along / 3.7 + phases[1])
    heading = direction + bend * swing
    moves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (length / steps)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)]) + start
