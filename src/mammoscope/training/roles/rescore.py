"""Train rescorers, for false-positive reduction: mass or not, on the regions that a detector proposes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammoscope.bundle import Bundle, BundledStep, load_bundle
from mammoscope.candidates import Candidates
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import DatasetError, RecipeError
from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.evaluation.metrics.roc import roc_auc
from mammoscope.families.family import Family
from mammoscope.families.recipe import RescorerRecipe, SplitSettings
from mammoscope.families.roles import RescorerFamily
from mammoscope.families.samples import ProposedImage, RescorerBatch
from mammoscope.geometry import box_iou, clip_boxes
from mammoscope.kinds import SOUGHT
from mammoscope.pipeline import run_steps
from mammoscope.stages.preprocess import Preprocessed, preprocess
from mammoscope.stages.rescore import region_views, rescored
from mammoscope.stages.roi import stretch_contrast
from mammoscope.stages.step import PreparedExam, PreparedView
from mammoscope.training.augment import random_erasure, random_light, random_warp
from mammoscope.training.network_input import as_input
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.roles.detect import detection_metrics
from mammoscope.training.roles.role import Role, RoleTask
from mammoscope.training.synthesis.painter import Painter

_SPARE = 1.3  # tissue beyond the square, for shifts and rotations
_EVEN = 0.5  # weight of the rescorer's logit in validation; the bundle's is fitted when it is built


class RescoreRole(Role[RescorerRecipe, ProposedImage]):
    """Distinguish masses from other tissue among the regions that a bundle's detector proposes."""

    name = "rescore"
    family: RescorerFamily[RescorerRecipe]

    def __init__(
        self,
        family: Family[RescorerRecipe, ProposedImage, Any],
        recipe: RescorerRecipe,
        proposing: Path | None,
        painter: Painter | None = None,
    ) -> None:
        super().__init__(family, recipe, None, painter)
        self.bundle = _proposing_bundle(proposing, recipe)

    @property
    def identity(self) -> dict[str, Any]:
        """The bundle whose detector proposes."""
        return {"proposing": self.bundle.identity.model_dump(mode="json")}

    def load(self, part: Dataset, name: str) -> list[ProposedImage]:
        """See ``load_proposed``."""
        images = load_proposed(part, self.bundle, self.recipe, f"proposing regions, {name}")
        if not images:
            raise DatasetError(f"{part.folder}: no {name} patient has a breast with a lesion or a proposed region")
        return images

    def task(
        self, network: nn.Module, training: Sequence[ProposedImage], validation: Sequence[ProposedImage]
    ) -> RescorerTask:
        """See ``Role``."""
        return RescorerTask(self.family, self.recipe, network, training, validation)


def _proposing_bundle(folder: Path | None, recipe: RescorerRecipe) -> Bundle:
    """The bundle whose detector proposes; one that was trained on these validation patients would inflate figures."""
    bundle = load_bundle(folder)
    for step in proposers(bundle):
        provenance = step.manifest.provenance
        theirs = SplitSettings.model_validate(provenance.recipe.get("split", {})) if provenance else recipe.split
        if theirs != recipe.split:
            raise RecipeError(
                f"{bundle.folder}: its detector's patients were divided by {theirs}, the recipe divides by "
                f"{recipe.split}"
            )
    if bundle.manifest.preprocess != recipe.preprocess:
        raise RecipeError(f"{bundle.folder}: finds the breast by other settings than the recipe")
    return bundle


def proposers(bundle: Bundle) -> tuple[BundledStep, ...]:
    """The steps of a bundle that propose regions: those before the first rescoring step."""
    roles = [step.manifest.role for step in bundle.finding]
    return bundle.finding[: roles.index("rescore")] if "rescore" in roles else bundle.finding


def load_proposed(dataset: Dataset, bundle: Bundle, recipe: RescorerRecipe, label: str) -> list[ProposedImage]:
    """Preprocess the ``judged_images`` and let the bundle's detector propose.

    Each image is a separate exam. Those without a breast, or with neither a lesion nor a proposed region, are left out.
    """
    steps = proposers(bundle)
    for step in steps:
        _ = step.step  # loaded before threads share it

    def load(image: str) -> ProposedImage | None:
        breast = preprocess(dataset_mammogram(dataset, image), recipe.preprocess)
        if breast is None:
            return None
        lesions = breast.from_original.boxes(dataset.boxes_of(image))
        proposed = run_steps(steps, PreparedExam((PreparedView(breast),)), Candidates.none())
        proposed = proposed.take(np.isin(proposed.kind, [kind.name for kind in SOUGHT]))  # as its lesions are
        return ProposedImage(breast, lesions, proposed) if len(lesions) or len(proposed) else None

    images = map_in_threads(load, dataset.judged_images, label)
    return [image for image in images if image is not None]


