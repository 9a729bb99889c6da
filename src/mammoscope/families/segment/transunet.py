"""TransUNet of Chen et al. 2021: a transformer describes the deepest map of a convolutional encoder, and a decoder with
skips from that encoder draws the outline.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, cast

import timm
import torch
from pydantic import Field
from timm.models import is_model_in_modules
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.errors import RecipeError
from mammoscope.families.backbone import level_channels, make_backbone, make_levels
from mammoscope.families.convolutions import convolution, double_convolution
from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, SegmenterRecipe, Share
from mammoscope.families.roles import SegmenterFamily
from mammoscope.families.samples import SegmenterBatch

STRIDES = (2, 4, 8, 16)  # of the encoder's maps; the transformer sees the last, the decoder the others


class TransUNetRecipe(SegmenterRecipe):
    """Settings of a TransUNet."""

    backbone: str = Field(
        default="vit_base_r50_s16_224",
        description="A timm network with maps of strides 2, 4, 8 and 16, or one of timm's hybrids, which have a "
        "transformer of their own after such maps: then a start (--init) is for both.",
    )
    embedding: Count = 768
    layers: Count = 12
    heads: Count = 12
    dropout: Share = Field(default=0.0, description="In the transformer.")
    filters: Annotated[tuple[Count, ...], Field(min_length=5, max_length=5)] = Field(
        default=(512, 256, 128, 64, 16), description="Channels of the decoder, deepest first, from stride 16 to 1."
    )


class TransUNetFamily(SegmenterFamily[TransUNetRecipe]):
    """A convolutional encoder, a transformer on its deepest map, a decoder with three skips."""

    name = "transunet"
    Recipe = TransUNetRecipe
    source = Source(
        paper='Chen et al. 2021, "TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation"',
        licence="Apache-2.0 (timm)",
        differs="one grey channel in, one logit out in place of one for each organ; any timm backbone as the encoder",
    )
    trial: ClassVar = {
        "backbone": "test_efficientnet",
        "input_size": 64,
        "embedding": 32,
        "layers": 1,
        "heads": 2,
        "filters": [32, 16, 16, 8, 8],
    }

    def network(self, recipe: TransUNetRecipe, fitted: Fitted, init: str | None) -> TransUNet:
        """See ``TransUNet``."""
        if recipe.embedding % recipe.heads:
            raise RecipeError(f"embedding is {recipe.embedding}, expected a multiple of heads, {recipe.heads}")
        return TransUNet(recipe, init)

    def loss(
        self, network: nn.Module, batch: SegmenterBatch, recipe: TransUNetRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Half of the pixels' cross entropy and half of 1 - Dice."""
        return {name: loss / 2 for name, loss in super().loss(network, batch, recipe, autocast).items()}


class HybridStem(nn.Module):
    """The convolutional part of a timm hybrid: ``(N, 1, S, S)`` to maps of ``channels``, of strides 2, 4, 8 and 16.

    That of the published network is a ResNet-50 with 3, 4 and 9 blocks, with group normalisation and standardised
    weights (Kolesnikov et al. 2020, "Big Transfer").
    """

    def __init__(self, resnet: Any) -> None:
        super().__init__()
        # Its first map is taken before the pooling, which ends the stem.
        self.first, self.pool = resnet.stem[:-1], resnet.stem[-1]
        self.stages = resnet.stages
        self.channels = tuple(level["num_chs"] for level in resnet.feature_info)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """See the class."""
        levels = [self.first(pictures)]
        maps = self.pool(levels[0])
        for stage in self.stages:
            maps = stage(maps)
            levels.append(maps)
        return levels


class Encoder(nn.Module):
    """Maps ``(N, channels[i], S / STRIDES[i], S / STRIDES[i])``, the last of them described by the transformer.

    Raises
    ------
    RecipeError
        The backbone has no such maps.
    """

    def __init__(self, recipe: TransUNetRecipe, init: str | None) -> None:
        super().__init__()
        size, side, width = recipe.input_size, recipe.input_size // STRIDES[-1], recipe.embedding
        if timm.is_model(recipe.backbone) and is_model_in_modules(recipe.backbone, ["vision_transformer_hybrid"]):
            vit: Any = make_backbone(
                recipe.backbone,
                init,
                img_size=size,
                num_classes=0,
                embed_dim=width,
                depth=recipe.layers,
                num_heads=recipe.heads,
                proj_drop_rate=recipe.dropout,
                pos_drop_rate=recipe.dropout,
            )
            resnet = vit.patch_embed.backbone
            strides = tuple(level["reduction"] for level in getattr(resnet, "feature_info", ()))
            if strides != STRIDES or vit.patch_embed.proj.kernel_size != (1, 1):
                raise RecipeError(f"backbone is {recipe.backbone!r}: its transformer does not see a map of stride 16")
            self.body: nn.Module = HybridStem(resnet)
            channels = self.body.channels
            self.embed, self.layers, self.norm = vit.patch_embed.proj, vit.blocks, vit.norm
            # Without that of the token for the class, of which there is none.
            self.position = nn.Parameter(vit.pos_embed.detach()[:, -side * side :].clone())
        else:
            self.body = make_levels(recipe.backbone, init, size, STRIDES)
            channels = level_channels(self.body)
            self.embed = nn.Conv2d(channels[-1], width, 1)
            self.layers = nn.Sequential(
                *(Block(width, recipe.heads, qkv_bias=True, proj_drop=recipe.dropout) for _ in range(recipe.layers))
            )
            self.norm = nn.LayerNorm(width)
            self.position = nn.Parameter(torch.empty(1, side * side, width))
            nn.init.trunc_normal_(self.position, std=0.02)
        self.drop = nn.Dropout(recipe.dropout)
        self.channels = (*channels[:-1], width)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """See the class."""
        *levels, deepest = self.body(pictures)
        cells = self.embed(deepest)
        tokens = self.drop(cells.flatten(2).transpose(1, 2) + self.position)
        described = self.norm(self.layers(tokens))
        return [*levels, described.transpose(1, 2).reshape(-1, *cells.shape[1:])]


class TransUNet(nn.Module):
    """The segmenter: ``(N, 1, S, S)`` normalised to logits of the same shape."""

    def __init__(self, recipe: TransUNetRecipe, init: str | None) -> None:
        super().__init__()
        self.encoder = Encoder(recipe, init)
        *skipped, described = self.encoder.channels
        self.first = convolution(described, recipe.filters[0])
        self.up = nn.ModuleList(
            double_convolution(deep + skip, fine)
            for (deep, fine), skip in zip(pairwise(recipe.filters), [*reversed(skipped), 0], strict=True)
        )
        self.output = nn.Conv2d(recipe.filters[-1], 1, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        *skips, described = self.encoder(pictures)
        maps = self.first(described)
        for block in self.up:
            maps = functional.interpolate(maps, scale_factor=2.0, mode="bilinear")
            maps = block(torch.cat([maps, skips.pop()], dim=1) if skips else maps)
        return cast(Tensor, self.output(maps))
