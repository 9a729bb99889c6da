"""A small network that tells a mass from what only looks like one."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from mammoscope.families.backbone import make_backbone


class RegionReducer(nn.Module):
    """A backbone with one logit: input ``(N, 1, S, S)`` normalised, output ``(N,)``, above 0 speaks for a mass."""

    def __init__(self, backbone: str, init: str | None, dropout: float) -> None:
        super().__init__()
        self.backbone = make_backbone(backbone, init, num_classes=1, drop_rate=dropout)

    def forward(self, regions: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.backbone(regions)[:, 0])


class FlippedMean(nn.Module):
    """What the bundle runs: the mean of a reducer's logits over the four flips of each region."""

    def __init__(self, model: RegionReducer) -> None:
        super().__init__()
        self.model = model

    def forward(self, regions: Tensor) -> Tensor:
        """Of the same shapes as the reducer's."""
        rows, columns = 2, 3
        flips = [regions, *(regions.flip(axes) for axes in ([rows], [columns], [rows, columns]))]
        return cast(Tensor, self.model(torch.cat(flips)).unflatten(0, (len(flips), -1)).mean(dim=0))
