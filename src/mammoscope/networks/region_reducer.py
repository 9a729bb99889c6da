"""A small network that tells a mass from what only looks like one."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from mammoscope.networks.backbone import make_backbone


class RegionReducer(nn.Module):
    """A backbone with one logit: input ``(N, 1, S, S)`` normalised, output ``(N,)``, above 0 speaks for a mass."""

    def __init__(self, backbone: str, init: str | None, dropout: float) -> None:
        super().__init__()
        self.backbone = make_backbone(backbone, init, num_classes=1, drop_rate=dropout)

    def forward(self, regions: Tensor) -> Tensor:
        """See the class."""
        return cast(Tensor, self.backbone(regions)[:, 0])
