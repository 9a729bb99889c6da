"""A detector family of another package: no anchors, no pyramid; each cell says whether a mass is on it, and its box."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms, sigmoid_focal_loss

from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, DetectorRecipe
from mammoscope.families.roles import DetectorFamily, Found
from mammoscope.families.samples import DetectorBatch

STRIDE = 16


class SpotRecipe(DetectorRecipe):
    """Settings of a spot detector."""

    width: Count = 32
    core: float = 0.5  # share of a box's sides within which cells are to find it


class SpotNetwork(nn.Module):
    """``(N, 1, S, S)`` to ``(N, 5, S / 16, S / 16)``: a logit, and the logarithms of the distances to a box's sides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (1, width, width, width):
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 5, 1))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.layers(images))


class Decoded(nn.Module):
    """The same with boxes ``(A, 4)`` in pixels and scores ``(A,)``, for one image."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, float(size)
        self.register_buffer("centres", cell_centres(size // STRIDE))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        raw = self.network(image)[0].flatten(1).T
        sides = raw[:, 1:].clamp(max=4.0).exp() * STRIDE
        boxes = torch.cat([self.centres - sides[:, :2], self.centres + sides[:, 2:]], dim=1)
        return boxes.clamp(0.0, self.size), raw[:, 0].sigmoid()


class SpotFamily(DetectorFamily[SpotRecipe]):
    """Cells in the middle of a mass find it."""

    name = "spots"
    Recipe = SpotRecipe
    source = Source(
        paper='after Tian et al. 2019, "FCOS: Fully Convolutional One-Stage Object Detection"',
        licence="Apache-2.0",
        differs="one level, no centre-ness",
    )
    trial: ClassVar = {"input_size": 128, "width": 8}

    def network(self, recipe: SpotRecipe, fitted: Fitted, init: str | None) -> SpotNetwork:
        """From random weights."""
        return SpotNetwork(recipe.width)

    def loss(
        self, network: nn.Module, batch: DetectorBatch, recipe: SpotRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Focal loss of the cells, and that of the distances of cells on a mass."""
        with autocast:
            raw = network(batch.images)
        maps = raw.float().flatten(2).transpose(1, 2)
        centres = cell_centres(recipe.input_size // STRIDE).to(maps.device)
        score = torch.zeros((), device=maps.device)
        distance = torch.zeros((), device=maps.device)
        for cells, boxes in zip(maps, batch.boxes, strict=True):
            target, sides = torch.zeros(len(cells), device=maps.device), torch.zeros(len(cells), 4, device=maps.device)
            for box in boxes:
                middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
                on_it = ((centres - middle).abs() <= (half * recipe.core).clamp(min=STRIDE / 2)).all(dim=1)
                target[on_it] = 1.0
                sides[on_it] = torch.cat([centres - box[:2], box[2:] - centres], dim=1)[on_it].clamp(min=1.0) / STRIDE
            score = score + sigmoid_focal_loss(cells[:, 0], target, reduction="sum") / target.sum().clamp(min=1)
            if target.any():
                distance = distance + functional.smooth_l1_loss(cells[target > 0, 1:], sides[target > 0].log())
        return {"score_loss": score / len(maps), "box_loss": distance / len(maps)}

    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[Found]:
        """One by one."""
        decoded, found = Decoded(network, images.shape[-1]).to(images.device), []
        for image in images:
            with autocast:
                boxes, scores = (output.float() for output in decoded(image[None]))
            kept = nms(boxes, scores, 0.3)
            found.append(Found(boxes[kept].double().cpu().numpy(), scores[kept].double().cpu().numpy()))
        return found

    def decoded(self, network: nn.Module, recipe: SpotRecipe, fitted: Fitted) -> nn.Module:
        """See ``Decoded``."""
        return Decoded(network, recipe.input_size)


def cell_centres(cells: int) -> Tensor:
    """``(cells * cells, 2)`` of (x, y) in pixels, row by row."""
    middles = (torch.arange(cells) + 0.5) * STRIDE
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)
