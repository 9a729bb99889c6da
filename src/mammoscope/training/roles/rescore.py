"""Train the false-positive reducer: mass or not, on the regions that a detector proposes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.bundle import Bundle
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset
from mammoscope.evaluation.metrics.classification import roc_auc
from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.families.recipe import ReducerRecipe
from mammoscope.families.rescore.region_rescorer import RegionReducer
from mammoscope.geometry import box_iou, clip_boxes
from mammoscope.stages.preprocess import Preprocessed, preprocess
from mammoscope.stages.rescore import region_views, rescored
from mammoscope.stages.roi import stretch_contrast
from mammoscope.stages.step import Regions
from mammoscope.training.augment import random_erasure, random_light, random_warp
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.pictures import as_input
from mammoscope.training.roles.detect import detection_metrics

_SPARE = 1.3  # tissue beyond the square, for shifts and turns
_EVEN = 0.5  # weight of the reducer's logit in validation; the bundle's is fitted when it is built


@dataclass(frozen=True, eq=False)
class ProposedFilm:
    """One breast, its lesions' boxes ``(M, 4)`` and the regions that a detector proposes, frame ``preprocessed``."""

    breast: Preprocessed
    lesions: NDArray[np.float64]
    regions: Regions


def load_proposed(dataset: Dataset, bundle: Bundle, recipe: ReducerRecipe, label: str) -> list[ProposedFilm]:
    """Preprocess all mammograms and let the bundle's detector propose; those without a breast are left out."""

    def load(image: str) -> ProposedFilm | None:
        breast = preprocess(dataset_mammogram(dataset, image), recipe.preprocess)
        if breast is None:
            return None
        lesions = breast.from_original.boxes(np.stack([row.box for row in dataset.images[image]]))
        return ProposedFilm(breast, lesions, bundle.proposer.detect(breast))

    films = map_in_threads(load, list(dataset.images), label)
    return [film for film in films if film is not None]


Shown = tuple[NDArray[np.uint8], float]


class ReducerTask:
    """What the training loop needs; a sample is a film, of which it shows several regions."""

    criterion = "auc"  # AP at an even weight hangs on the weight, which is fitted later

    def __init__(
        self, recipe: ReducerRecipe, init: str | None, training: list[ProposedFilm], validation: list[ProposedFilm]
    ) -> None:
        self.recipe, self.training, self.validation = recipe, training, validation
        self.model = make_reducer(recipe, init)
        self._views = [
            region_views(film.breast, film.regions.boxes, recipe.input_size, recipe.mass_fraction)
            for film in validation
        ]

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> list[Shown]:
        """Regions ``(S, S) uint8``, and how much each is a mass: see ``mass_share``."""
        film, recipe = self.training[index], self.recipe
        count = recipe.regions_per_film
        about_lesions = max(1, count // 2) if len(film.regions) else count
        lesions = film.lesions[rng.integers(len(film.lesions), size=about_lesions)]
        boxes = misplaced(rng, lesions, recipe.displacement)
        if len(film.regions):
            drawn = rng.integers(len(film.regions), size=count - about_lesions)
            boxes = np.concatenate([boxes, film.regions.boxes[drawn]])
        boxes = clip_boxes(boxes, film.breast.width, film.breast.height)
        shares = mass_share(boxes, film.lesions, recipe)
        return [(self._picture(film.breast, box, rng), float(share)) for box, share in zip(boxes, shares, strict=True)]

    def loss(self, samples: Sequence[list[Shown]], device: torch.device, autocast: torch.autocast) -> dict[str, Tensor]:
        """Cross entropy with each region's share of a mass."""
        shown = [region for film in samples for region in film]
        regions = as_input([pixels for pixels, _ in shown], self.recipe, device)
        targets = torch.tensor([share for _, share in shown], device=device)
        with autocast:
            logits = self.model(regions)
        return {"loss": functional.binary_cross_entropy_with_logits(logits.float(), targets)}

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """AUC of mass against not, and AP, AP50, sensitivity at 1 false positive an image, scores joined evenly."""
        found, logits, masses = [], [], []
        for film, views in zip(self.validation, self._views, strict=True):
            logits.append(self._logits(model, views, device, autocast) if views else np.zeros(0))
            masses.append(mass_share(film.regions.boxes, film.lesions, self.recipe) >= 1)
            regions = rescored(film.regions, logits[-1], _EVEN)
            found.append(DetectedImage("", "", film.lesions, regions.boxes, regions.scores))
        labels = np.concatenate(masses)
        auc = float(roc_auc(np.concatenate(logits), labels, np.ones((1, len(labels))))[0])
        return {**detection_metrics(found), "auc": auc}

    def _logits(
        self,
        model: nn.Module,
        views: Sequence[NDArray[np.uint8]],
        device: torch.device,
        autocast: torch.autocast,
    ) -> NDArray[np.float64]:
        with autocast:
            logits = model(as_input([self.recipe.contrast.apply(view) for view in views], self.recipe, device))
        return np.asarray(logits.double().cpu().numpy(), dtype=np.float64)

    def _picture(self, breast: Preprocessed, box: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint8]:
        recipe, settings = self.recipe, self.recipe.augmentation
        size, spare = recipe.input_size, round(recipe.input_size * _SPARE)
        fraction = recipe.mass_fraction * size / spare
        (wide,) = region_views(breast, box[None], spare, fraction)
        warp = random_warp(rng, settings, source=(spare, spare), target=(size, size), enlarge=spare / size)
        pixels = recipe.contrast.apply(stretch_contrast(warp.picture(wide, size, size)))
        return random_erasure(rng, settings, random_light(rng, settings, pixels))


def mass_share(boxes: NDArray[np.float64], lesions: NDArray[np.float64], recipe: ReducerRecipe) -> NDArray[np.float64]:
    """How much boxes ``(N, 4)`` are of a lesion ``(M, 4)``: 0 to ``background_iou``, 1 from ``foreground_iou`` on."""
    iou = box_iou(boxes, lesions).max(axis=1, initial=0.0)
    low, high = recipe.background_iou, recipe.foreground_iou
    return np.asarray(np.clip((iou - low) / (high - low), 0, 1))


def misplaced(rng: np.random.Generator, boxes: NDArray[np.float64], displacement: float) -> NDArray[np.float64]:
    """Boxes ``(N, 4)`` that err: middles moved, and sides made longer or shorter, by up to a share of the sides."""
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    middles = middles + rng.uniform(-displacement, displacement, middles.shape) * sides
    sides = sides * (1 + displacement) ** rng.uniform(-1, 1, sides.shape)
    return np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)


def make_reducer(recipe: ReducerRecipe, init: str | None = None) -> RegionReducer:
    """The network that a recipe describes."""
    return RegionReducer(recipe.backbone, init, recipe.dropout)
