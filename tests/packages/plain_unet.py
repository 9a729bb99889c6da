"""A segmenter family of another package: a U-Net without residual blocks or transformer."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily


class PlainUNetRecipe(SegmenterRecipe):
    """Settings of a plain U-Net."""

    widths: tuple[Count, ...] = (16, 32, 64, 128)


def double_convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3 x 3 convolutions."""
    layers: list[nn.Module] = []
    for channels in (channels_in, channels_out):
        layers += [nn.Conv2d(channels, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()]
    return nn.Sequential(*layers)


class PlainUNet(nn.Module):
    """``(N, 1, S, S)`` to logits of the same shape."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.down = nn.ModuleList(double_convolution(*pair) for pair in pairwise((1, *widths)))
        self.up = nn.ModuleList(double_convolution(deep + wide, wide) for wide, deep in reversed([*pairwise(widths)]))
        self.output = nn.Conv2d(widths[0], 1, 1)

    def forward(self, rois: Tensor) -> Tensor:
        """See the class."""
        levels: list[Tensor] = []
        for block in self.down:
            levels.append(block(functional.max_pool2d(levels[-1], 2) if levels else rois))
        maps = levels.pop()
        for block in self.up:
            maps = block(torch.cat([functional.interpolate(maps, scale_factor=2.0), levels.pop()], dim=1))
        return cast(Tensor, self.output(maps))


class PlainUNetFamily(SegmenterFamily[PlainUNetRecipe]):
    """As in the paper, but for padding."""

    name = "plain-unet"
    Recipe = PlainUNetRecipe
    source = Source(
        paper='Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation"',
        licence="Apache-2.0",
        differs="padded convolutions with batch normalisation; the decoder interpolates",
    )
    trial: ClassVar = {"input_size": 64, "widths": [4, 8, 16]}

    def network(self, recipe: PlainUNetRecipe, fitted: Fitted, init: str | None) -> PlainUNet:
        """From random weights."""
        return PlainUNet(recipe.widths)
