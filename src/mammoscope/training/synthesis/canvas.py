"""What a generator paints on: tissue and the outline of a mass, prepared alike for training and for use."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mammoscope.families.recipe import GeneratorRecipe
from mammoscope.families.samples import GeneratorBatch
from mammoscope.training.network_input import as_input
from mammoscope.training.synthesis.outlines import soft_rim

_TISSUE_TOP = 160  # brightness that the tissue's is stretched to: a mass may be brighter than all around it
_TISSUE_PERCENTILES = (0.5, 99.5)
_LEAST_TISSUE = 16  # pixels


@dataclass(frozen=True, eq=False)
class Canvas:
    """Tissue with the place of a mass, ``(S, S) uint8`` each.

    Attributes
    ----------
    pixels
        Brightness; the tissue that is not painted spans 0 to 160.
    mask
        The outline, softer where the margin is to be.
    weight
        255 where all is painted, 0 where nothing is.
    truth
        255 on the mass.
    words
        ``(K,) float32`` of 0 and 1: what is said of the mass.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    weight: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    words: NDArray[np.float32]


def make_canvas(
    rng: np.random.Generator,
    pixels: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    margins: Collection[str],
    words: NDArray[np.float32],
    recipe: GeneratorRecipe,
) -> Canvas:
    """From tissue ``(S, S) uint8`` and the mask of a real or drawn mass of some margins on it.

    What is painted reaches ``recipe.rim`` beyond the mask, and fades out over the outer half of that.
    """
    inside = mask > 127
    weight = paint_weight(inside, recipe.rim * len(mask))
    soft = soft_rim(rng, mask, margins)
    return Canvas(_levelled(pixels, weight), soft, weight, inside * np.uint8(255), words)


def paint_weight(mask: NDArray[np.bool_], rim: float) -> NDArray[np.uint8]:
    """How much of each pixel is painted, ``(S, S) uint8``: 255 on the mask and near it, 0 from ``rim`` pixels on."""
    if not mask.any():
        return np.zeros(mask.shape, np.uint8)
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray((np.clip(2 * (1 - away / rim), 0, 1) * 255).round(), dtype=np.uint8)


def generator_batch(canvases: Sequence[Canvas], recipe: GeneratorRecipe, device: torch.device) -> GeneratorBatch:
    """Canvases as a generator takes them."""

    def shares(maps: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        return torch.from_numpy(np.stack(maps))[:, None].to(device).float() / 255.0

    return GeneratorBatch(
        as_input([canvas.pixels for canvas in canvases], recipe, device),
        shares([canvas.mask for canvas in canvases]),
        shares([canvas.weight for canvas in canvases]),
        torch.from_numpy(np.stack([canvas.words for canvas in canvases])).to(device),
    )


def as_pixels(painted: torch.Tensor, canvases: Sequence[Canvas], recipe: GeneratorRecipe) -> list[NDArray[np.uint8]]:
    """Painted ROIs ``(N, 1, S, S)``, normalised, as ``(S, S) uint8`` each; the canvas where nothing is painted."""
    levels = ((painted[:, 0].float().cpu().numpy() * recipe.std + recipe.mean) * 255).round().clip(0, 255)
    return [
        np.where(canvas.weight > 0, image, canvas.pixels).astype(np.uint8)
        for canvas, image in zip(canvases, levels, strict=True)
    ]


def _levelled(pixels: NDArray[np.uint8], weight: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch the brightness of the tissue that stays to 0 to 160; brighter masses reach up to 255."""
    tissue = pixels[(weight == 0) & (pixels > 0)]  # 0 is the background, or beyond the image
    if tissue.size < _LEAST_TISSUE:
        tissue = pixels
    low, high = np.percentile(tissue, _TISSUE_PERCENTILES)
    levels = (np.arange(256) - low) / max(high - low, 1.0) * _TISSUE_TOP
    return np.asarray(levels.clip(0, 255).round().astype(np.uint8)[pixels], dtype=np.uint8)
