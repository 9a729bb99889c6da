"""Train joint networks: whole breasts, with the boxes, outlines and pathology of their lesions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.placed_masks import mask_on_input, placed
from mammoscope.evaluation.metrics.roc import roc_auc
from mammoscope.families.recipe import JointRecipe
from mammoscope.families.roles import GradedFound, JointFamily
from mammoscope.families.samples import GradedImage, JointBatch
from mammoscope.geometry import box_iou
from mammoscope.training.network_input import as_input
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.roles.detect import (
    check_lesions,
    detected,
    detection_metrics,
    found_on,
    place_breast,
    random_breast,
)
from mammoscope.training.roles.role import Role, RoleTask, check_both_classes


class JointRole(Role[JointRecipe, GradedImage]):
    """Find, outline and classify at once."""

    name = "joint"
    family: JointFamily[JointRecipe]

    def check(self, training: Dataset, validation: Dataset) -> None:
        """See ``check_both_classes``."""
        check_both_classes(training, validation)

    def load(self, part: Dataset, name: str) -> list[GradedImage]:
        """See ``load_graded``."""
        images = load_graded(part, self.recipe, f"reading {name} images")
        check_lesions(images, part, name)
        return images

    def task(self, network: nn.Module, training: Sequence[GradedImage], validation: Sequence[GradedImage]) -> JointTask:
        """See ``Role``."""
        return JointTask(self.family, self.recipe, network, training, validation)


def load_graded(dataset: Dataset, recipe: JointRecipe, label: str) -> list[GradedImage]:
    """The ``judged_images`` as the network sees them, with what is known of their lesions.

    Those without a breast are left out. A lesion is outlined where its mask can be laid on the image.
    """
    size = recipe.input_size

    def load(image: str) -> GradedImage | None:
        breast = place_breast(dataset, image, recipe)
        if breast is None:
            return None
        seen, to_input = breast
        lesions = dataset.images[image]
        outlines = np.zeros((size, size), dtype=np.uint8)
        for lesion in filter(placed, lesions):
            outlines = np.maximum(outlines, mask_on_input(dataset, lesion, to_input, size))
        malignant = np.array([np.nan if row.malignant is None else row.malignant for row in lesions], dtype=np.float32)
        outlined = np.array([placed(row) for row in lesions], dtype=bool)
        return GradedImage(
            seen.pixels, seen.boxes, seen.pixel_aspect, malignant, outlined, outlines, image_label(malignant)
        )

    images = map_in_threads(load, dataset.judged_images, label)
    return [image for image in images if image is not None]


def image_label(malignant: NDArray[np.float32]) -> float:
    """The label of an image by those of its lesions ``(N,)``, see ``GradedImage``."""
    if (malignant == 1).any():
        return 1.0
    return float("nan") if np.isnan(malignant).any() else 0.0


class JointTask(RoleTask[JointRecipe, GradedImage, JointBatch]):
    """Breasts, by AP50 and AUC."""

    family: JointFamily[JointRecipe]
    criterion = "mean"  # of what finding is measured by, and grading

    def __init__(
        self,
        family: JointFamily[JointRecipe],
        recipe: JointRecipe,
        network: nn.Module,
        training: Sequence[GradedImage],
        validation: Sequence[GradedImage],
    ) -> None:
        super().__init__(family, recipe, network)
        self.training, self.validation = training, validation

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> GradedImage:
        """An image changed at random, with the lesions that stay on it; its label stays as it was."""
        image, size = self.training[index], self.recipe.input_size
        warp, pixels = random_breast(rng, image, self.recipe)
        boxes, kept = warp.boxes_with_rows(image.boxes, size, size)
        outlines = warp.picture(image.outlines, size, size)
        malignant, outlined = image.malignant[kept], image.outlined[kept]
        return GradedImage(pixels, boxes, image.pixel_aspect, malignant, outlined, outlines, image.label)

    def batch(self, samples: Sequence[GradedImage], device: torch.device) -> JointBatch:
        """Normalised, with what is known of the lesions."""
        outlines = torch.from_numpy(np.stack([sample.outlines for sample in samples]))[:, None].to(device)
        return JointBatch(
            images=as_input([sample.pixels for sample in samples], self.recipe, device),
            boxes=[torch.as_tensor(sample.boxes, dtype=torch.float32, device=device) for sample in samples],
            malignant=[torch.as_tensor(sample.malignant, device=device) for sample in samples],
            outlined=[torch.as_tensor(sample.outlined, device=device) for sample in samples],
            outlines=outlines.float() / 255.0,
            labels=torch.tensor([sample.label for sample in samples], device=device),
        )

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """AP and AP50 of the boxes; AUC of lesions and of images, where both classes are there; and a mean.

        A lesion has the malignancy of the box that overlaps it most, 0 where none does. The mean is of AP50 and AUC.
        """
        found = found_on(self.validation, self.recipe, device, partial(self.family.detect, model, autocast=autocast))
        metrics = detection_metrics(detected(found))
        lesions = np.concatenate([_malignancy(image, each) for image, each in found])
        images = np.array([each.image for _, each in found])
        areas = {
            "auc_lesions": _auc(lesions, np.concatenate([image.malignant for image, _ in found])),
            "auc_images": _auc(images, np.array([image.label for image, _ in found])),
        }
        known = {name: area for name, area in areas.items() if np.isfinite(area)}
        return {**metrics, **known, "mean": float(np.mean([metrics["ap50"], *known.values()]))}


def _malignancy(image: GradedImage, found: GradedFound) -> NDArray[np.float64]:
    """The logit of each lesion's best box, ``(N,)``."""
    if not len(found.boxes):
        return np.zeros(len(image.boxes))
    iou = box_iou(image.boxes, found.boxes)
    return np.where(iou.max(axis=1) > 0, found.malignancy[iou.argmax(axis=1)], 0.0)


def _auc(scores: NDArray[np.float64], labels: NDArray[np.floating]) -> float:
    """Of the cases whose label is known; NaN where those are of one class."""
    known = ~np.isnan(labels)
    return float(roc_auc(scores[known], labels[known] == 1, np.ones((1, int(known.sum()))))[0])
