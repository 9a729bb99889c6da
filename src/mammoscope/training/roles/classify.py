"""Train the classifier: each branch alone, then the layers that join them, then all together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.evaluation.metrics.classification import roc_auc
from mammoscope.families.classify.three_branch import (
    BRANCHES,
    Branch,
    BranchName,
    DescribingBranch,
    ThreeBranchClassifier,
)
from mammoscope.families.recipe import ClassifierRecipe, PhaseSettings
from mammoscope.training.checkpoint import load_weights
from mammoscope.training.lesion_rois import LesionPicture, LesionViews, plain_picture, random_picture
from mammoscope.training.loop import BEST, fit
from mammoscope.training.pictures import as_input

_VALIDATION_BATCH = 32

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8], bool, NDArray[np.float32]]


class ClassifierTask:
    """One phase of the training: a branch, or the whole classifier."""

    criterion = "auc"

    def __init__(
        self, recipe: ClassifierRecipe, model: nn.Module, training: list[LesionViews], validation: list[LesionViews]
    ) -> None:
        self.recipe, self.model = recipe, model
        self.training = [views for views in training if views.crop or views.full]
        size = recipe.input_size
        self.validation = {
            name: [
                (*plain_picture(picture, size), views.malignant, views.targets)
                for views, picture in pictures
                if picture
            ]
            for name, pictures in {
                "crops": [(views, views.crop) for views in validation],
                "boxes": [(views, views.full) for views in validation],
            }.items()
        }

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Pixels and mask, ``(S, S) uint8`` each, whether it is malignant, and its auxiliary targets."""
        views = self.training[index]
        by_crop = views.full is None or (views.crop is not None and rng.random() < self.recipe.crop_share)
        picture = cast(LesionPicture, views.crop if by_crop else views.full)
        pixels, mask = random_picture(rng, self.recipe.augmentation, picture, self.recipe.input_size)
        return pixels, mask, views.malignant, views.targets

    def loss(self, samples: Sequence[Sample], device: torch.device, autocast: torch.autocast) -> dict[str, Tensor]:
        """Cross entropy with smoothed labels (Szegedy et al. 2016), and that of what is known of auxiliary targets."""
        rois, masks = self._inputs(samples, device)
        labels = torch.tensor([float(malignant) for _, _, malignant, _ in samples], device=device)
        smoothing = self.recipe.label_smoothing
        auxiliary = None
        with autocast:
            if isinstance(self.model, DescribingBranch):
                logits, auxiliary = self.model.described(rois, masks)
            else:
                logits = self.model(rois, masks)
        target = labels * (1 - smoothing) + smoothing / 2
        losses = {"loss": functional.binary_cross_entropy_with_logits(logits.float(), target)}
        if auxiliary is not None:
            targets = torch.from_numpy(np.stack([targets for *_, targets in samples])).to(device)
            losses["auxiliary_loss"] = self.recipe.auxiliary_weight * masked_cross_entropy(auxiliary.float(), targets)
        return losses

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """AUC on published crops and on ROIs cut from full images, and the mean of both."""
        metrics = {}
        for name, samples in self.validation.items():
            if not samples:
                continue
            logits = []
            for start in range(0, len(samples), _VALIDATION_BATCH):
                rois, masks = self._inputs(samples[start : start + _VALIDATION_BATCH], device)
                with autocast:
                    logits.append(model(rois, masks).float().cpu().numpy())
            labels = np.array([malignant for _, _, malignant, _ in samples])
            scores = np.concatenate(logits).astype(np.float64)
            metrics[f"auc_{name}"] = float(roc_auc(scores, labels, np.ones((1, len(labels))))[0])
        return {"auc": float(np.mean(list(metrics.values()))), **metrics}

    def _inputs(self, samples: Sequence[Sample], device: torch.device) -> tuple[Tensor, Tensor]:
        rois = as_input([pixels for pixels, *_ in samples], self.recipe, device)
        masks = torch.from_numpy(np.stack([mask > 127 for _, mask, *_ in samples]))[:, None].to(device)
        return rois, masks.float().contiguous(memory_format=torch.channels_last)


def masked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of the targets that are known; both ``(N, K)``, targets from 0 to 1 or NaN: not known."""
    known = ~targets.isnan()
    losses = functional.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), known.float(), reduction="sum")
    return losses / known.sum().clamp(min=1)


def train_classifier(
    recipe: ClassifierRecipe, init: str | None, training: list[LesionViews], validation: list[LesionViews], out: Path
) -> dict[str, Any]:
    """Run the five phases, each in a folder of its own; finished ones are not run again.

    Returns
    -------
    dict
        The header of the last phase's ``best.safetensors``.
    """
    branch_phase = PhaseSettings(**{name: getattr(recipe.loop, name) for name in PhaseSettings.model_fields})

    def run(name: str, model: nn.Module, phase: PhaseSettings) -> dict[str, Any]:
        loop = recipe.loop.model_copy(update=phase.model_dump())
        return fit(ClassifierTask(recipe, model, training, validation), loop, out / name, f"classifier {name}")

    targets = training[0].targets.size

    def as_trained(branch: Branch) -> nn.Module:
        return DescribingBranch(branch, targets) if targets else branch

    for branch in BRANCHES:
        run(branch, as_trained(make_branch(recipe, branch, init)), branch_phase)
    model = make_classifier(recipe)
    for branch in BRANCHES:
        load_weights(as_trained(cast(Branch, model.branches[branch])), out / branch / BEST)
    model.freeze_branches(True)
    run("joined", model, recipe.joined)
    load_weights(model, out / "joined" / BEST)
    model.freeze_branches(False)
    return run("tuned", model, recipe.tuned)


def make_branch(recipe: ClassifierRecipe, branch: BranchName, init: str | None) -> Branch:
    """One branch."""
    return Branch(branch, recipe.backbone, init)


def make_classifier(recipe: ClassifierRecipe) -> ThreeBranchClassifier:
    """The network that a recipe describes, with random weights."""
    return ThreeBranchClassifier(recipe.backbone, None, recipe.layers, recipe.dropout)
