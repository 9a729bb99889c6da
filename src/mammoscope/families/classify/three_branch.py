"""A classifier that sees the region, its shape and its margin, each through a backbone of its own.

It may have fewer of these branches, and one more that sees the region through a vision transformer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.families.attributes import Attributes
from mammoscope.families.backbone import feature_width, make_backbone, seen_by
from mammoscope.families.dense import dense_layers
from mammoscope.families.family import Fitted, Phase, Source
from mammoscope.families.recipe import ClassifierRecipe, Count, PhaseSettings, Settings, Share
from mammoscope.families.roles import ClassifierFamily, smoothed_cross_entropy
from mammoscope.families.samples import ClassifierBatch, LesionViews
from mammoscope.families.transformer import PooledTransformer

BranchName = Literal["roi", "shape", "margin"]
BRANCHES: tuple[BranchName, ...] = ("roi", "shape", "margin")
_TARGETS = "auxiliary_targets"
_TRANSFORMER = "transformer"


class TransformerSettings(Settings):
    """Of the branch with a vision transformer, which sees the region."""

    patch_size: Count = 16
    embedding: Count = 192
    layers: Count = 4
    heads: Count = 3

    @model_validator(mode="after")
    def _heads_share_the_embedding(self) -> Self:
        if self.embedding % self.heads:
            raise ValueError(f"embedding is {self.embedding}, expected a multiple of heads, {self.heads}")
        return self


class ThreeBranchRecipe(ClassifierRecipe):
    """Settings of the branches, trained one by one, then joined, then tuned together; ``loop`` trains each branch."""

    backbone: str
    branches: Annotated[tuple[BranchName, ...], Field(min_length=1)] = Field(
        default=BRANCHES, description="What is seen through a backbone each: the region, its shape, its margin."
    )
    transformer: TransformerSettings | None = Field(
        default=None, description="One more branch, that sees the region through a vision transformer; None: no such."
    )
    layers: tuple[Count, Count, Count] = Field(
        default=(512, 256, 128), description="Widths of the dense layers that join the branches."
    )
    dropout: Share = 0.3
    auxiliary_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0,
        description="Weight of the loss of the auxiliary targets (shape, margins, BI-RADS, subtlety, density), which "
        "the branches learn beside malignancy; 0 leaves them out.",
    )
    joined: PhaseSettings
    tuned: PhaseSettings

    @model_validator(mode="after")
    def _branches_fit(self) -> Self:
        if len(set(self.branches)) < len(self.branches):
            raise ValueError(f"branches are {', '.join(self.branches)}, expected each once")
        if self.transformer and self.input_size % self.transformer.patch_size:
            size = self.transformer.patch_size
            raise ValueError(f"input_size is {self.input_size}, expected a multiple of transformer.patch_size, {size}")
        return self


class ThreeBranchFamily(ClassifierFamily[ThreeBranchRecipe]):
    """Backbones for the region, its shape and its margin, joined by dense layers."""

    name = "three_branch"
    Recipe = ThreeBranchRecipe
    source = Source(
        paper="the classifier of a system published in 2023, as far as it is described",
        licence="Apache-2.0 (timm)",
        differs="any timm backbone; auxiliary targets if auxiliary_weight is above 0; a branch with a vision "
        'transformer (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words") if transformer is set',
    )
    trial: ClassVar = {
        "backbone": "test_efficientnet",
        "input_size": 64,
        "layers": [32, 16, 8],
        "auxiliary_weight": 0.3,
        "joined": {"epochs": 1, "learning_rate": 1e-3},
        "tuned": {"epochs": 1, "learning_rate": 1e-4},
    }
    last_phase = "tuned"

    def fitted(self, recipe: ThreeBranchRecipe, samples: Sequence[LesionViews]) -> dict[str, Any]:
        """The auxiliary targets, if the recipe has any."""
        if not recipe.auxiliary_weight:
            return {}
        return {_TARGETS: Attributes.fit([views.lesion for views in samples]).names}

    def network(self, recipe: ThreeBranchRecipe, fitted: Fitted, init: str | None) -> ThreeBranchClassifier:
        """See ``ThreeBranchClassifier``."""
        branches = {name: make_branch(name, recipe, init) for name in branch_names(recipe)}
        return ThreeBranchClassifier(branches, recipe.layers, recipe.dropout)

    def phases(self, recipe: ThreeBranchRecipe, fitted: Fitted, init: str | None) -> Iterator[Phase]:
        """Each branch alone, then the layers that join them, then all together."""
        attributes = Attributes.of(fitted[_TARGETS]) if _TARGETS in fitted else None
        branches = {}
        for name in branch_names(recipe):
            branches[name] = branch = make_branch(name, recipe, init)
            yield Phase(name, DescribingBranch(branch, attributes) if attributes else branch, recipe.loop)
        model = self.network(recipe, fitted, None)
        for name, branch in branches.items():
            model.branches[name].load_state_dict(branch.state_dict())
        model.freeze_branches(True)
        yield Phase("joined", model, recipe.joined)
        model.freeze_branches(False)
        yield Phase("tuned", model, recipe.tuned)

    def loss(
        self, network: nn.Module, batch: ClassifierBatch, recipe: ThreeBranchRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """The usual one, and of a branch with auxiliary targets also the cross entropy of those that are known."""
        if not isinstance(network, DescribingBranch):
            return super().loss(network, batch, recipe, autocast)
        with autocast:
            logits, auxiliary = network.described(batch.rois, batch.masks)
        known = np.stack([network.attributes.targets(lesion) for lesion in batch.lesions])
        targets = torch.from_numpy(known).to(batch.rois.device)
        return {
            "loss": smoothed_cross_entropy(logits.float(), batch.malignant, recipe.label_smoothing),
            "auxiliary_loss": recipe.auxiliary_weight * masked_cross_entropy(auxiliary.float(), targets),
        }


def masked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of the targets that are known; both ``(N, K)``, targets from 0 to 1 or NaN: not known."""
    known = ~targets.isnan()
    losses = functional.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), known.float(), reduction="sum")
    return losses / known.sum().clamp(min=1)


