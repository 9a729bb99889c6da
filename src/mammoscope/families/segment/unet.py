"""The plain U-Net, against which other segmenters are measured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.families.convolutions import check_halvings, double_convolution
from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily


class UNetRecipe(SegmenterRecipe):
    """Settings of a plain U-Net."""

    filters: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        default=(32, 64, 128, 256, 512), description="Channels of the levels, finest first."
    )


class UNetFamily(SegmenterFamily[UNetRecipe]):
    """An encoder and a decoder of convolutions, joined at every level."""

    name = "unet"
    Recipe = UNetRecipe
    source = Source(
        paper='Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation"',
        licence="Apache-2.0 (written from the paper)",
        differs="convolutions are padded, so that the mask is as large as the image, and batch-normalised; no dropout; "
        "no weight for pixels between neighbouring cells, as there is one mass; one logit for two classes",
    )
    trial: ClassVar = {"input_size": 64, "filters": [8, 12, 16]}

    def network(self, recipe: UNetRecipe, fitted: Fitted, init: str | None) -> UNet:
        """See ``UNet``."""
        check_halvings(recipe.input_size, recipe.filters)
        return UNet(recipe.filters)


class UNet(nn.Module):
    """``(N, 1, S, S)`` normalised to logits of the same shape, S a multiple of the deepest stride.

    Parameters
    ----------
    filters
        Channels of the levels, finest first; each has half the side of the one before.
    """

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        steps = [*pairwise(filters)][::-1]
        self.down = nn.ModuleList(double_convolution(*step) for step in pairwise((1, *filters)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, wide, 2, stride=2) for wide, deep in steps)
        self.join = nn.ModuleList(double_convolution(2 * wide, wide) for wide, _ in steps)
        self.output = nn.Conv2d(filters[0], 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        levels = [self.down[0](pictures)]
        for block in self.down[1:]:
            levels.append(block(functional.max_pool2d(levels[-1], 2)))
        maps = levels.pop()
        for up, join in zip(self.up, self.join, strict=True):
            maps = join(torch.cat([levels.pop(), up(maps)], dim=1))
        return cast(Tensor, self.output(maps))
