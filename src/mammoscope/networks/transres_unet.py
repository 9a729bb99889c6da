"""A residual U-Net with a parallel vision transformer.

The convolutional path is that of Zhang et al. 2018, "Road Extraction by Deep Residual U-Net"; the transformer is that
of Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words". It sees the same picture, and what it says about each patch
is added to the deepest block, so that this block knows of the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, normalised and activated before each, beside a 1 x 1 shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C', H / stride, W / stride)``."""
        return cast(Tensor, self.path(maps) + self.shortcut(maps))


class TransformerBranch(nn.Module):
    """Patches, embedded with their position, through transformer layers, to a map of ``channels``."""

    def __init__(
        self, input_size: int, patch_size: int, embedding: int, layers: int, heads: int, channels: int
    ) -> None:
        super().__init__()
        side = input_size // patch_size
        self.embed = nn.Conv2d(1, embedding, patch_size, patch_size)
        self.position = nn.Parameter(torch.empty(1, side * side, embedding))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.layers = nn.Sequential(*(Block(embedding, heads, qkv_bias=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(embedding)
        self.project = nn.Linear(embedding, channels)

    def forward(self, pictures: Tensor) -> Tensor:
        """``(N, 1, S, S)`` to ``(N, channels, S / patch_size, S / patch_size)``."""
        patches = self.embed(pictures)
        tokens = patches.flatten(2).transpose(1, 2) + self.position
        described = self.project(self.norm(self.layers(tokens)))
        return cast(Tensor, described.transpose(1, 2).reshape(-1, described.shape[2], *patches.shape[2:]))


class TransResUNet(nn.Module):
    """The segmenter: ``(N, 1, S, S)`` normalised to ``(N, 1, S, S)`` logits; their sigmoid is the mass's probability.

    Parameters
    ----------
    input_size
        Side S of the input, a multiple of 16.
    filters
        Channels of the five levels, from full resolution to a sixteenth.
    transformer
        Whether the transformer branch is there.
    patch_size, embedding, layers, heads
        Of the transformer branch. Its map is brought to the size of the deepest block.
    """

    def __init__(
        self,
        input_size: int,
        filters: Sequence[int],
        *,
        transformer: bool,
        patch_size: int,
        embedding: int,
        layers: int,
        heads: int,
    ) -> None:
        super().__init__()
        first, deepest = filters[0], filters[-1]
        self.stem = nn.Conv2d(1, first, 3, padding=1, bias=False)
        self.first = ResidualBlock(first, first)
        self.down = nn.ModuleList(ResidualBlock(wide, deep, stride=2) for wide, deep in pairwise(filters))
        self.branch = (
            TransformerBranch(input_size, patch_size, embedding, layers, heads, deepest) if transformer else None
        )
        self.up = nn.ModuleList(ResidualBlock(deep + wide, wide) for wide, deep in reversed(list(pairwise(filters))))
        self.output = nn.Conv2d(first, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        levels = [self.first(self.stem(pictures))]
        for block in self.down:
            levels.append(block(levels[-1]))
        maps = levels.pop()
        if self.branch is not None:
            context = self.branch(pictures)
            if context.shape[2:] != maps.shape[2:]:
                context = functional.interpolate(context, size=maps.shape[2:], mode="bilinear")
            maps = maps + context
        for block in self.up:
            skip = levels.pop()
            maps = block(torch.cat([functional.interpolate(maps, scale_factor=2.0, mode="nearest"), skip], dim=1))
        return cast(Tensor, self.output(maps))
