"""A one-stage detector without anchors, of the YOLO kind (Ge et al. 2021, "YOLOX"), on any timm backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation, box_iou, complete_box_iou_loss, nms

from mammoscope.errors import RecipeError
from mammoscope.families.backbone import level_channels, make_levels
from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, DetectorRecipe
from mammoscope.families.roles import DetectorFamily, Found
from mammoscope.families.samples import DetectorBatch

_STRIDES = (8, 16, 32)  # of the backbone's levels
_BOX_WEIGHT = 5.0
_IOU_COST = 3.0
_FAR_COST = 1e5  # of a cell that is not both in a box and near its middle
_PRIOR = 0.01  # score of an untrained network
_START = 4.0  # side of an untrained network's boxes, in strides
_LARGEST = math.log(1000.0)  # of a box's side in strides, so that none overflows
_FLOOR, _NMS_IOU, _MOST_FOUND = 0.01, 0.3, 100  # in validation


class YoloRecipe(DetectorRecipe):
    """Settings of a YOLO."""

    backbone: str
    pyramid_channels: Annotated[tuple[Count, ...], Field(min_length=3, max_length=5)] = Field(
        default=(96, 96, 96),
        description="Of each level, finest first: of strides 8, 16 and 32; a fourth and a fifth level, of strides 64 "
        "and 128, are made from the one before.",
    )
    pyramid_depth: Count = Field(default=1, description="Residual pairs in each block of the pyramid.")
    head_channels: Count = 96
    head_depth: Count = Field(default=2, description="Convolutions in each branch of the head.")
    centre_radius: Annotated[float, Field(gt=0)] = Field(
        default=2.5, description="Cells within so many strides of a box's middle may be given the box."
    )
    most_cells: Count = Field(default=10, description="Most cells that are given one box.")


class YoloFamily(DetectorFamily[YoloRecipe]):
    """Each cell of a pyramid gives one box and one score; which cells answer for a box is decided anew in each step."""

    name = "yolo"
    Recipe = YoloRecipe
    source = Source(
        paper='Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021"; detectors of the same kind find the masses of '
        "Baccouche et al. 2021 (Connected-UNets) and of Su et al. 2022 (YOLO-LOGO)",
        licence="Apache-2.0",
        differs="written from the papers alone, with torchvision's operations; any timm backbone, and a pyramid of "
        "cross-stage blocks over it; there is one class, so objectness times class is one score, whose target is the "
        "IoU of the cell's box with its lesion, 0 elsewhere; losses are divided by the cells with a lesion or the "
        "images, whichever are more, so that images without a lesion weigh no more; CIoU loss throughout, no L1; boxes "
        "start 4 strides wide; no mosaic, no mixed images; breasts are stretched to a square; the input is normalised",
    )
    trial: ClassVar = {
        "backbone": "test_efficientnet",
        "input_size": 128,
        "pyramid_channels": [16, 16, 16],
        "head_channels": 16,
        "head_depth": 1,
    }

    def network(self, recipe: YoloRecipe, fitted: Fitted, init: str | None) -> Yolo:
        """See ``Yolo``."""
        return Yolo(recipe, init)

    def loss(
        self, network: nn.Module, batch: DetectorBatch, recipe: YoloRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Cross entropy of the scores with the boxes' IoU, and CIoU of the boxes (Zheng et al. 2020), 5 times."""
        model = cast(Yolo, network)
        with autocast:
            raw = model(batch.images)
        raw = raw.float()
        logits, predicted = raw[..., 0], model.boxes(raw)
        target = torch.zeros_like(logits)
        box_loss, given = predicted.new_zeros(()), 0
        for image, lesions in enumerate(batch.boxes):
            pairs = assign(
                predicted[image], logits[image], model.centres, model.strides, lesions,
                radius=recipe.centre_radius, most=recipe.most_cells,
            )  # fmt: skip
            target[image, pairs.cells] = pairs.iou
            box_loss = box_loss + complete_box_iou_loss(
                predicted[image, pairs.cells], lesions[pairs.lesions], reduction="sum"
            )
            given += len(pairs.cells)
        shared = max(given, len(batch.boxes))
        score_loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        return {"score_loss": score_loss / shared, "box_loss": _BOX_WEIGHT * box_loss / shared}

    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[Found]:
        """The best of overlapping boxes."""
        model, size = cast(Yolo, network), float(images.shape[-1])
        with autocast:
            raw = model(images)
        raw, found = raw.float(), []
        for boxes, scores in zip(model.boxes(raw).clamp(0.0, size), raw[..., 0].sigmoid(), strict=True):
            sure = scores >= _FLOOR
            kept = nms(boxes[sure], scores[sure], _NMS_IOU)[:_MOST_FOUND]
            found.append(Found(boxes[sure][kept].double().cpu().numpy(), scores[sure][kept].double().cpu().numpy()))
        return found

    def decoded(self, network: nn.Module, recipe: YoloRecipe, fitted: Fitted) -> nn.Module:
        """See ``YoloExport``."""
        return YoloExport(cast(Yolo, network), recipe.input_size)


