"""A conditional adversarial network that paints a mass of given outline, shape and margin into tissue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.errors import RecipeError
from mammoscope.families.convolutions import check_halvings
from mammoscope.families.family import Fitted, Phase, Source
from mammoscope.families.recipe import Count, GeneratorRecipe
from mammoscope.families.roles import GeneratorFamily
from mammoscope.families.samples import GeneratorBatch

_SLOPE = 0.2  # of leaky rectifiers below 0
_COARSEST = 4  # side of the coarsest tissue that is continued into the blank
_BANDS = 3  # of structures 2 to 8 pixels across
_FAINTEST = 0.01  # structure that counts, in standard deviations of the brightness
_SMOOTHING = 1.0  # pixels: keeps a batch without a mass finite


class MassPainterRecipe(GeneratorRecipe):
    """Settings of the painter and of its critic."""

    filters: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        default=(16, 32, 64, 128, 192), description="Channels of the painter's levels, finest first."
    )
    noise_channels: Count = Field(default=4, description="Of the noise that joins every level of the decoder.")
    critic_filters: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(32, 64, 128, 256), description="Channels of the critic's convolutions, of which each halves its maps."
    )
    coarseness: Count = Field(
        default=8, description="Pixels along the side of a square whose mean brightness is to be that of the real mass."
    )
    coarse_weight: Annotated[float, Field(ge=0)] = Field(default=1.0, description="Of that likeness in the loss.")
    grain_weight: Annotated[float, Field(ge=0)] = Field(
        default=0.5, description="Of the likeness of how strong structures of each size are, wherever they lie."
    )
    adversarial_weight: Annotated[float, Field(gt=0)] = Field(default=0.1, description="Of the critic's judgement.")


class MassPainterFamily(GeneratorFamily[MassPainterRecipe]):
    """A U-Net fills the blank; a critic that knows outline and words tells painted masses from real ones."""

    name = "mass_painter"
    Recipe = MassPainterRecipe
    source = Source(
        paper='Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks", after the use of '
        'Wu et al. 2018, "Conditional Infilling GANs for Data Augmentation in Mammogram Classification"',
        licence="Apache-2.0 (written from the papers)",
        differs="smaller; conditioned on words of shape and margin beside the outline, by a projection in the critic "
        "(Miyato and Koyama 2018) and by scaled features in the painter (Perez et al. 2018); a hinge loss; the mass's "
        "brightness is compared with the real one's in coarse squares, and of finer structures how strong they are, "
        "so that where they lie is left to noise and critic",
    )
    trial: ClassVar = {"input_size": 32, "filters": [8, 12, 16], "noise_channels": 2, "critic_filters": [4, 8]}

    def network(self, recipe: MassPainterRecipe, fitted: Fitted, init: str | None) -> Painter:
        """See ``Painter``."""
        check_halvings(recipe.input_size, recipe.filters)
        return Painter(recipe.filters, recipe.noise_channels, len(fitted["words"]))

    def noise_shape(self, recipe: MassPainterRecipe) -> tuple[int, ...]:
        """As many channels as the recipe says, of the size of the image."""
        return recipe.noise_channels, recipe.input_size, recipe.input_size

    def phases(self, recipe: MassPainterRecipe, fitted: Fitted, init: str | None) -> Iterator[Phase]:
        """One, with the critic as opponent."""
        if recipe.input_size < 2 ** len(recipe.critic_filters):
            raise RecipeError(
                f"input_size is {recipe.input_size}, expected {2 ** len(recipe.critic_filters)} or more for "
                f"{len(recipe.critic_filters)} critic_filters"
            )
        critic = Critic(recipe.critic_filters, len(fitted["words"]))
        yield Phase("", self.network(recipe, fitted, init), recipe.loop, critic)

    def loss(
        self, network: nn.Module, batch: GeneratorBatch, recipe: MassPainterRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Of the painter without its critic: the likeness to the real masses."""
        return likeness(self.paint(network, batch, self._noise(batch, recipe), autocast), batch, recipe)

    def turns(
        self,
        network: nn.Module,
        opponent: nn.Module,
        batch: GeneratorBatch,
        recipe: MassPainterRecipe,
        autocast: torch.autocast,
    ) -> Iterator[dict[str, Tensor]]:
        """The critic's hinge loss (Lim and Ye 2017); then the likeness of what was painted, and its judgement.

        Only places that see something painted are judged.
        """
        painted = self.paint(network, batch, self._noise(batch, recipe), autocast)
        with autocast:
            true, ours = opponent(batch.rois, batch), opponent(painted.detach(), batch)
        places = functional.adaptive_max_pool2d(batch.weights, true.shape[-2:]) > 0
        hinge = functional.relu(1 - true) + functional.relu(1 + ours)
        yield {"critic_loss": mean_at(places, hinge)}
        with autocast:
            ours = opponent(painted, batch)
        yield {
            **likeness(painted, batch, recipe),
            "adversarial_loss": -recipe.adversarial_weight * mean_at(places, ours),
        }

    def _noise(self, batch: GeneratorBatch, recipe: MassPainterRecipe) -> Tensor:
        return torch.randn(len(batch.rois), *self.noise_shape(recipe), device=batch.rois.device)


