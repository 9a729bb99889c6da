"""The losses that every segmenter can be trained with; a recipe's ``loss`` says which."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mammoscope.families.recipe import MaskLoss, SegmenterRecipe

_EACH = (1, 2, 3)  # the axes of one image
_SMOOTHING = 1.0  # pixels: keeps an image without a mass finite
_FLOOR = 1e-6  # keeps the gradient of a magnitude finite where it is 0
# The weights in Baccouche et al. 2021, whose loss is this one less 1.
_DICE_SHARE, _IOU_SHARE = 0.4, 0.6
# A straight edge from 0 to 1 has magnitude 1.
_SOBEL = ((-0.25, 0.0, 0.25), (-0.5, 0.0, 0.5), (-0.25, 0.0, 0.25))


def mask_losses(logits: Tensor, masks: Tensor, recipe: SegmenterRecipe) -> dict[str, Tensor]:
    """The parts of the loss that a recipe names; each falls to 0 as the masks are met.

    Parameters
    ----------
    logits
        ``(N, 1, S, S) float32``.
    masks
        Of the same shape, 0 to 1.
    recipe
        Its ``loss``, and for ``"iou_sobel"`` its ``sobel_weight``, are used.
    """
    return _LOSSES[recipe.loss](logits, masks, recipe)


def soft_dice(probability: Tensor, masks: Tensor) -> Tensor:
    """Dice of each image, ``(N,)``, of maps ``(N, 1, S, S)`` from 0 to 1 (Milletari et al. 2016)."""
    common = (probability * masks).sum(dim=_EACH)
    both = probability.sum(dim=_EACH) + masks.sum(dim=_EACH)
    return (2 * common + _SMOOTHING) / (both + _SMOOTHING)


def soft_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of each image, ``(N,)``, of maps ``(N, 1, S, S)`` of values from 0.

    The product over the sum of both squares less the product (Tanimoto 1958): 1 for equal maps, even where they lie
    between 0 and 1, as edges do.
    """
    common = (first * second).sum(dim=_EACH)
    union = common + (first - second).square().sum(dim=_EACH)
    return (common + _SMOOTHING) / (union + _SMOOTHING)


def sobel_magnitude(maps: Tensor) -> Tensor:
    """Steepness at each pixel, of the same shape ``(N, 1, S, S)`` (Sobel and Feldman 1968).

    A straight edge from 0 to 1 has 1 on both sides. The border of the image is no edge: a mass may go on beyond it.
    """
    kernel = torch.tensor(_SOBEL, dtype=maps.dtype, device=maps.device)
    kernels = torch.stack([kernel, kernel.T])[:, None]
    slopes = functional.conv2d(functional.pad(maps, (1, 1, 1, 1), mode="replicate"), kernels)
    return torch.sqrt(slopes.square().sum(dim=1, keepdim=True) + _FLOOR) - math.sqrt(_FLOOR)


def _dice(logits: Tensor, masks: Tensor, recipe: SegmenterRecipe) -> dict[str, Tensor]:
    return {
        "pixel_loss": functional.binary_cross_entropy_with_logits(logits, masks),
        "dice_loss": 1 - soft_dice(logits.sigmoid(), masks).mean(),
    }


def _dice_iou(logits: Tensor, masks: Tensor, recipe: SegmenterRecipe) -> dict[str, Tensor]:
    probability = logits.sigmoid()
    return {
        "dice_loss": _DICE_SHARE * (1 - soft_dice(probability, masks).mean()),
        "iou_loss": _IOU_SHARE * (1 - soft_iou(probability, masks).mean()),
    }


def _iou_sobel(logits: Tensor, masks: Tensor, recipe: SegmenterRecipe) -> dict[str, Tensor]:
    probability, weight = logits.sigmoid(), recipe.sobel_weight
    return {
        "iou_loss": (1 - weight) * (1 - soft_iou(probability, masks).mean()),
        "sobel_loss": weight * (1 - soft_iou(sobel_magnitude(probability), sobel_magnitude(masks)).mean()),
    }


_LOSSES: dict[MaskLoss, Callable[[Tensor, Tensor, SegmenterRecipe], dict[str, Tensor]]] = {
    "dice": _dice,
    "dice_iou": _dice_iou,
    "iou_sobel": _iou_sobel,
}
