"""A residual U-Net with a parallel vision transformer.

The convolutional path is that of Zhang et al. 2018, "Road Extraction by Deep Residual U-Net", or takes a pretrained
backbone as its encoder; the transformer is that of Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words". It sees
the same image; its output for each patch is added to the level whose cells are as large as a patch, so that this level
has information from the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Protocol, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.errors import RecipeError
from mammoscope.families.backbone import level_channels, level_strides, make_levels
from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily
from mammoscope.families.transformer import TransformerBranch


class TransResUNetRecipe(SegmenterRecipe):
    """Settings of a residual U-Net with a parallel transformer branch; with a ``backbone``, that is its encoder."""

    backbone: str | None = None
    filters: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        default=(32, 64, 128, 256, 512),
        description="Channels of the levels, finest first; with a backbone, those of the decoder: one fewer.",
    )
    transformer: bool = True
    patch_size: Count = 16
    embedding: Count = 256
    layers: Count = 8
    heads: Count = 4


class TransResUNetFamily(SegmenterFamily[TransResUNetRecipe]):
    """A U-Net with information from the whole image at every level."""

    name = "transres_unet"
    Recipe = TransResUNetRecipe
    source = Source(
        paper='Zhang et al. 2018, "Road Extraction by Deep Residual U-Net"; Dosovitskiy et al. 2021, "An Image is '
        'Worth 16x16 Words"',
        licence="Apache-2.0 (timm)",
        differs="both in parallel, the transformer's map added to the level of its patch size; any timm backbone as "
        "the encoder",
    )
    trial: ClassVar = {"input_size": 64, "filters": [16, 16, 32], "embedding": 32, "layers": 1, "heads": 2}

    def network(self, recipe: TransResUNetRecipe, fitted: Fitted, init: str | None) -> TransResUNet:
        """See ``TransResUNet``."""
        size = recipe.input_size
        encoder = BackboneEncoder(recipe.backbone, init, size) if recipe.backbone else ResidualEncoder(recipe.filters)
        if size % encoder.strides[-1]:
            raise RecipeError(f"input_size is {size}, expected a multiple of {encoder.strides[-1]}, the deepest stride")
        branch = None
        if recipe.transformer:
            if recipe.embedding % recipe.heads:
                raise RecipeError(f"embedding is {recipe.embedding}, expected a multiple of heads, {recipe.heads}")
            branch = branch_for(
                encoder,
                size,
                patch_size=recipe.patch_size,
                embedding=recipe.embedding,
                layers=recipe.layers,
                heads=recipe.heads,
            )
        widths = recipe.filters if recipe.backbone else recipe.filters[:-1]
        return TransResUNet(encoder, widths, branch)


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


class Encoder(Protocol):
    """An encoder: ``(N, 1, S, S)`` to maps of ``channels[i]`` channels and side ``S / strides[i]``, finest first."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """See the class."""
        ...


class ResidualEncoder(nn.Module):
    """Residual blocks from full resolution down, one halving a level."""

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(filters)
        self.strides = tuple(2**level for level in range(len(filters)))
        self.stem = nn.Conv2d(1, filters[0], 3, padding=1, bias=False)
        self.first = ResidualBlock(filters[0], filters[0])
        self.down = nn.ModuleList(ResidualBlock(wide, deep, stride=2) for wide, deep in pairwise(filters))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """See ``Encoder``."""
        levels = [self.first(self.stem(pictures))]
        for block in self.down:
            levels.append(block(levels[-1]))
        return levels


class BackboneEncoder(nn.Module):
    """The levels of a timm backbone; its finest usually has half the resolution of the image."""

    def __init__(self, name: str, init: str | None, input_size: int) -> None:
        super().__init__()
        self.body = make_levels(name, init, input_size)
        self.channels, self.strides = level_channels(self.body), level_strides(self.body)
        if any(coarse != 2 * fine for fine, coarse in pairwise(self.strides)):
            raise RecipeError(
                f"backbone is {name!r}: its maps have strides {', '.join(map(str, self.strides))}, expected each twice "
                "the one before"
            )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """See ``Encoder``."""
        return cast("list[Tensor]", self.body(pictures))


class TransResUNet(nn.Module):
    """The segmenter: ``(N, 1, S, S)`` normalised to ``(N, 1, S, S)`` logits; their sigmoid is the mass's probability.

    Parameters
    ----------
    encoder
        The encoder.
    widths
        Channels of the decoder, finest level first: one for each level of the encoder but the deepest.
    branch
        The transformer branch, if there is one; made by ``branch_for``.
    """

    def __init__(self, encoder: Encoder, widths: Sequence[int], branch: TransformerBranch | None) -> None:
        super().__init__()
        if len(widths) != len(encoder.channels) - 1:
            raise RecipeError(
                f"filters: {len(widths)} widths of the decoder, expected {len(encoder.channels) - 1}: "
                "one for each level of the encoder but the deepest"
            )
        self.encoder, self.branch = encoder, branch
        self.branch_level = _nearest(encoder.strides, branch.patch_size) if branch else 0
        deeper = [*widths[1:], encoder.channels[-1]]
        self.up = nn.ModuleList(
            ResidualBlock(deep + skipped, width)
            for deep, skipped, width in reversed(list(zip(deeper, encoder.channels, widths, strict=False)))
        )
        self.output = nn.Conv2d(widths[0], 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        levels = list(self.encoder(pictures))
        if self.branch is not None:
            place = levels[self.branch_level]
            context = self.branch(pictures)
            if context.shape[2:] != place.shape[2:]:
                context = functional.interpolate(context, size=place.shape[2:], mode="bilinear")
            levels[self.branch_level] = place + context
        maps = levels.pop()
        for block in self.up:
            maps = block(torch.cat([functional.interpolate(maps, scale_factor=2.0, mode="nearest"), levels.pop()], 1))
        logits = self.output(maps)
        if logits.shape[2:] != pictures.shape[2:]:
            logits = functional.interpolate(logits, size=pictures.shape[2:], mode="bilinear")
        return cast(Tensor, logits)


def branch_for(
    encoder: Encoder, input_size: int, *, patch_size: int, embedding: int, layers: int, heads: int
) -> TransformerBranch:
    """A transformer branch whose output can be added to the encoder's level of its patch size."""
    channels = encoder.channels[_nearest(encoder.strides, patch_size)]
    return TransformerBranch(input_size, patch_size, embedding, layers, heads, channels)


def _nearest(strides: Sequence[int], patch_size: int) -> int:
    """The level whose cells are nearest to a patch in size."""
    return min(range(len(strides)), key=lambda level: abs(strides[level] - patch_size))
