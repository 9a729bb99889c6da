"""A classifier that sees the region, its shape and its margin, each through a backbone of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from mammoscope.families.backbone import make_backbone

BranchName = Literal["roi", "shape", "margin"]
BRANCHES: tuple[BranchName, ...] = ("roi", "shape", "margin")


def branch_view(branch: BranchName, rois: Tensor, masks: Tensor) -> Tensor:
    """What a branch sees of normalised ROIs ``(N, 1, H, W)``, given masks of the same shape with 0 and 1.

    ``"roi"`` sees all, ``"shape"`` the mass alone, ``"margin"`` what lies around it; the rest is set to the mean grey.
    """
    if branch == "roi":
        return rois
    return rois * masks if branch == "shape" else rois * (1.0 - masks)


class Branch(nn.Module):
    """One backbone with a logit of its own, as it is trained before the branches are joined."""

    def __init__(self, name: BranchName, backbone: str, init: str | None) -> None:
        super().__init__()
        self.name = name
        self.backbone = make_backbone(backbone, init, num_classes=0)
        self.width = cast(int, self.backbone.num_features)
        self.output = nn.Linear(self.width, 1)

    def features(self, rois: Tensor, masks: Tensor) -> Tensor:
        """``(N, width)``."""
        return cast(Tensor, self.backbone(branch_view(self.name, rois, masks)))

    def forward(self, rois: Tensor, masks: Tensor) -> Tensor:
        """Logits ``(N,)``: above 0 speaks for malignant."""
        return cast(Tensor, self.output(self.features(rois, masks))[:, 0])


class DescribingBranch(nn.Module):
    """A branch while it is trained with auxiliary targets, for which it has a layer that is left behind afterwards."""

    def __init__(self, branch: Branch, targets: int) -> None:
        super().__init__()
        self.branch = branch
        self.auxiliary = nn.Linear(branch.width, targets)

    def forward(self, rois: Tensor, masks: Tensor) -> Tensor:
        """Logits ``(N,)`` as of the branch alone."""
        return cast(Tensor, self.branch(rois, masks))

    def described(self, rois: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(N,)`` as of the branch alone, and those of the auxiliary targets ``(N, targets)``."""
        features = self.branch.features(rois, masks)
        return self.branch.output(features)[:, 0], self.auxiliary(features)


class ThreeBranchClassifier(nn.Module):
    """The branches' features joined by dense layers.

    Inputs ``rois (N, 1, H, W)`` normalised and ``masks (N, 1, H, W)`` of 0 and 1; output logits ``(N,)``.
    """

    def __init__(self, backbone: str, init: str | None, layers: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({name: Branch(name, backbone, init) for name in BRANCHES})
        width = sum(cast(Branch, branch).width for branch in self.branches.values())
        joined: list[nn.Module] = []
        for wider, narrower in zip([width, *layers], layers, strict=False):
            joined += [nn.Linear(wider, narrower), nn.ReLU(), nn.Dropout(dropout)]
        self.joined = nn.Sequential(*joined, nn.Linear(layers[-1], 1))
        self.branches_frozen = False

    def freeze_branches(self, frozen: bool) -> None:
        """Keep the branches as they are, their normalisation included, or let them learn again."""
        self.branches_frozen = frozen
        self.branches.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> ThreeBranchClassifier:
        """Switch between training and use; frozen branches stay in use."""
        super().train(mode)
        if self.branches_frozen:
            self.branches.eval()
        return self

    def forward(self, rois: Tensor, masks: Tensor) -> Tensor:
        """See the class."""
        features = [cast(Branch, branch).features(rois, masks) for branch in self.branches.values()]
        return cast(Tensor, self.joined(torch.cat(features, dim=1))[:, 0])
