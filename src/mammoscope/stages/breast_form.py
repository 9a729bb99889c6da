"""The form that a breast has in a mammogram, and what a mask holds that has another: air, or a fold of the belly.

Shares were set on the 1,231 training images of CBIS-DDSM, of which one is taken to hold air: labels lie beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_TIP = 0.01  # of the way to the furthest row: what counts as reaching as far
_ACROSS = 0.3  # of the border that faces the chest wall
_UPPER = 0.85  # of the height: where the breast is widest at the latest
_FOLD = (0.6, 0.95)  # of the height: where a fold begins; what is lower is a film's edge
_NECK, _WIDER = 0.5, 0.1  # of the greatest width: how narrow the mask is above the belly, and how much wider below


def chest_wall_is_right(mask: Mask) -> bool:
    """Whether more of the breast lies in the right half."""
    columns = mask.sum(axis=0)
    middle = mask.shape[1] // 2
    return bool(columns[-middle:].sum() > columns[:middle].sum())


def tip_row(mask: Mask) -> float:
    """Row in which a breast whose chest wall is left reaches furthest from it: about the nipple's height.

    Parameters
    ----------
    mask
        ``(H, W) bool`` with a True pixel, chest wall left.

    Returns
    -------
    float
        Mean of the rows that reach as far, but for ``_TIP`` of the way, in [0, H].
    """
    reach = np.where(mask.any(axis=1), mask.shape[1] - mask[:, ::-1].argmax(axis=1), 0)
    return float(np.flatnonzero(reach >= (1 - _TIP) * reach.max()).mean() + 0.5)


def holds_air(mask: Mask) -> bool:
    """Whether a mask reaches along the border that faces the chest wall, where there is air beside every breast."""
    return bool(mask[:, 0 if chest_wall_is_right(mask) else -1].mean() > _ACROSS)


def without_belly(mask: Mask) -> Mask:
    """The mask without what widens again below the breast, down to the lower border."""
    hung = mask[:, ::-1] if chest_wall_is_right(mask) else mask
    height = len(mask)
    widths = np.where(hung.any(axis=1), hung.shape[1] - hung[:, ::-1].argmax(axis=1), 0)
    widest = int(widths[: int(height * _UPPER)].argmax())
    neck = widest + int(widths[widest:].argmin())
    greatest, below = widths[widest], int(widths[neck:].max())
    is_fold = (
        _FOLD[0] <= neck / height <= _FOLD[1]
        and widths[-1] > 0
        and widths[neck] <= _NECK * greatest
        and below - widths[neck] > _WIDER * greatest
    )
    if not is_fold:
        return mask
    kept = mask.copy()
    kept[neck:] = False
    return kept
