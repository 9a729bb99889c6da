"""Two U-Nets in a row, the second of which sees at every level what the first one's decoder made there.

The attention gates are those of Oktay et al. 2018, "Attention U-Net: Learning Where to Look for the Pancreas", the
squeeze and excitation that of Hu et al. 2018, the atrous pyramid that of Chen et al. 2017, "DeepLab".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.families.convolutions import (
    ChannelAttention,
    check_halvings,
    convolution,
    double_convolution,
    residual_path,
)
from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, MaskLoss, SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily

Kind = Literal["plain", "attention", "residual"]

_DILATIONS = (1, 6, 12, 18)
_SQUEEZE = 8  # channels for each unit of the squeeze and excitation


class ConnectedUNetsRecipe(SegmenterRecipe):
    """Settings of two connected U-Nets."""

    kind: Kind = Field(
        default="plain", description="Of both: plain, with attention gates, or of residual blocks with squeeze."
    )
    filters: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        default=(32, 64, 128, 256, 512), description="Channels of the levels, finest first, the atrous pyramid last."
    )
    loss: MaskLoss = "dice_iou"


class ConnectedUNetsFamily(SegmenterFamily[ConnectedUNetsRecipe]):
    """Two U-Nets in a row, connected at every level."""

    name = "connected_unets"
    Recipe = ConnectedUNetsRecipe
    source = Source(
        paper='Baccouche et al. 2021, "Connected-UNets: a deep learning architecture for breast mass segmentation"',
        licence="Apache-2.0 (written from the paper)",
        differs="the loss is that of the paper plus 1, each image by itself; pixels are standardised by the recipe's "
        "mean and deviation, not by each image's. Not in the paper, so chosen: the width of the attention gates (half "
        "the channels), that only skips within a U-Net are gated, the order within a residual block (normalised, "
        "then squeezed, then added to a 1 x 1 shortcut), and that these are normalised in the decoders too",
    )
    trial: ClassVar = {"input_size": 64, "filters": [8, 12, 16], "kind": "attention"}

    def network(self, recipe: ConnectedUNetsRecipe, fitted: Fitted, init: str | None) -> ConnectedUNets:
        """See ``ConnectedUNets``."""
        check_halvings(recipe.input_size, recipe.filters)
        return ConnectedUNets(recipe.filters, recipe.kind)


class SqueezedResidual(nn.Module):
    """Two convolutions, squeezed, beside a 1 x 1 shortcut: ``(N, C, H, W)`` to ``(N, C', H, W)``."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            residual_path(channels_in, channels_out), ChannelAttention(channels_out, ratio=_SQUEEZE)
        )
        self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out))

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        return functional.relu(self.path(maps) + self.shortcut(maps))


class AtrousPyramid(nn.Module):
    """Four dilated convolutions side by side, normalised and summed, and a 1 x 1 convolution; no activation."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm2d(channels_out),
            )
            for dilation in _DILATIONS
        )
        self.mix = nn.Conv2d(channels_out, channels_out, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C', H, W)``."""
        first, *others = (branch(maps) for branch in self.branches)
        return cast(Tensor, self.mix(sum(others, first)))


class Skip(nn.Module):
    """A connection within a U-Net: what the encoder gives the decoder at a level, unchanged."""

    def forward(self, level: Tensor, maps: Tensor) -> Tensor:
        """The encoder's ``(N, C, H, W)``, given the decoder's of the same shape."""
        return level


class AttentionGate(Skip):
    """The same, each place times a weight that follows from encoder and decoder there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = max(1, channels // 2)
        self.of_level = nn.Conv2d(channels, between, 1, bias=False)
        self.of_maps = nn.Conv2d(channels, between, 1)
        self.weigh = nn.Sequential(nn.ReLU(), nn.Conv2d(between, 1, 1), nn.Sigmoid())

    def forward(self, level: Tensor, maps: Tensor) -> Tensor:
        """See ``Skip``."""
        return cast(Tensor, level * self.weigh(self.of_level(level) + self.of_maps(maps)))


class Decoder(nn.Module):
    """The decoder of either U-Net: the pyramid's map and the encoder's levels, to a map for each level.

    Parameters
    ----------
    filters
        Channels of the levels, finest first, the pyramid's last.
    kind
        Of the U-Net.
    """

    def __init__(self, filters: Sequence[int], kind: Kind) -> None:
        super().__init__()
        steps = [*pairwise(filters)][::-1]
        block: Callable[[int, int], nn.Module] = (
            SqueezedResidual if kind == "residual" else partial(double_convolution, normalised=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, wide, 2, stride=2) for wide, deep in steps)
        self.skip = nn.ModuleList(AttentionGate(wide) if kind == "attention" else Skip() for wide, _ in steps)
        self.join = nn.ModuleList(block(2 * wide, wide) for wide, _ in steps)

    def forward(self, maps: Tensor, levels: Sequence[Tensor]) -> list[Tensor]:
        """A map of each level's shape, finest first."""
        made = []
        for up, skip, join, level in zip(self.up, self.skip, self.join, reversed(levels), strict=True):
            maps = up(maps)
            maps = join(torch.cat([maps, skip(level, maps)], dim=1))
            made.append(maps)
        return made[::-1]


class ConnectedUNets(nn.Module):
    """``(N, 1, S, S)`` normalised to logits of the same shape, S a multiple of the deepest stride.

    Parameters
    ----------
    filters
        Channels of the levels, finest first, those of the pyramid at the bottom last.
    kind
        Of both U-Nets.
    """

    def __init__(self, filters: Sequence[int], kind: Kind) -> None:
        super().__init__()
        *widths, bottom = filters
        block: Callable[[int, int], nn.Module] = SqueezedResidual if kind == "residual" else double_convolution
        self.first_down = nn.ModuleList(block(*step) for step in pairwise((1, *widths)))
        self.first_bottom = AtrousPyramid(widths[-1], bottom)
        self.first_up = Decoder(filters, kind)
        self.lead = nn.ModuleList(convolution(*step) for step in pairwise((widths[0], *widths)))
        self.second_down = nn.ModuleList(block(2 * width, width) for width in widths)
        self.second_bottom = AtrousPyramid(widths[-1], bottom)
        self.second_up = Decoder(filters, kind)
        self.output = nn.Sequential(AtrousPyramid(widths[0], widths[0]), nn.Conv2d(widths[0], 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        levels = [self.first_down[0](pictures)]
        for block in self.first_down[1:]:
            levels.append(block(_halved(levels[-1])))
        first = self.first_up(self.first_bottom(_halved(levels[-1])), levels)
        levels, above = [], first[0]
        for lead, block, made in zip(self.lead, self.second_down, first, strict=True):
            levels.append(block(torch.cat([lead(above), made], dim=1)))
            above = _halved(levels[-1])
        second = self.second_up(self.second_bottom(above), levels)
        return cast(Tensor, self.output(second[0]))


def _halved(maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, 2)