def branch_view(branch: BranchName, rois: Tensor, masks: Tensor) -> Tensor:
    """What a branch sees of normalised ROIs ``(N, 1, H, W)``, given masks of the same shape with 0 and 1.

    ``"roi"`` sees all, ``"shape"`` only the mass, ``"margin"`` what is around it; the rest is set to the mean grey.
    """
    if branch == "roi":
        return rois
    return rois * masks if branch == "shape" else rois * (1.0 - masks)


class Branch(nn.Module):
    """One backbone with a logit of its own, as it is trained before the branches are joined.

    Parameters
    ----------
    name
        What it sees.
    backbone
        A timm name, or a network that gives ``num_features`` features.
    init
        Where a backbone of timm starts, see ``make_backbone``.
    """

    def __init__(self, name: BranchName, backbone: str | PooledTransformer, init: str | None) -> None:
        super().__init__()
        self.name = name
        self.backbone = make_backbone(backbone, init, num_classes=0) if isinstance(backbone, str) else backbone
        self.width = feature_width(self.backbone)
        self.output = nn.Linear(self.width, 1)

    def features(self, rois: Tensor, masks: Tensor) -> Tensor:
        """``(N, width)``."""
        return cast(Tensor, self.backbone(branch_view(self.name, rois, masks)))

    def forward(self, rois: Tensor, masks: Tensor) -> Tensor:
        """Logits ``(N,)``: above 0 for malignant."""
        return cast(Tensor, self.output(self.features(rois, masks))[:, 0])


class DescribingBranch(nn.Module):
    """A branch while it is trained with auxiliary targets, for which it has a layer that is dropped afterwards."""

    def __init__(self, branch: Branch, attributes: Attributes) -> None:
        super().__init__()
        self.branch, self.attributes = branch, attributes
        self.auxiliary = nn.Linear(branch.width, len(attributes.names))

    def forward(self, rois: Tensor, masks: Tensor) -> Tensor:
        """Logits ``(N,)`` as of the branch alone."""
        return cast(Tensor, self.branch(rois, masks))

    def described(self, rois: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(N,)`` as of the branch alone, and those of the auxiliary targets ``(N, targets)``."""
        features = self.branch.features(rois, masks)
        return self.branch.output(features)[:, 0], self.auxiliary(features)


class ThreeBranchClassifier(nn.Module):
    """The features of ``branches`` joined by dense layers of the widths ``layers``.

    Inputs ``rois (N, 1, H, W)`` normalised and ``masks (N, 1, H, W)`` of 0 and 1; output logits ``(N,)``.
    """

    def __init__(self, branches: Mapping[str, Branch], layers: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)
        width = sum(branch.width for branch in branches.values())
        self.joined = nn.Sequential(*dense_layers([width, *layers], dropout), nn.Linear(layers[-1], 1))
        self.branches_frozen = False

    def freeze_branches(self, frozen: bool) -> None:
        """Freeze the branches, their normalisation included, or let them train again."""
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


def branch_names(recipe: ThreeBranchRecipe) -> tuple[str, ...]:
    """The branches of a recipe, in the order in which they are trained."""
    return (*recipe.branches, *([_TRANSFORMER] if recipe.transformer else []))


def make_branch(name: str, recipe: ThreeBranchRecipe, init: str | None) -> Branch:
    """The branch of a name; ``init`` is for backbones of timm, a transformer starts from random weights.

    Raises
    ------
    RecipeError
        The backbone is not known, does not fit ``init``, or does not accept images of the recipe's size.
    """
    if name == _TRANSFORMER and recipe.transformer:
        return Branch("roi", PooledTransformer(recipe.input_size, **recipe.transformer.model_dump()), None)
    branch = Branch(cast(BranchName, name), recipe.backbone, init)
    seen_by(branch.backbone, recipe.backbone, torch.zeros(1, 1, recipe.input_size, recipe.input_size))
    return branch
