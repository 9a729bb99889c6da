"""A joint family of another package: each cell says whether a mass is on it, its box, malignancy and outline."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms, roi_align, sigmoid_focal_loss

from mammoscope.families.family import Fitted, Source
from mammoscope.families.recipe import Count, JointRecipe
from mammoscope.families.roles import GradedFound, JointFamily
from mammoscope.families.samples import JointBatch

STRIDE = 16
MASK = 7  # cells of an outline along a side of its box
PARTS = (1, 4, 1, MASK * MASK)  # of what a cell says: a mass, its box, its malignancy, its outline


class OneLookRecipe(JointRecipe):
    """Settings of a joint network of cells."""

    width: Count = 32


class OneLook(nn.Module):
    """``(N, 1, S, S)`` to what each of ``(S / 16) ** 2`` cells says, ``(N, cells, sum(PARTS))``."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        stages = [nn.Conv2d(before, width, 3, 2, 1) for before in (1, width, width, width)]
        self.layers = nn.Sequential(*(layer for stage in stages for layer in (stage, nn.BatchNorm2d(width), nn.SiLU())))
        self.says = nn.Conv2d(width, sum(PARTS), 1)
        places = (torch.arange(size // STRIDE) + 0.5) * STRIDE
        self.register_buffer("centres", torch.cartesian_prod(places, places).flip(1))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.says(self.layers(images)).flatten(2).transpose(1, 2))

    def boxes(self, raw: Tensor) -> Tensor:
        """``(..., 4)`` boxes in pixels, of the logarithms of the distances from a cell's middle to their sides."""
        near, far = (raw.clamp(-4.0, 4.0).exp() * STRIDE).split(2, dim=-1)
        centres = cast(Tensor, self.centres)
        return torch.cat([centres - near, centres + far], dim=-1)


class Decoded(nn.Module):
    """What the bundle runs, for one image."""

    def __init__(self, network: OneLook) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes, scores, masks and malignancy."""
        score, box, malignancy, mask = self.network(image)[0].split(PARTS, dim=-1)
        masks = mask.sigmoid().reshape(-1, MASK, MASK)
        return self.network.boxes(box), score[:, 0].sigmoid(), masks, malignancy[:, 0]


class OneLookFamily(JointFamily[OneLookRecipe]):
    """Cells in the middle of a mass find it, outline it and grade it."""

    name = "one-look"
    Recipe = OneLookRecipe
    source = Source(
        paper='after Bolya et al. 2019, "YOLACT: Real-time Instance Segmentation"',
        licence="Apache-2.0",
        differs="one level; each cell draws its own mask",
    )
    trial: ClassVar = {"input_size": 128, "width": 8}

    def network(self, recipe: OneLookRecipe, fitted: Fitted, init: str | None) -> OneLook:
        """From random weights."""
        return OneLook(recipe.input_size, recipe.width)

    def loss(
        self, network: nn.Module, batch: JointBatch, recipe: OneLookRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """Focal loss of the cells; of those on a mass that of the box, and of outline and malignancy where known."""
        with autocast:
            raw = network(batch.images)
        score, box, malignancy, mask = raw.float().split(PARTS, dim=-1)
        names = ("score_loss", "box_loss", "malignancy_loss", "mask_loss")
        losses = dict.fromkeys(names, raw.float().sum() * 0)
        model = cast(OneLook, network)
        for at, boxes in enumerate(batch.boxes):
            centres = cast(Tensor, model.centres)[:, None]
            on_it = ((centres - (boxes[:, :2] + boxes[:, 2:]) / 2).abs() <= STRIDE / 2).all(dim=-1)  # (cells, lesions)
            cells, lesions = on_it.nonzero(as_tuple=True)
            target = on_it.any(dim=1).float()
            losses["score_loss"] = losses["score_loss"] + sigmoid_focal_loss(score[at, :, 0], target, reduction="sum")
            if not len(cells):
                continue
            found = model.boxes(box[at])[cells] / recipe.input_size
            losses["box_loss"] = losses["box_loss"] + functional.l1_loss(found, boxes[lesions] / recipe.input_size)
            graded = batch.malignant[at][lesions].isfinite()
            losses["malignancy_loss"] = losses["malignancy_loss"] + functional.binary_cross_entropy_with_logits(
                malignancy[at, cells, 0][graded], batch.malignant[at][lesions][graded], reduction="sum"
            )
            drawn = batch.outlined[at][lesions]
            truth = roi_align(batch.outlines[at : at + 1], [boxes[lesions][drawn]], MASK).flatten(1)
            losses["mask_loss"] = losses["mask_loss"] + functional.binary_cross_entropy_with_logits(
                mask[at, cells][drawn], truth, reduction="sum"
            ) / (MASK * MASK)
        return {name: loss / len(batch.boxes) for name, loss in losses.items()}

    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[GradedFound]:
        """The best of overlapping boxes; an image is as malignant as its most malignant cell, by how sure that is."""
        decoded, found = Decoded(cast(OneLook, network)), []
        for image in images:
            with autocast:
                boxes, scores, _, malignancy = (output.float() for output in decoded(image[None]))
            whole = (scores * malignancy.sigmoid()).max().logit(1e-6)
            kept = nms(boxes, scores, 0.3)
            of_each = (output[kept].double().cpu().numpy() for output in (boxes, scores, malignancy))
            found.append(GradedFound(*of_each, image=float(whole)))
        return found

    def decoded(self, network: nn.Module, recipe: OneLookRecipe, fitted: Fitted) -> nn.Module:
        """See ``Decoded``."""
        return Decoded(cast(OneLook, network))
