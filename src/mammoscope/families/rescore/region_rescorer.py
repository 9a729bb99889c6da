"""A small network that distinguishes masses from tissue that only looks like one."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from mammoscope.families.backbone import make_backbone, seen_by
from mammoscope.families.family import Exported, Fitted, Source
from mammoscope.families.recipe import RescorerRecipe, Share
from mammoscope.families.roles import RescorerFamily


class RegionRescorerRecipe(RescorerRecipe):
    """Settings of a region rescorer."""

    backbone: str
    dropout: Share = 0.0


class RegionRescorerFamily(RescorerFamily[RegionRescorerRecipe]):
    """A backbone that sees a region and the tissue around it."""

    name = "region_rescorer"
    Recipe = RegionRescorerRecipe
    source = Source(
        paper="a plain image classifier, as in the second stage of Girshick et al. 2014, "
        '"Rich feature hierarchies for accurate object detection and semantic segmentation"',
        licence="Apache-2.0 (timm)",
        differs="regions are cut from the image, not from a shared map; its logit is joined with the detector's",
    )
    trial: ClassVar = {"backbone": "test_efficientnet", "input_size": 32, "regions_per_film": 4, "dropout": 0.2}

    def network(self, recipe: RegionRescorerRecipe, fitted: Fitted, init: str | None) -> RegionRescorer:
        """One backbone with one logit."""
        model = RegionRescorer(recipe.backbone, init, recipe.dropout)
        seen_by(model.backbone, recipe.backbone, torch.zeros(1, 1, recipe.input_size, recipe.input_size))
        return model

    def export(self, network: nn.Module, recipe: RegionRescorerRecipe, fitted: Fitted) -> Exported:
        """With four flips; a fifth smaller than by the exporter's rule, and equally close to its network."""
        usual = super().export(network, recipe, fitted)
        return Exported(FlippedMean(network.eval()), usual.inputs, usual.outputs, kept_elements=1024)


class RegionRescorer(nn.Module):
    """A backbone with one logit: input ``(N, 1, S, S)`` normalised, output ``(N,)``, above 0 for a mass."""

    def __init__(self, backbone: str, init: str | None, dropout: float) -> None:
        super().__init__()
        self.backbone = make_backbone(backbone, init, num_classes=1, drop_rate=dropout)

    def forward(self, regions: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.backbone(regions)[:, 0])


class FlippedMean(nn.Module):
    """The network as the bundle runs it: the mean of a rescorer's logits over the four flips of each region."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, regions: Tensor) -> Tensor:
        """Of the same shapes as the rescorer's."""
        rows, columns = 2, 3
        flips = [regions, *(regions.flip(axes) for axes in ([rows], [columns], [rows, columns]))]
        return cast(Tensor, self.model(torch.cat(flips)).unflatten(0, (len(flips), -1)).mean(dim=0))