class Assigned(NamedTuple):
    """P pairs of a cell and the lesion it answers for: their places, and the IoU of the cell's box with the lesion."""

    cells: Tensor
    lesions: Tensor
    iou: Tensor


@torch.no_grad()
def assign(
    predicted: Tensor, logits: Tensor, centres: Tensor, strides: Tensor, lesions: Tensor, *, radius: float, most: int
) -> Assigned:
    """Choose the cells that answer for each lesion of an image: SimOTA (Ge et al. 2021).

    A cell may answer for a lesion if its centre is in the lesion's box or near its middle; that it costs little if its
    score is high and its box fits, and much if it is not both. A lesion gets the cells that cost least: as many as the
    IoUs of the ``most`` best boxes make together, rounded down, and one at least. A cell that several lesions would
    get answers for the one that costs it least.

    Parameters
    ----------
    predicted, logits
        Of A cells: boxes ``(A, 4)`` in pixels and scores ``(A,)``, 32-bit.
    centres, strides
        ``(A, 2)`` and ``(A,)`` in pixels.
    lesions
        ``(M, 4)``; M may be 0.
    radius
        How near, in strides, along both axes.
    """
    if not len(lesions):
        none = torch.zeros(0, dtype=torch.int64, device=lesions.device)
        return Assigned(none, none, predicted.new_zeros(0))
    offsets = centres[:, None]
    in_box = ((offsets > lesions[:, :2]) & (offsets < lesions[:, 2:])).all(dim=-1)  # (A, M), as all that follow
    middles = (lesions[:, :2] + lesions[:, 2:]) / 2
    near = ((offsets - middles).abs() < radius * strides[:, None, None]).all(dim=-1)
    cells = (in_box | near).any(dim=1).nonzero()[:, 0]
    iou = box_iou(predicted[cells], lesions)
    far = ~(in_box & near)[cells]
    cost = functional.softplus(-logits[cells])[:, None] - _IOU_COST * (iou + 1e-8).log() + _FAR_COST * far
    counts = iou.topk(min(most, len(cells)), dim=0).values.sum(dim=0).int().clamp(min=1)
    chosen = torch.zeros_like(far)
    for lesion, count in enumerate(counts.tolist()):
        chosen[cost[:, lesion].topk(min(count, len(cells)), largest=False).indices, lesion] = True
    disputed = chosen.sum(dim=1) > 1
    chosen[disputed] = functional.one_hot(cost[disputed].argmin(dim=1), len(lesions)).bool()
    row, lesion_of = chosen.nonzero(as_tuple=True)
    return Assigned(cells[row], lesion_of, iou[row, lesion_of])


