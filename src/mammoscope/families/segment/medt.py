"""The Medical Transformer of Valanarasu et al. 2021, which YOLO-LOGO (Su et al. 2022) outlines masses with.

Axial attention sees a whole column, then a whole row. One branch sees the image; the other, deeper one sees each of 16
patches of it alone; their maps are added. In the branch of the whole image attention depends on the distance of two
cells too, by terms behind gates: for a data set that is too small to learn positions from, they can close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.errors import RecipeError
from mammoscope.families.family import Fitted, Phase, Source
from mammoscope.families.recipe import Count, PhaseSettings, SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily
from mammoscope.families.samples import SegmenterBatch

PATCHES = 4  # along a side of the image
_FULL_WIDTH = 128  # of the first stage's attention, at a width factor of 1


class MedTRecipe(SegmenterRecipe):
    """Settings of a Medical Transformer; ``loop`` is for both phases together."""

    width_factor: Annotated[float, Field(gt=0)] = Field(
        default=0.125, description="Of the stages: at 1, the first has 128 channels, and each twice the one before."
    )
    heads: Count = 8
    global_layers: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(1, 2), description="Blocks of the stages of the branch that sees the whole image."
    )
    local_layers: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(1, 2, 4, 1), description="The same of the branch that sees patches."
    )
    global_stride: Literal[2, 4] = Field(
        default=2, description="Of the first convolution of the branch that sees the whole image."
    )
    stem_width: Count = Field(default=128, description="Channels between the convolutions before the first stage.")
    gates_from: Count = Field(default=10, description="Epochs after which the gates begin to learn.")
    pixels_only: bool = Field(
        default=False, description="Whether to minimise the cross entropy of the pixels alone, as published."
    )

    @model_validator(mode="after")
    def _gates_learn(self) -> Self:
        if self.gates_from >= self.loop.epochs:
            raise ValueError(f"gates_from is {self.gates_from}, it must lie below loop.epochs, {self.loop.epochs}")
        if self.loop.drop_epochs:
            raise ValueError("loop.drop_epochs must be empty: the phases before and after gates_from have none")
        return self


class MedTFamily(SegmenterFamily[MedTRecipe]):
    """Gated axial attention on the image, and axial attention on its patches."""

    name = "medt"
    Recipe = MedTRecipe
    source = Source(
        paper='Valanarasu et al. 2021, "Medical Transformer: Gated Axial-Attention for Medical Image Segmentation"; '
        'Su et al. 2022, "YOLO-LOGO: A transformer-based YOLO segmentation model for breast mass detection and '
        'segmentation in digital mammograms"',
        licence="Apache-2.0",
        differs="one grey channel in, one logit out in place of two; patches go through the local branch as one batch, "
        "so that its batch normalisation sees all of them; the optimiser starts anew when the gates begin to learn",
    )
    trial: ClassVar = {
        "input_size": 64,
        "width_factor": 0.0625,
        "heads": 2,
        "global_stride": 4,
        "global_layers": [1],
        "local_layers": [1],
        "stem_width": 8,
        "gates_from": 1,
    }

    def network(self, recipe: MedTRecipe, fitted: Fitted, init: str | None) -> MedT:
        """See ``MedT``."""
        width, least = round(_FULL_WIDTH * recipe.width_factor), PATCHES * 2 ** len(recipe.local_layers)
        if width % (2 * recipe.heads) or not width:
            raise RecipeError(
                f"width_factor is {recipe.width_factor:g}, which gives {width} channels, expected a multiple of twice "
                f"heads, {2 * recipe.heads}"
            )
        if recipe.input_size % least:
            raise RecipeError(f"input_size is {recipe.input_size}, expected a multiple of {least}")
        return MedT(recipe, width)

    def phases(self, recipe: MedTRecipe, fitted: Fitted, init: str | None) -> Iterator[Phase]:
        """With the gates as they start, then with gates that learn."""
        model, rate = self.network(recipe, fitted, init), recipe.loop.learning_rate
        model.freeze_gates(True)
        yield Phase("frozen_gates", model, PhaseSettings(epochs=recipe.gates_from, learning_rate=rate))
        model.freeze_gates(False)
        yield Phase("", model, PhaseSettings(epochs=recipe.loop.epochs - recipe.gates_from, learning_rate=rate))

    def loss(
        self, network: nn.Module, batch: SegmenterBatch, recipe: MedTRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Cross entropy of the pixels alone, or what is usual."""
        if not recipe.pixels_only:
            return super().loss(network, batch, recipe, autocast)
        with autocast:
            logits = network(batch.rois)
        return {"pixel_loss": functional.binary_cross_entropy_with_logits(logits.float(), batch.masks)}


