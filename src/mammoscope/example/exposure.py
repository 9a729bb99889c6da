"""From the phantom's tissue to its pixels: blur, noise, and the look of a digital detector or of a scanned film."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example.settings import Look, PhantomSettings
from mammoscope.example.texture import FloatImage, draw_line, wandering_path

WHITE = 4095  # 12 bits
_TISSUE_RANGE, _BACKGROUND = 0.86, 26
_NOISE, _NOISE_OF_LEVEL = 6.0, 0.012  # at the usual dose
_FILM_TOE, _FILM_SLOPE = 0.47, 7.5  # of its characteristic curve
_FOG = 110
_GRAIN_MM = 0.09
_EDGE_MM, _EDGE_LEVEL = 2.4, 3300


def exposed(
    rng: np.random.Generator, image: FloatImage, settings: PhantomSettings, size: tuple[int, int], spacing_mm: float
) -> NDArray[np.uint16]:
    """The image ``(rows, columns) uint16`` of 12 bits of tissue ``(h, w)``, 0-1, at its working size.

    Parameters
    ----------
    size
        Rows and columns.
    spacing_mm
        Of a pixel of the result.
    """
    rows, columns = size
    full = np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    if settings.blur_mm > 0:
        full = np.asarray(cv2.GaussianBlur(full, (0, 0), settings.blur_mm / spacing_mm), dtype=np.float32)
    film = settings.look is Look.FILM
    if film:
        full = _developed(full)
    full = full * np.float32(_TISSUE_RANGE * WHITE) + np.float32(_FOG if film else _BACKGROUND)
    noise = rng.standard_normal(full.shape, dtype=np.float32)
    if film:
        noise = np.float32(1.6) * _grain(noise, spacing_mm)
    full += noise * (np.float32(_NOISE) + np.float32(_NOISE_OF_LEVEL) * full) / np.float32(np.sqrt(settings.dose))
    if film:
        _scanned(rng, full, spacing_mm)
    return np.clip(full, 0, WHITE).astype(np.uint16)


def _developed(full: FloatImage) -> FloatImage:
    """Film's characteristic curve: little contrast where it is hardly exposed, or fully."""
    low, high = (1 / (1 + np.exp(_FILM_SLOPE * (_FILM_TOE - end))) for end in (0.0, 1.0))
    curve = 1 / (1 + np.exp(_FILM_SLOPE * (np.float32(_FILM_TOE) - full)))
    return np.asarray((curve - low) / (high - low), dtype=np.float32)


def _grain(noise: FloatImage, spacing_mm: float) -> FloatImage:
    """Noise of standard deviation 1 as coarse as the grain of film."""
    coarse = cv2.GaussianBlur(noise, (0, 0), max(0.3, _GRAIN_MM / spacing_mm))
    return np.asarray(coarse / coarse.std(), dtype=np.float32)


def _scanned(rng: np.random.Generator, full: FloatImage, spacing_mm: float) -> None:
    """The film's clear edges on all sides but the chest wall's, and scratches, in place."""
    edge = max(1, round(_EDGE_MM / spacing_mm))
    for strip in (full[:edge], full[-edge:], full[:, -edge:]):
        np.maximum(strip, np.float32(_EDGE_LEVEL), out=strip)
    scratches = np.zeros(full.shape, dtype=np.float32)
    height, width = (side * spacing_mm for side in full.shape)
    for _ in range(10):
        start = (rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height)
        path = wandering_path(rng, start, rng.uniform(0, np.pi), rng.uniform(4, 18), 0.15)
        draw_line(scratches, path, np.full(len(path), 0.09), rng.uniform(0.1, 0.3), spacing_mm)
    full += scratches * np.float32(WHITE)