Shown = tuple[NDArray[np.uint8], float]


class RescorerTask(RoleTask[RescorerRecipe, list[Shown], RescorerBatch]):
    """Regions, by AUC; a sample is an image, of which it shows several regions."""

    criterion = "auc"  # AP at equal weights depends on the weight, which is fitted later

    def __init__(
        self,
        family: RescorerFamily[RescorerRecipe],
        recipe: RescorerRecipe,
        network: nn.Module,
        training: Sequence[ProposedImage],
        validation: Sequence[ProposedImage],
    ) -> None:
        super().__init__(family, recipe, network)
        self.training, self.validation = training, validation
        self._views = [
            region_views(image.breast, image.proposed.boxes, recipe.input_size, recipe.mass_fraction)
            for image in validation
        ]

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> list[Shown]:
        """Regions ``(S, S) uint8``, and how much each is a mass: see ``mass_share``."""
        image, recipe = self.training[index], self.recipe
        boxes = shown_boxes(rng, image.lesions, image.proposed.boxes, recipe)
        boxes = clip_boxes(boxes, image.breast.width, image.breast.height)
        shares = mass_share(boxes, image.lesions, recipe)
        return [(self._picture(image.breast, box, rng), float(share)) for box, share in zip(boxes, shares, strict=True)]

    def batch(self, samples: Sequence[list[Shown]], device: torch.device) -> RescorerBatch:
        """Normalised."""
        shown = [region for image in samples for region in image]
        regions = as_input([pixels for pixels, _ in shown], self.recipe, device)
        shares = torch.tensor([share for _, share in shown], device=device)
        return RescorerBatch(regions, shares)

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """AUC of mass against not, and AP, AP50, sensitivity at 1 false positive an image, scores joined evenly."""
        found, logits, masses = [], [], []
        for image, views in zip(self.validation, self._views, strict=True):
            logits.append(self._logits(model, views, device, autocast) if views else np.zeros(0))
            masses.append(mass_share(image.proposed.boxes, image.lesions, self.recipe) >= 1)
            ranked = rescored(image.proposed, logits[-1], _EVEN)
            found.append(DetectedImage("", "", image.lesions, ranked.boxes, ranked.detection_score))
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


def shown_boxes(
    rng: np.random.Generator, lesions: NDArray[np.float64], regions: NDArray[np.float64], recipe: RescorerRecipe
) -> NDArray[np.float64]:
    """Boxes ``(regions_per_film, 4)`` of an image: half of them lesions, misplaced, half proposed regions.

    If there are none of one kind, all are of the other.
    """
    count = recipe.regions_per_film
    about_lesions = max(1, count // 2) if len(regions) else count
    boxes = np.zeros((0, 4))
    if len(lesions):
        boxes = misplaced(rng, lesions[rng.integers(len(lesions), size=about_lesions)], recipe.displacement)
    if len(regions):
        boxes = np.concatenate([boxes, regions[rng.integers(len(regions), size=count - len(boxes))]])
    return boxes


def mass_share(boxes: NDArray[np.float64], lesions: NDArray[np.float64], recipe: RescorerRecipe) -> NDArray[np.float64]:
    """How much boxes ``(N, 4)`` are of a lesion ``(M, 4)``: 0 to ``background_iou``, 1 from ``foreground_iou`` on."""
    iou = box_iou(boxes, lesions).max(axis=1, initial=0.0)
    low, high = recipe.background_iou, recipe.foreground_iou
    return np.asarray(np.clip((iou - low) / (high - low), 0, 1))


def misplaced(rng: np.random.Generator, boxes: NDArray[np.float64], displacement: float) -> NDArray[np.float64]:
    """Misplaced boxes ``(N, 4)``: centres moved, and sides made longer or shorter, by up to a share of the sides."""
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    middles = middles + rng.uniform(-displacement, displacement, middles.shape) * sides
    sides = sides * (1 + displacement) ** rng.uniform(-1, 1, sides.shape)
    return np.concatenate([middles - sides / 2, middles + sides / 2], axis=1)
