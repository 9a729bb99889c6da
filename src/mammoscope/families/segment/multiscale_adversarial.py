"""The multi-scale adversarial network of Chen et al. 2020.

A U-Net draws the mask of a mass. Three critics, which see mask and image at full, half and quarter size, learn to tell
its masks from true ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from mammoscope.errors import RecipeError
from mammoscope.families.convolutions import check_halvings
from mammoscope.families.family import Fitted, Phase, Source
from mammoscope.families.recipe import Count, SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily
from mammoscope.families.samples import SegmenterBatch
from mammoscope.families.segment.unet import UNet

SCALES = (1, 2, 4)  # image pixels along the side of a critic's


class MultiscaleAdversarialRecipe(SegmenterRecipe):
    """Settings of a U-Net and of its critics."""

    filters: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        default=(32, 64, 128, 256, 512), description="Channels of the U-Net's levels, finest first."
    )
    critic_filters: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(64, 128, 256, 512),
        description="Channels of each critic's convolutions, of which each halves its maps.",
    )
    adversarial_weight: Annotated[float, Field(gt=0)] = Field(
        default=0.1, description="Of what the critics say, beside the pixels' cross entropy."
    )
    mass_weight: Annotated[float, Field(gt=0)] = Field(
        default=1.5, description="Of a pixel of the mass in the cross entropy; one of other tissue has 1."
    )


class MultiscaleAdversarialFamily(SegmenterFamily[MultiscaleAdversarialRecipe]):
    """A U-Net that learns from its critics too; the bundle has the U-Net alone."""

    name = "multiscale_adversarial"
    Recipe = MultiscaleAdversarialRecipe
    source = Source(
        paper='Chen et al. 2020, "A Novel Multi-Scale Adversarial Networks for Precise Segmentation of X-Ray Breast '
        'Mass"',
        licence="Apache-2.0",
        differs="known from its abstract and from figures cited elsewhere, which leave open how the U-Net is improved "
        "(here it is a plain one), the widths of U-Net and critics, the weights of the losses, and the optimiser; "
        "those are ours. One step of the critics for each of the U-Net, with the same optimiser and learning rate",
    )
    trial: ClassVar = {"input_size": 64, "filters": [8, 8, 16], "critic_filters": [4, 8]}

    def network(self, recipe: MultiscaleAdversarialRecipe, fitted: Fitted, init: str | None) -> UNet:
        """The U-Net."""
        check_halvings(recipe.input_size, recipe.filters)
        return UNet(recipe.filters)

    def phases(self, recipe: MultiscaleAdversarialRecipe, fitted: Fitted, init: str | None) -> Iterator[Phase]:
        """One, with the critics as opponent."""
        smallest = SCALES[-1] * 2 ** len(recipe.critic_filters)
        if recipe.input_size < smallest:
            raise RecipeError(
                f"input_size is {recipe.input_size}, expected {smallest} or more for {len(recipe.critic_filters)} "
                "critic_filters"
            )
        yield Phase("", self.network(recipe, fitted, init), recipe.loop, Critics(recipe.critic_filters))

    def loss(
        self, network: nn.Module, batch: SegmenterBatch, recipe: MultiscaleAdversarialRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Of the U-Net without its critics: the weighted cross entropy of the pixels."""
        with autocast:
            raw = network(batch.rois)
        return weighted_cross_entropy(raw.float(), batch.masks, recipe.mass_weight)

    def turns(
        self,
        network: nn.Module,
        opponent: nn.Module,
        batch: SegmenterBatch,
        recipe: MultiscaleAdversarialRecipe,
        autocast: torch.autocast,
    ) -> Iterator[dict[str, Tensor]]:
        """The critics estimate the earth mover's distance of its masks from true ones; the U-Net shortens it."""
        with autocast:
            raw = network(batch.rois)
        logits = raw.float()
        drawn = logits.sigmoid()
        with autocast:
            true, ours = opponent(batch.rois, batch.masks), opponent(batch.rois, drawn.detach())
        yield {"critic_loss": ours - true}
        with autocast:
            ours = opponent(batch.rois, drawn)
        yield {
            **weighted_cross_entropy(logits, batch.masks, recipe.mass_weight),
            "adversarial_loss": -recipe.adversarial_weight * ours,
        }


class Critics(nn.Module):
    """A critic for each of ``SCALES``: how true masks look on their images, on a scale of their own; the mean.

    Spectral normalisation (Miyato et al. 2018) bounds how fast what a critic says can change, as the earth mover's
    distance needs (Arjovsky et al. 2017, "Wasserstein GAN").
    """

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(make_critic(filters) for _ in SCALES)

    def forward(self, pictures: Tensor, masks: Tensor) -> Tensor:
        """Of normalised images and masks of 0 to 1, ``(N, 1, S, S)`` each, one number."""
        shown = torch.cat([pictures, masks], dim=1)
        said = [
            critic(functional.avg_pool2d(shown, scale) if scale > 1 else shown).float().mean()
            for scale, critic in zip(SCALES, self.critics, strict=True)
        ]
        return torch.stack(said).mean()


def make_critic(filters: Sequence[int]) -> nn.Sequential:
    """``(N, 2, S, S)`` to what it says of each place, ``(N, 1, S / 2 ** len(filters), ...)``."""
    layers: list[nn.Module] = []
    for channels_in, channels_out in pairwise((2, *filters)):
        layers += [spectral_norm(nn.Conv2d(channels_in, channels_out, 4, 2, padding=1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(filters[-1], 1, 1)))


def weighted_cross_entropy(logits: Tensor, masks: Tensor, mass_weight: float) -> dict[str, Tensor]:
    """Of the pixels, divided by the mean of both weights, so that it is as large as without them."""
    weight = logits.new_tensor(mass_weight)
    loss = functional.binary_cross_entropy_with_logits(logits, masks, pos_weight=weight)
    return {"pixel_loss": 2 * loss / (1 + mass_weight)}
