"""Train classifiers: malignant or not, from the ROI of a lesion and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.evaluation.metrics.roc import roc_auc
from mammoscope.families.recipe import ClassifierRecipe
from mammoscope.families.roles import ClassifierFamily
from mammoscope.families.samples import ClassifierBatch, LesionPicture, LesionViews
from mammoscope.training.lesion_rois import load_views, plain_picture, random_picture
from mammoscope.training.network_input import as_input
from mammoscope.training.roles.role import Role, RoleTask, check_both_classes

_VALIDATION_BATCH = 32

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8], Lesion]


class ClassifyRole(Role[ClassifierRecipe, LesionViews]):
    """Classify lesions as malignant or benign."""

    name = "classify"
    family: ClassifierFamily[ClassifierRecipe]

    def check(self, training: Dataset, validation: Dataset) -> None:
        """See ``check_both_classes``."""
        check_both_classes(training, validation)

    def load(self, part: Dataset, name: str) -> list[LesionViews]:
        """Every lesion whose pathology is known, by its crop and as cut from its full image."""
        views = load_views(part, self.recipe.preprocess, "reading lesions")
        return [view for view in views if view.lesion.malignant is not None]

    def task(
        self, network: nn.Module, training: Sequence[LesionViews], validation: Sequence[LesionViews]
    ) -> ClassifierTask:
        """See ``Role``."""
        return ClassifierTask(self.family, self.recipe, network, training, validation)


class ClassifierTask(RoleTask[ClassifierRecipe, Sample, ClassifierBatch]):
    """Lesions, by AUC."""

    criterion = "auc"

    def __init__(
        self,
        family: ClassifierFamily[ClassifierRecipe],
        recipe: ClassifierRecipe,
        network: nn.Module,
        training: Sequence[LesionViews],
        validation: Sequence[LesionViews],
    ) -> None:
        super().__init__(family, recipe, network)
        self.training = [views for views in training if views.crop or views.full]
        size = recipe.input_size
        self.validation = {
            name: [
                (*plain_picture(picture, size, recipe.contrast), views.lesion) for views, picture in pictures if picture
            ]
            for name, pictures in {
                "crops": [(views, views.crop) for views in validation],
                "boxes": [(views, views.full) for views in validation],
            }.items()
        }

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Pixels and mask, ``(S, S) uint8`` each, and the lesion."""
        recipe, views = self.recipe, self.training[index]
        by_crop = views.full is None or (views.crop is not None and rng.random() < recipe.crop_share)
        picture = cast(LesionPicture, views.crop if by_crop else views.full)
        pixels, mask = random_picture(rng, recipe.augmentation, picture, recipe.input_size, contrast=recipe.contrast)
        return pixels, mask, views.lesion

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """AUC on published crops and on ROIs cut from full images, and the mean of both."""
        metrics = {}
        for name, samples in self.validation.items():
            if not samples:
                continue
            logits = []
            for start in range(0, len(samples), _VALIDATION_BATCH):
                batch = self.batch(samples[start : start + _VALIDATION_BATCH], device)
                with autocast:
                    logits.append(model(batch.rois, batch.masks).float().cpu().numpy())
            labels = np.array([lesion.malignant is True for *_, lesion in samples])
            scores = np.concatenate(logits).astype(np.float64)
            metrics[f"auc_{name}"] = float(roc_auc(scores, labels, np.ones((1, len(labels))))[0])
        return {"auc": float(np.mean(list(metrics.values()))), **metrics}

    def batch(self, samples: Sequence[Sample], device: torch.device) -> ClassifierBatch:
        """Normalised, with masks of 0 and 1."""
        rois = as_input([pixels for pixels, *_ in samples], self.recipe, device)
        inside = torch.from_numpy(np.stack([mask > 127 for _, mask, _ in samples]))[:, None].to(device)
        masks = inside.float().contiguous(memory_format=torch.channels_last)
        lesions = tuple(lesion for *_, lesion in samples)
        malignant = torch.tensor([float(lesion.malignant is True) for lesion in lesions], device=device)
        return ClassifierBatch(rois, masks, lesions, malignant)