class Painter(nn.Module):
    """``(N, 3, S, S)`` (tissue with a blank, mask, weights), words ``(N, K)`` and noise to the mass ``(N, 1, S, S)``.

    It changes a smooth continuation of the tissue, with which it starts: see ``continued``.

    Parameters
    ----------
    filters
        Channels of the levels, finest first; each has half the side of the one before.
    noise_channels
        Of the noise ``(N, C, S, S)``, which joins the maps of each level, as coarse as they are: from it follow the
        whole mass's brightness as well as its grain.
    words
        K; may be 0.
    """

    def __init__(self, filters: Sequence[int], noise_channels: int, words: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(Told(*step, words) for step in pairwise((3, *filters)))
        self.middle = Told(filters[-1] + noise_channels, filters[-1], words)
        self.up = nn.ModuleList(
            Told(deep + wide + noise_channels, wide, words) for wide, deep in [*pairwise(filters)][::-1]
        )
        self.output = nn.Conv2d(filters[0], 1, 3, padding=1)
        nn.init.zeros_(self.output.weight)

    def forward(self, seen: Tensor, words: Tensor, noise: Tensor) -> Tensor:
        """See the class."""
        tissue, masks, weights = seen.chunk(3, dim=1)
        smooth = continued(tissue, (weights == 0).to(tissue.dtype))
        levels, grain = [self.down[0](torch.cat([smooth, masks, weights], dim=1), words)], [noise]
        for block in self.down[1:]:
            levels.append(block(functional.avg_pool2d(levels[-1], 2), words))
            grain.append(2 * functional.avg_pool2d(grain[-1], 2))  # as strong at every level
        maps = self.middle(torch.cat([levels.pop(), grain.pop()], dim=1), words)
        for block in self.up:
            finer = functional.interpolate(maps, scale_factor=2.0)
            maps = block(torch.cat([finer, levels.pop(), grain.pop()], dim=1), words)
        return cast(Tensor, smooth + self.output(maps))


class Told(nn.Module):
    """Two 3 x 3 convolutions, normalised, whose maps are scaled and shifted by what the words say."""

    def __init__(self, channels_in: int, channels_out: int, words: int) -> None:
        super().__init__()
        steps = ((channels_in, channels_out), (channels_out, channels_out))
        self.convolutions = nn.ModuleList(nn.Conv2d(*step, 3, padding=1, bias=False) for step in steps)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels_out, affine=False) for _ in steps)
        self.told = nn.ModuleList(nn.Linear(words + 1, 2 * channels_out) for _ in steps)

    def forward(self, maps: Tensor, words: Tensor) -> Tensor:
        """``(N, C, H, W)`` and ``(N, K)``."""
        said = with_constant(words)
        for convolution, norm, told in zip(self.convolutions, self.norms, self.told, strict=True):
            scale, shift = told(said)[:, :, None, None].chunk(2, dim=1)
            maps = functional.leaky_relu(norm(convolution(maps)) * (1 + scale) + shift, _SLOPE)
        return maps


