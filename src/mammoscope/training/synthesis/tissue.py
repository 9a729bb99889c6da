"""Where a mammogram shows healthy tissue, to paint a mass into it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mammoscope.geometry import FloatArray
from mammoscope.stages.preprocess import Preprocessed

_TRIES = 80
_LEAST_BREAST = 0.75  # share of the square that lies on the breast; under the mass all does


def healthy_box(
    rng: np.random.Generator, breast: Preprocessed, lesions: FloatArray, side: float, mass_fraction: float
) -> FloatArray | None:
    """A box for a mass, of random place.

    It lies on the breast, and so does most of the square around it, which keeps clear of all lesions: tissue within
    ``(1 / mass_fraction - 1) / 2`` sides of a lesion's box is not taken as healthy.

    Parameters
    ----------
    breast
        The mammogram.
    lesions
        ``(L, 4)`` of (x0, y0, x1, y1), frame ``preprocessed``; L may be 0.
    side
        Of the box, in widths of a pixel; it is square in the breast.
    mass_fraction
        Share of the square's side that the box takes.

    Returns
    -------
    array or None
        ``(4,)``, frame ``preprocessed``; None where no place was found.
    """
    half = np.array([side, side / breast.pixel_aspect]) / 2
    for _ in range(_TRIES):
        middle = rng.uniform(0, 1, 2) * (breast.width, breast.height)
        box = np.concatenate([middle - half, middle + half])
        square = np.concatenate([middle - half / mass_fraction, middle + half / mass_fraction])
        apart = (square[2:] <= lesions[:, :2]) | (square[:2] >= lesions[:, 2:])
        if apart.any(axis=1).all() and _share(breast.mask, box) == 1 and _share(breast.mask, square) >= _LEAST_BREAST:
            return box
    return None


def _share(mask: NDArray[np.bool_], box: FloatArray) -> float:
    """Share of a box that is True; beyond the mask nothing is."""
    x0, y0, x1, y1 = (int(value) for value in np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]))
    part = mask[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
    return float(np.count_nonzero(part) / max(1, (x1 - x0) * (y1 - y0)))
