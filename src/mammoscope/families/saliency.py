"""Saliency maps as networks use them that learn from labels of whole images; all of it can be exported to ONNX."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_STEPS = 1024  # of a window's saliency: windows that differ by less are equal, and the first of them is taken
_OVERLAP = 4 * _STEPS  # what a cell that is taken already costs a window: more than any saliency
_LEAST_RANGE = 1e-2  # of a map; a flatter one has no salient place


def top_mean(maps: Tensor, share: float) -> Tensor:
    """The mean of the largest ``share`` of each map's cells, one at least: ``(..., H, W)`` to ``(...)``."""
    cells = maps.flatten(-2)
    return cells.topk(max(1, round(share * cells.shape[-1])), dim=-1).values.mean(dim=-1)


def salient_windows(saliency: Tensor, side: int, count: int) -> tuple[Tensor, Tensor]:
    """Greedy retrieval of the most salient windows (Shen et al. 2021), which overlap only where no place is left.

    Parameters
    ----------
    saliency
        ``(N, C, H, W)``, whose classes are added.
    side
        Of the square windows, in cells.
    count
        How many windows, K.

    Returns
    -------
    tuple
        First row and first column of each window, ``(N, K) int64`` in cells, the most salient window first.
    """
    added = saliency.sum(dim=1, keepdim=True)
    low, high = added.amin(dim=(2, 3), keepdim=True), added.amax(dim=(2, 3), keepdim=True)
    whole = (added - low) / (high - low).clamp(min=_LEAST_RANGE)
    # Rounded, so that noise of the last digits does not choose between equal windows: a bundle has to choose as torch.
    worth = (functional.avg_pool2d(whole, side, 1) * _STEPS).round()[:, 0]
    height, width = saliency.shape[2:]
    down = torch.arange(height, device=saliency.device)[None]
    right = torch.arange(width, device=saliency.device)[None]
    taken, rows, columns = torch.zeros_like(whole), [], []
    for _ in range(count):
        overlap = (functional.avg_pool2d(taken, side, 1) * side**2).round()[:, 0]
        best = (worth - _OVERLAP * overlap).flatten(1).argmax(dim=1, keepdim=True)
        row, column = best // worth.shape[2], best % worth.shape[2]
        in_rows, in_columns = (down >= row) & (down < row + side), (right >= column) & (right < column + side)
        taken = taken + (in_rows[:, None, :, None] & in_columns[:, None, None, :]).to(taken.dtype)
        rows.append(row)
        columns.append(column)
    return torch.cat(rows, dim=1), torch.cat(columns, dim=1)


def windows(images: Tensor, rows: Tensor, columns: Tensor, side: int) -> Tensor:
    """Windows of ``images (N, C, H, W)`` from their first rows and columns ``(N, K)``: ``(N, K, C, side, side)``."""
    along = torch.arange(side, device=images.device)
    of_image = torch.arange(len(images), device=images.device)[:, None, None, None]
    cut = images.movedim(1, 3)[of_image, (rows[..., None] + along)[..., None], (columns[..., None] + along)[:, :, None]]
    return cut.movedim(4, 2)


def extents(maps: Tensor, share: float = 0.5) -> Tensor:
    """The box around the cells of ``share`` of each map's peak and more, as far as rows and columns connect them to it.

    Parameters
    ----------
    maps
        ``(M, H, W)``, 0 or more.

    Returns
    -------
    Tensor
        ``(M, 4) float32`` of (x0, y0, x1, y1) in cells; the peak's cell at least.
    """
    peak, at = maps.flatten(1).max(dim=1, keepdim=True)
    row, column = at // maps.shape[2], at % maps.shape[2]
    above = maps >= share * peak[..., None]
    rows = _run(above.any(dim=2), row)
    columns = _run((above & rows[:, :, None]).any(dim=1), column)
    rows = _run((above & columns[:, None]).any(dim=2), row)
    (x0, x1), (y0, y1) = _ends(columns), _ends(rows)
    return torch.stack([x0, y0, x1, y1], dim=1).to(torch.float32)


def within(maps: Tensor, boxes: Tensor, side: int) -> Tensor:
    """What of maps ``(M, H, W)`` lies in boxes ``(M, 4)`` in their cells, resampled to ``(M, side, side)``."""
    shares = (torch.arange(side, device=maps.device, dtype=maps.dtype) + 0.5) / side
    x0, y0, x1, y1 = boxes.to(maps.dtype).unbind(dim=1)
    x = 2 / maps.shape[2] * (x0[:, None] + (x1 - x0)[:, None] * shares) - 1
    y = 2 / maps.shape[1] * (y0[:, None] + (y1 - y0)[:, None] * shares) - 1
    grid = torch.stack([x[:, None].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=-1)
    return functional.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def _run(there: Tensor, at: Tensor) -> Tensor:
    """Of ``(M, L)`` the places that connect to one ``(M, 1)`` without a gap."""
    gaps = (~there).to(torch.int64).cumsum(dim=1)
    return there & (gaps == gaps.gather(1, at))


def _ends(there: Tensor) -> tuple[Tensor, Tensor]:
    """The first place of ``(M, L)``, and the one after the last, ``(M,)`` each."""
    places = torch.arange(there.shape[1], device=there.device)[None]
    first = torch.where(there, places, there.shape[1]).amin(dim=1)
    return first, torch.where(there, places, -1).amax(dim=1) + 1