class Positions(nn.Module):
    """What attention knows of the distance of two cells: a vector for each distance, and a gate for each use of it."""

    apart: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.distances = nn.Parameter(torch.randn(2 * width, 2 * length - 1) * width**-0.5)
        # Of the terms of query, key and value, and of the value itself.
        self.gates = nn.Parameter(torch.tensor([0.1, 0.1, 0.1, 1.0]))
        places = torch.arange(length)
        self.register_buffer("apart", places[:, None] - places + length - 1, persistent=False)

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """For query, key and value: ``(channels, L, L)``, of each cell and each that it may attend to, gated."""
        table = self.distances[:, self.apart.flatten()].reshape(2 * self.width, *self.apart.shape)
        query, key, value = (gate * table for gate in self.gates[:3])
        half = self.width // 2
        return query[:half], key[half : self.width], value[self.width :]


class AxialAttention(nn.Module):
    """Attention of each cell to those of its row (Wang et al. 2020, "Axial-DeepLab").

    Parameters
    ----------
    channels
        In and out; a multiple of twice ``heads``.
    positions
        Cells in a row, where attention depends on their distance; None where it does not.
    """

    def __init__(self, channels: int, heads: int, positions: int | None) -> None:
        super().__init__()
        self.heads, self.width = heads, channels // heads
        self.positions = Positions(positions, self.width) if positions else None
        terms = 3 if positions else 1
        self.projections = nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.BatchNorm2d(2 * channels))
        self.similarity_norms = nn.ModuleList(nn.BatchNorm2d(heads) for _ in range(terms))
        self.output_norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2 if positions else 1))

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        count, _, height, length = maps.shape
        rows = self.projections(maps).permute(0, 2, 3, 1).reshape(-1, length, self.heads, 2 * self.width)
        # (rows, heads, cells, channels) each
        query, key, value = rows.transpose(1, 2).split([self.width // 2, self.width // 2, self.width], dim=3)
        terms = self.positions() if self.positions else None
        alike = [query @ key.transpose(2, 3)]
        if terms:
            alike += [torch.einsum("bhic,cij->bhij", query, terms[0]), torch.einsum("bhjc,cji->bhij", key, terms[1])]
        attention = normalised_sum(self.similarity_norms, alike).softmax(dim=3)
        seen = [attention @ value]
        if self.positions and terms:
            seen = [seen[0] * self.positions.gates[3], torch.einsum("bhij,cij->bhic", attention, terms[2])]
        shape = (count, height, length, -1)
        parts = [part.transpose(1, 2).reshape(shape).permute(0, 3, 1, 2) for part in seen]
        return normalised_sum(self.output_norms, parts)


class AxialBlock(nn.Module):
    """A residual block whose middle is attention along columns, then along rows: ``planes`` channels, twice that out.

    ``side`` is that of its maps, where attention depends on distances; a stride of 2 halves them at its end.
    """

    def __init__(self, channels_in: int, planes: int, heads: int, stride: int, side: int | None) -> None:
        super().__init__()
        self.reduce = convolution(channels_in, planes, 1)
        self.columns = AxialAttention(planes, heads, side)
        self.rows = AxialAttention(planes, heads, side)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.expand = nn.Sequential(nn.Conv2d(planes, 2 * planes, 1, bias=False), nn.BatchNorm2d(2 * planes))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != 2 * planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, 2 * planes, 1, stride, bias=False), nn.BatchNorm2d(2 * planes)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, 2 planes, H / stride, W / stride)``."""
        columns = self.columns(self.reduce(maps).transpose(2, 3)).transpose(2, 3)
        inner = functional.relu(self.pool(self.rows(columns)))
        return functional.relu(self.expand(inner) + self.shortcut(maps))


class Branch(nn.Module):
    """A U-Net of axial blocks: ``(N, 1, S, S)`` to ``(N, width, S, S)``.

    Parameters
    ----------
    stride
        Of its first convolution.
    side
        S, where attention depends on distances.
    deeper
        Whether a convolution halves the deepest maps once more, before they are enlarged.
    """

    def __init__(
        self, layers: Sequence[int], width: int, recipe: MedTRecipe, stride: int, side: int | None, deeper: bool
    ) -> None:
        super().__init__()
        stem_width = recipe.stem_width
        self.stem = nn.Sequential(
            convolution(1, width // 2, 7, stride),
            convolution(width // 2, stem_width, 3),
            convolution(stem_width, width // 2, 3),
        )
        self.stages = nn.ModuleList()
        channels, side = width // 2, side and side // stride
        for depth, count in enumerate(layers):
            stage, planes = nn.Sequential(), width * 2**depth
            for place in range(count):
                step = 2 if depth and not place else 1
                stage.append(AxialBlock(channels, planes, recipe.heads, step, side))
                channels, side = 2 * planes, side and side // step
            self.stages.append(stage)
        self.bottom = nn.Conv2d(channels, channels, 3, 2, padding=1) if deeper else None
        widths = [channels // 2**step for step in range(len(layers) + 1)]
        self.up = nn.ModuleList(nn.Conv2d(deep, fine, 3, padding=1) for deep, fine in pairwise(widths))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        levels, maps = [], self.stem(pictures)
        for stage in self.stages:
            maps = stage(maps)
            levels.append(maps)
        if self.bottom is not None:
            maps = enlarged(self.bottom(maps), maps) + maps
        levels.pop()
        for layer in self.up:
            maps = enlarged(layer(maps), levels[-1] if levels else pictures)
            maps = maps + levels.pop() if levels else maps
        return cast(Tensor, maps)


class MedT(nn.Module):
    """The segmenter: ``(N, 1, S, S)`` normalised to logits of the same shape."""

    def __init__(self, recipe: MedTRecipe, width: int) -> None:
        super().__init__()
        stride, size = recipe.global_stride, recipe.input_size
        self.whole = Branch(recipe.global_layers, width, recipe, stride, size, deeper=False)
        self.patches = Branch(recipe.local_layers, width, recipe, 2, None, deeper=True)
        self.output = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))

    def freeze_gates(self, frozen: bool) -> None:
        """Keep the gates as they are, or let them learn."""
        for module in self.modules():
            if isinstance(module, Positions):
                module.gates.requires_grad_(not frozen)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        size = pictures.shape[2]
        side = size // PATCHES
        cells = pictures.reshape(-1, PATCHES, side, PATCHES, side).transpose(2, 3)
        local = self.patches(cells.reshape(-1, 1, side, side))
        joined = local.reshape(-1, PATCHES, PATCHES, local.shape[1], side, side).permute(0, 3, 1, 4, 2, 5)
        return cast(Tensor, self.output(self.whole(pictures) + joined.reshape(-1, local.shape[1], size, size)))


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution, normalised and activated."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels_out), nn.ReLU())


def normalised_sum(norms: nn.ModuleList, parts: Sequence[Tensor]) -> Tensor:
    """The sum of tensors of one shape, each normalised first."""
    total = norms[0](parts[0])
    for norm, part in zip(norms[1:], parts[1:], strict=True):
        total = total + norm(part)
    return cast(Tensor, total)


def enlarged(maps: Tensor, like: Tensor) -> Tensor:
    """Activated maps ``(N, C, h, w)`` at the size ``(N, C', H, W)`` of others."""
    return functional.relu(functional.interpolate(maps, size=like.shape[2:], mode="bilinear"))
