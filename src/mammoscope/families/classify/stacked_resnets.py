"""Residual networks of three depths that see the mass alone, their features stacked, for three answers at once.

Baccouche et al. 2022, "An integrated framework for breast mass classification and diagnosis using stacked ensemble of
residual neural networks": pathology, BI-RADS category and shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.datasets.attributes import known_word
from mammoscope.datasets.layout import Lesion
from mammoscope.families.backbone import feature_width, make_backbone, seen_by
from mammoscope.families.dense import dense_layers
from mammoscope.families.family import Exported, Fitted, Source
from mammoscope.families.recipe import ClassifierRecipe, Count, Share
from mammoscope.families.roles import ClassifierFamily, smoothed_cross_entropy
from mammoscope.families.samples import ClassifierBatch

# What is said besides pathology, and of which words one.
WORDS = {"birads": ("2", "3", "4", "5", "6"), "shape": ("ROUND", "OVAL", "LOBULATED", "IRREGULAR")}
_NOT_KNOWN = -1


class StackedResNetsRecipe(ClassifierRecipe):
    """Settings of three backbones that are trained together with the dense layers above them."""

    backbones: tuple[str, str, str] = Field(description="timm's names.")
    layers: Annotated[tuple[Count, ...], Field(min_length=1)] = Field(
        default=(512, 256), description="Widths of the dense layers that all answers share."
    )
    dropout: Share = 0.5
    attribute_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=1.0, description="Weight of the losses of BI-RADS category and shape beside that of pathology."
    )


class StackedResNetsFamily(ClassifierFamily[StackedResNetsRecipe]):
    """Three backbones on the masked region, stacked: malignancy, BI-RADS category and shape."""

    name = "stacked_resnets"
    Recipe = StackedResNetsRecipe
    source = Source(
        paper='Baccouche et al. 2022, "An integrated framework for breast mass classification and diagnosis using '
        'stacked ensemble of residual neural networks"',
        licence="Apache-2.0 (timm)",
        differs="the paper states neither dense widths, dropout, schedule nor how the three answers are trained: here "
        "all at once, by one sum of losses, the backbones included; pathology is one logit in place of two classes; "
        "what is not known (BI-RADS 0, another shape or two of them) is left out of its loss; patients are split "
        "before augmentation, the paper's 95.1% accuracy is of a split after it",
    )
    trial: ClassVar = {
        "backbones": ["test_resnet"] * 3,
        "input_size": 64,
        "layers": [32],
        "dropout": 0.1,
    }

    def network(self, recipe: StackedResNetsRecipe, fitted: Fitted, init: str | None) -> StackedResNets:
        """See ``StackedResNets``."""
        return StackedResNets(recipe, init)

    def loss(
        self, network: nn.Module, batch: ClassifierBatch, recipe: StackedResNetsRecipe, autocast: torch.autocast
    ) -> dict[str, Tensor]:
        """The usual one, and the cross entropy of BI-RADS category and shape, where they are known."""
        with autocast:
            logits, *attributes = cast(StackedResNets, network).answers(batch.rois, batch.masks)
        losses = {"loss": smoothed_cross_entropy(logits.float(), batch.malignant, recipe.label_smoothing)}
        for name, said in zip(WORDS, attributes, strict=True):
            true = torch.from_numpy(known_words(batch.lesions, name)).to(said.device)
            losses[f"{name}_loss"] = recipe.attribute_weight * known_cross_entropy(said.float(), true)
        return losses

    def export(self, network: nn.Module, recipe: StackedResNetsRecipe, fitted: Fitted) -> Exported:
        """All answers: the logit, and the logits of each attribute's words."""
        plain = super().export(network, recipe, fitted)
        said = {name: list(words) for name, words in WORDS.items()}
        whole = AllAnswers(cast(StackedResNets, network)).eval()
        return Exported(whole, plain.inputs, (*plain.outputs, *WORDS), settings={"attributes": said})


def known_words(lesions: Sequence[Lesion], name: str) -> np.ndarray:
    """``(N,) int64``: the place of each lesion's word of an attribute, -1 where it is not known."""
    places = (known_word(lesion, name, WORDS[name]) for lesion in lesions)
    return np.array([_NOT_KNOWN if place is None else place for place in places], dtype=np.int64)


def known_cross_entropy(logits: Tensor, words: Tensor) -> Tensor:
    """Mean cross entropy of ``(N, K)`` logits with the words ``(N,)`` that are known; 0 if none is."""
    total = functional.cross_entropy(logits, words, ignore_index=_NOT_KNOWN, reduction="sum")
    return total / (words != _NOT_KNOWN).sum().clamp(min=1)


class StackedResNets(nn.Module):
    """Backbones on the region with black around the mass, their features stacked, dense layers, and an output each.

    Inputs ``rois (N, 1, H, W)`` normalised and ``masks (N, 1, H, W)`` of 0 and 1; output logits ``(N,)``, above 0 for
    malignant.
    """

    def __init__(self, recipe: StackedResNetsRecipe, init: str | None) -> None:
        super().__init__()
        self.black = -recipe.mean / recipe.std
        self.backbones = nn.ModuleList(make_backbone(name, init, num_classes=0) for name in recipe.backbones)
        example = torch.zeros(1, 1, recipe.input_size, recipe.input_size)
        for name, backbone in zip(recipe.backbones, self.backbones, strict=True):
            seen_by(backbone, name, example)
        stacked = sum(map(feature_width, self.backbones))
        self.dense = nn.Sequential(*dense_layers([stacked, *recipe.layers], recipe.dropout))
        self.pathology = nn.Linear(recipe.layers[-1], 1)
        self.attributes = nn.ModuleDict(
            {name: nn.Linear(recipe.layers[-1], len(words)) for name, words in WORDS.items()}
        )

    def forward(self, rois: Tensor, masks: Tensor) -> Tensor:
        """See the class."""
        return self.answers(rois, masks)[0]

    def answers(self, rois: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """The logits of malignancy ``(N,)``, and those of each attribute's words ``(N, K)``."""
        masked = rois * masks + self.black * (1 - masks)
        features = self.dense(torch.cat([backbone(masked) for backbone in self.backbones], dim=1))
        return self.pathology(features)[:, 0], *(output(features) for output in self.attributes.values())


class AllAnswers(nn.Module):
    """What the bundle runs: see ``StackedResNets.answers``."""

    def __init__(self, network: StackedResNets) -> None:
        super().__init__()
        self.network = network

    def forward(self, rois: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return self.network.answers(rois, masks)