class Yolo(nn.Module):
    """Images ``(N, 1, S, S)`` to ``(N, A, 5)``: a logit, and a box in strides, of each cell of all levels.

    Raises
    ------
    RecipeError
        The backbone does not fit, or the input is no multiple of the coarsest stride.
    """

    centres: Tensor
    strides: Tensor

    def __init__(self, recipe: YoloRecipe, init: str | None) -> None:
        super().__init__()
        size, widths = recipe.input_size, recipe.pyramid_channels
        strides = [_STRIDES[0] * 2**level for level in range(len(widths))]
        if size % strides[-1]:
            raise RecipeError(
                f"input_size is {size}, expected a multiple of {strides[-1]}, the coarsest of {len(widths)} strides"
            )
        self.body = make_levels(recipe.backbone, init, size, _STRIDES)
        self.pyramid = PathPyramid(level_channels(self.body), widths, recipe.pyramid_depth)
        self.heads = nn.ModuleList(Head(width, recipe.head_channels, recipe.head_depth) for width in widths)
        cells = [torch.arange(size // stride) for stride in strides]
        grids = [torch.cartesian_prod(of_one, of_one).flip(1) for of_one in cells]  # row by row, (x, y)
        centres = [(grid + 0.5) * stride for grid, stride in zip(grids, strides, strict=True)]
        spans = [torch.full((len(grid),), float(stride)) for grid, stride in zip(grids, strides, strict=True)]
        self.register_buffer("centres", torch.cat(centres), persistent=False)
        self.register_buffer("strides", torch.cat(spans), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        levels = self.pyramid(self.body(images))
        raw = [head(level).flatten(2) for head, level in zip(self.heads, levels, strict=True)]
        return torch.cat(raw, dim=2).transpose(1, 2)

    def boxes(self, raw: Tensor) -> Tensor:
        """Boxes ``(..., A, 4)`` in pixels, of what ``forward`` gives: a shift from the cell, and a size's logarithm."""
        strides = self.strides[:, None]
        middles = self.centres + raw[..., 1:3] * strides
        halves = raw[..., 3:5].clamp(max=_LARGEST).exp() * strides / 2
        return torch.cat([middles - halves, middles + halves], dim=-1)


class YoloExport(nn.Module):
    """As ``RetinaNetExport``: ``(1, 1, S, S)`` to ``boxes (A, 4)`` in input pixels and ``scores (A,)``."""

    def __init__(self, network: Yolo, size: int) -> None:
        super().__init__()
        self.network, self.size = network, float(size)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        raw = self.network(image)[0]
        return self.network.boxes(raw).clamp(0.0, self.size), raw[:, 0].sigmoid()


class PathPyramid(nn.Module):
    """Joins levels from coarse to fine (Lin et al. 2017), then from fine to coarse (Liu et al. 2018, "PANet")."""

    def __init__(self, channels: Sequence[int], widths: Sequence[int], depth: int) -> None:
        super().__init__()
        pairs = list(pairwise(widths))  # of a level and the next coarser one
        self.lateral = nn.ModuleList(_conv(before, width, 1) for before, width in zip(channels, widths, strict=False))
        self.coarser = nn.ModuleList(_conv(fine, coarse, 3, 2) for fine, coarse in pairs[len(channels) - 1 :])
        self.narrow = nn.ModuleList(_conv(coarse, fine, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(CrossStage(2 * fine, fine, depth) for fine, _ in pairs)
        self.halve = nn.ModuleList(_conv(fine, coarse, 3, 2) for fine, coarse in pairs)
        self.down = nn.ModuleList(CrossStage(2 * coarse, coarse, depth) for _, coarse in pairs)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of a backbone, finest first, to one of each width."""
        levels = [lateral(level) for lateral, level in zip(self.lateral, maps, strict=True)]
        for coarser in self.coarser:
            levels.append(coarser(levels[-1]))
        for level in range(len(levels) - 2, -1, -1):
            above = functional.interpolate(self.narrow[level](levels[level + 1]), scale_factor=2.0, mode="nearest")
            levels[level] = self.up[level](torch.cat([above, levels[level]], dim=1))
        for level, (halve, down) in enumerate(zip(self.halve, self.down, strict=True)):
            levels[level + 1] = down(torch.cat([halve(levels[level]), levels[level + 1]], dim=1))
        return levels


class CrossStage(nn.Module):
    """Residual pairs on one half of the channels, joined with the other half (Wang et al. 2020, "CSPNet")."""

    def __init__(self, before: int, width: int, depth: int) -> None:
        super().__init__()
        half = max(1, width // 2)
        self.kept, self.first = _conv(before, half, 1), _conv(before, half, 1)
        self.pairs = nn.ModuleList(nn.Sequential(_conv(half, half, 1), _conv(half, half, 3)) for _ in range(depth))
        self.join = _conv(2 * half, width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, before, H, W)`` to ``(N, width, H, W)``."""
        changed = self.first(maps)
        for pair in self.pairs:
            changed = changed + pair(changed)
        return cast(Tensor, self.join(torch.cat([self.kept(maps), changed], dim=1)))


class Head(nn.Module):
    """Scores and boxes by a branch each: ``(N, C, H, W)`` to ``(N, 5, H, W)``."""

    def __init__(self, before: int, width: int, depth: int) -> None:
        super().__init__()
        self.stem = _conv(before, width, 1)
        self.score, self.box = (
            nn.Sequential(*(_conv(width, width, 3) for _ in range(depth)), nn.Conv2d(width, outputs, 1))
            for outputs in (1, 4)
        )
        with torch.no_grad():
            cast(Tensor, self.score[-1].bias).fill_(-math.log(1 / _PRIOR - 1))
            cast(Tensor, self.box[-1].bias).copy_(torch.tensor([0.0, 0.0, math.log(_START), math.log(_START)]))

    def forward(self, level: Tensor) -> Tensor:
        """See the class."""
        stem = self.stem(level)
        return torch.cat([self.score(stem), self.box(stem)], dim=1)


def _conv(before: int, width: int, kernel: int, stride: int = 1) -> nn.Module:
    return cast(nn.Module, Conv2dNormActivation(before, width, kernel, stride, activation_layer=nn.SiLU))
