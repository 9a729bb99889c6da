"""From images in memory to network input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.families.recipe import Recipe


def as_input(pixels: Sequence[NDArray[np.uint8]], recipe: Recipe, device: torch.device) -> Tensor:
    """Images ``(H, W) uint8`` of one size to ``(N, 1, H, W) float32``, normalised as the recipe says."""
    images = torch.from_numpy(np.stack(pixels))[:, None].to(device)
    return ((images.float() / 255.0 - recipe.mean) / recipe.std).contiguous(memory_format=torch.channels_last)