class Critic(nn.Module):
    """How real a mass looks at each place, given its outline and words."""

    def __init__(self, filters: Sequence[int], words: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(*step, 4, 2, padding=1),
                    nn.GroupNorm(1, step[1]) if number else nn.Identity(),
                    nn.LeakyReLU(_SLOPE),
                )
                for number, step in enumerate(pairwise((3, *filters)))
            )
        )
        self.judge = nn.Conv2d(filters[-1], 1, 3, padding=1)
        self.told = nn.Linear(words + 1, filters[-1])

    def forward(self, pictures: Tensor, batch: GeneratorBatch) -> Tensor:
        """Of normalised ``pictures (N, 1, S, S)`` of a batch, ``(N, 1, s, s)``."""
        maps = self.layers(torch.cat([pictures, batch.masks, batch.weights], dim=1))
        said = self.told(with_constant(batch.words))
        fitting = (maps * said[:, :, None, None]).sum(dim=1, keepdim=True) / said.shape[1] ** 0.5
        return cast(Tensor, self.judge(maps).float() + fitting.float())


def mean_at(places: Tensor, values: Tensor) -> Tensor:
    """The mean of ``values`` where ``places``, of the same shape, is True; 0 if it is nowhere."""
    return (values * places).sum() / places.sum().clamp(min=1)


def with_constant(words: Tensor) -> Tensor:
    """Words ``(N, K)`` and a 1 beside them, which also stands where no word is said or known."""
    return torch.cat([words, words.new_ones(len(words), 1)], dim=1)


def continued(tissue: Tensor, known: Tensor) -> Tensor:
    """Tissue ``(N, 1, S, S)`` where ``known`` is 1; where it is 0, the mean of what is known around, ever farther away.

    Halved until little is left, then enlarged again into the blank (the pull-push of Gortler et al. 1996).
    """
    side = tissue.shape[-1]
    if side % 2 or side <= _COARSEST:
        mean = (tissue * known).sum(dim=(2, 3), keepdim=True) / known.sum(dim=(2, 3), keepdim=True).clamp(min=1)
        return torch.where(known > 0, tissue, mean)
    share = functional.avg_pool2d(known, 2)
    halved = functional.avg_pool2d(tissue * known, 2) / share.clamp(min=0.25)
    coarse = continued(halved, (share > 0).to(known.dtype))
    finer = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    return torch.where(known > 0, tissue, finer)


def likeness(painted: Tensor, batch: GeneratorBatch, recipe: MassPainterRecipe) -> dict[str, Tensor]:
    """How unlike painted and real ROIs are: place by place in coarse squares, as a whole in finer structures."""
    return {
        "coarse_loss": recipe.coarse_weight * coarse_difference(painted, batch, recipe.coarseness),
        "grain_loss": recipe.grain_weight
        * functional.l1_loss(grain(painted, batch.weights), grain(batch.rois, batch.weights)),
    }


def grain(pictures: Tensor, weights: Tensor) -> Tensor:
    """How strong the structures of each size are where ROIs ``(N, 1, S, S)`` are painted, ``(N, 3)``.

    Logarithm of the root mean square of each band of a Laplacian pyramid (Burt and Adelson 1983), finest first.
    """
    strengths = []
    for _ in range(_BANDS):
        halved = functional.avg_pool2d(pictures, 2)
        band = pictures - functional.interpolate(halved, scale_factor=2.0, mode="bilinear", align_corners=False)
        energy = (weights * band.square()).sum(dim=(1, 2, 3)) / (weights.sum(dim=(1, 2, 3)) + _SMOOTHING)
        strengths.append((energy + _FAINTEST**2).log() / 2)
        pictures, weights = halved, functional.avg_pool2d(weights, 2)
    return torch.stack(strengths, dim=1)


def coarse_difference(painted: Tensor, batch: GeneratorBatch, coarseness: int) -> Tensor:
    """Mean absolute difference of painted and real ROIs, of the means of squares, over what is painted."""
    difference = functional.avg_pool2d(painted - batch.rois, coarseness).abs().sum()
    return difference / (functional.avg_pool2d(batch.weights, coarseness).sum() + _SMOOTHING)
