"""How alike the textures of two sets of masses are, by simple statistics."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_BAND = 5  # pixels along the outline, inside and outside together
_RING = 13  # pixels of tissue around the mass, and as many inside


def texture(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Statistics of the mass in an image, ``(6,)`` in levels of brightness.

    Mean and standard deviation of the mass; how much brighter it is than the ring around it; mean steepness inside, and
    along its outline; mean of the absolute Laplacian, the finest structure.

    Parameters
    ----------
    pixels
        ``(S, S) uint8``.
    mask
        ``(S, S) bool``; without a mass in it, all statistics are of the whole image.
    """
    image = pixels.astype(np.float32)
    seen = mask if mask.any() else np.ones_like(mask)
    binary = mask.astype(np.uint8)
    band = _grown(binary, _BAND) ^ _shrunk(binary, _BAND)
    ring = _grown(binary, _RING) & ~seen
    steepness = np.hypot(
        cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=1 / 8)
    )
    fine = np.abs(cv2.Laplacian(image, cv2.CV_32F))
    mean = image[seen].mean()
    return np.array(
        [
            mean,
            image[seen].std(),
            mean - (image[ring].mean() if ring.any() else mean),
            steepness[seen].mean(),
            (steepness[band] if band.any() else steepness).mean(),
            fine[seen].mean(),
        ],
        dtype=np.float64,
    )


def texture_distance(first: Sequence[NDArray[np.float64]], second: Sequence[NDArray[np.float64]]) -> float:
    """Squared Fréchet distance of Gaussians fitted to the statistics of two sets (as Heusel et al. 2017).

    0 for equal sets. Each statistic is divided by its standard deviation in the ``second`` set, at least one level.
    """
    scale = np.maximum(np.std(second, axis=0), 1.0)
    ours, theirs = np.asarray(first) / scale, np.asarray(second) / scale
    shift = ours.mean(axis=0) - theirs.mean(axis=0)
    spreads = [np.cov(rows, rowvar=False, bias=True) for rows in (ours, theirs)]
    # The trace of the product's root is the sum of the roots of its eigenvalues, which are not negative.
    shared = np.sqrt(np.linalg.eigvals(spreads[0] @ spreads[1]).real.clip(0)).sum()
    return float(max(0.0, shift @ shift + np.trace(spreads[0]) + np.trace(spreads[1]) - 2 * shared))


def _grown(mask: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(mask, _element(width)) > 0)


def _shrunk(mask: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    return np.asarray(cv2.erode(mask, _element(width)) > 0)


def _element(width: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)), dtype=np.uint8)
