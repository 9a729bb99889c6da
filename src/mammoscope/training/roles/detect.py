"""Train the detector: a RetinaNet on whole breasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.retinanet import RetinaNet

from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset
from mammoscope.evaluation.metrics.detection import (
    COCO_IOUS,
    FROC_RATES,
    DetectedImage,
    average_precision,
    froc_sensitivity,
    rank,
)
from mammoscope.families.anchors import Anchors, fit_anchors
from mammoscope.families.detect.retinanet import make_retinanet
from mammoscope.families.recipe import DetectorRecipe
from mammoscope.stages.detect import detector_input
from mammoscope.stages.preprocess import preprocess
from mammoscope.training.augment import random_erasure, random_light, random_warp
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.pictures import as_input

_VALIDATION_BATCH = 4


@dataclass(frozen=True, eq=False)
class Film:
    """One mammogram as the detector sees it: ``pixels (S, S) uint8`` and ``boxes (N, 4)``, frame ``model_input``."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    pixel_aspect: float


def load_films(dataset: Dataset, recipe: DetectorRecipe, label: str) -> list[Film]:
    """Read and preprocess all mammograms; those without a breast are left out."""
    size = recipe.input_size

    def load(image: str) -> Film | None:
        prepared = preprocess(dataset_mammogram(dataset, image), recipe.preprocess)
        if prepared is None:
            return None
        pixels, change = detector_input(prepared, size, size, recipe.contrast)
        boxes = prepared.from_original.then(change).boxes(np.stack([row.box for row in dataset.images[image]]))
        aspect = prepared.pixel_aspect * prepared.height / prepared.width
        return Film(pixels, np.clip(boxes, 0, size), aspect)

    films = map_in_threads(load, list(dataset.images), label)
    return [film for film in films if film is not None]


class DetectorTask:
    """What the training loop needs."""

    criterion = "ap"

    def __init__(
        self, recipe: DetectorRecipe, init: str | None, training: list[Film], validation: list[Film], anchors: Anchors
    ) -> None:
        self.recipe, self.training, self.validation = recipe, training, validation
        self.model: RetinaNet = make_detector(recipe, init, anchors)

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Pixels ``(S, S) uint8`` and boxes ``(N, 4)``."""
        film, settings, size = self.training[index], self.recipe.augmentation, self.recipe.input_size
        warp = random_warp(rng, settings, source=(size, size), target=(size, size), aspect=film.pixel_aspect)
        pixels = random_light(rng, settings, warp.picture(film.pixels, size, size), keep_black=True)
        return random_erasure(rng, settings, pixels), warp.boxes(film.boxes, size, size)

    def loss(
        self,
        samples: Sequence[tuple[NDArray[np.uint8], NDArray[np.float64]]],
        device: torch.device,
        autocast: torch.autocast,
    ) -> dict[str, Tensor]:
        """Focal loss of the scores and the loss of the boxes."""
        images = as_input([pixels for pixels, _ in samples], self.recipe, device)
        targets = [
            {
                "boxes": torch.as_tensor(boxes, dtype=torch.float32, device=device),
                "labels": torch.zeros(len(boxes), dtype=torch.int64, device=device),
            }
            for _, boxes in samples
        ]
        with autocast:
            maps = list(self.model.backbone(images).values())
            raw = self.model.head(maps)
        outputs = {name: value.float() for name, value in raw.items()}
        size = self.recipe.input_size
        anchors = self.model.anchor_generator(ImageList(images, [(size, size)] * len(samples)), maps)
        losses = self.model.compute_loss(targets, outputs, anchors)
        return {"score_loss": losses["classification"], "box_loss": losses["bbox_regression"]}

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """AP, AP50, sensitivity at 1 false positive an image, in the input's frame: IoU does not mind its stretch."""
        found: list[DetectedImage] = []
        for start in range(0, len(self.validation), _VALIDATION_BATCH):
            films = self.validation[start : start + _VALIDATION_BATCH]
            with autocast:
                outputs = model(list(as_input([film.pixels for film in films], self.recipe, device)))
            found += [
                DetectedImage(
                    image="",
                    patient="",
                    lesion_boxes=film.boxes,
                    boxes=output["boxes"].double().cpu().numpy(),
                    scores=output["scores"].double().cpu().numpy(),
                )
                for film, output in zip(films, outputs, strict=True)
            ]
        return detection_metrics(found)


def detection_metrics(found: Sequence[DetectedImage]) -> dict[str, float]:
    """AP, AP50, and sensitivity at 1 false positive an image (IoU >= 0.5)."""
    ranking, once = rank(found), np.ones((1, len(found)))
    precision = average_precision(ranking, once)[0]
    sensitivity = froc_sensitivity(ranking, 0.5, once)[0]
    return {
        "ap": float(precision.mean()),
        "ap50": float(precision[COCO_IOUS.index(0.5)]),
        "sensitivity_at_1": float(sensitivity[FROC_RATES.index(1)]),
    }


def make_detector(recipe: DetectorRecipe, init: str | None, anchors: Anchors) -> RetinaNet:
    """The network that a recipe describes."""
    model = make_retinanet(
        recipe.backbone,
        init,
        input_size=recipe.input_size,
        channels=recipe.pyramid_channels,
        anchor_base=anchors.base,
        anchor_ratios=anchors.ratios,
        foreground_iou=recipe.foreground_iou,
        background_iou=recipe.background_iou,
    )
    model.head.regression_head._loss_type = recipe.box_loss
    return model


def fit_detector_anchors(films: Sequence[Film], recipe: DetectorRecipe) -> Anchors:
    """Anchors for the boxes of the training split, in pixels of the detector's input."""
    return fit_anchors(np.concatenate([film.boxes for film in films]), recipe.anchor_ratios)
