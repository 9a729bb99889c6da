"""A U-Net whose decoder upsamples in two ways at once and weighs what both give.

Bilinear interpolation keeps what is smooth; dense upsampling (Shi et al. 2016, the pixel shuffle) learns a value for
each of the four pixels that one becomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, cast

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
from mammoscope.families.recipe import Count, SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily

_RATIO = 16  # channels for each unit of the channel attention


class AUNetRecipe(SegmenterRecipe):
    """Settings of a U-Net with attention-guided upsampling."""

    filters: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        default=(64, 128, 256, 512, 1024), description="Channels of the levels, finest first."
    )


class AUNetFamily(SegmenterFamily[AUNetRecipe]):
    """A residual encoder, and a decoder with attention-guided dense upsampling."""

    name = "aunet"
    Recipe = AUNetRecipe
    source = Source(
        paper='Sun et al. 2020, "AUNet: attention-guided dense-upsampling networks for breast mass segmentation in '
        'whole mammograms"',
        licence="Apache-2.0 (written from the paper)",
        differs="it sees the ROI of one mass, not the whole mammogram, so that figures are not those of the paper's "
        "task; one logit for two classes. Not known to us, so chosen: the loss, which is that of all segmenters here, "
        "and the sizes of kernels that the paper's 75.5 million parameters leave open",
    )
    trial: ClassVar = {"input_size": 64, "filters": [8, 12, 16]}

    def network(self, recipe: AUNetRecipe, fitted: Fitted, init: str | None) -> AUNet:
        """See ``AUNet``."""
        check_halvings(recipe.input_size, recipe.filters)
        return AUNet(recipe.filters)


class Stage(nn.Module):
    """A level of the encoder: a convolution, then a residual pair; ``(N, C, H, W)`` to ``(N, C', H, W)``."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = convolution(channels_in, channels_out)
        self.pair = residual_path(channels_out, channels_out)

    def forward(self, maps: Tensor) -> Tensor:
        """See the class."""
        start = self.first(maps)
        return functional.relu(start + self.pair(start))


class AttentionUp(nn.Module):
    """The attention-guided dense-upsampling block.

    Parameters
    ----------
    deep, wide
        Channels of the deeper map and of the level.
    """

    def __init__(self, deep: int, wide: int) -> None:
        super().__init__()
        self.interpolated = convolution(deep, wide)
        self.dense = nn.Sequential(convolution(deep, 4 * wide), nn.PixelShuffle(2))
        self.smooth = convolution(wide, wide)
        self.attend = ChannelAttention(2 * wide, ratio=_RATIO)
        self.join = double_convolution(2 * wide, wide)

    def forward(self, deeper: Tensor, level: Tensor) -> Tensor:
        """``(N, deep, H / 2, W / 2)`` and the encoder's ``(N, wide, H, W)``, to ``(N, wide, H, W)``."""
        smooth = self.smooth(self.dense(deeper) + level)
        enlarged = functional.interpolate(deeper, scale_factor=2.0, mode="bilinear", align_corners=False)
        return cast(Tensor, self.join(self.attend(torch.cat([self.interpolated(enlarged), smooth], dim=1))))


class AUNet(nn.Module):
    """``(N, 1, S, S)`` normalised to logits of the same shape, S a multiple of the deepest stride.

    Parameters
    ----------
    filters
        Channels of the levels, finest first; each has half the side of the one before.
    """

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(Stage(*step) for step in pairwise((1, *filters)))
        self.up = nn.ModuleList(AttentionUp(deep, wide) for wide, deep in [*pairwise(filters)][::-1])
        self.output = nn.Conv2d(filters[0], 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        levels = [self.down[0](pictures)]
        for stage in self.down[1:]:
            levels.append(stage(functional.max_pool2d(levels[-1], 2)))
        maps = levels.pop()
        for up in self.up:
            maps = up(maps, levels.pop())
        return cast(Tensor, self.output(maps))
