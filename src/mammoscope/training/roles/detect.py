"""Train detectors: whole breasts, and the boxes of their lesions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import DatasetError
from mammoscope.evaluation.metrics.detection import (
    COCO_IOUS,
    FROC_RATES,
    DetectedImage,
    average_precision,
    froc_sensitivity,
    rank,
)
from mammoscope.families.recipe import BreastRecipe, DetectorRecipe
from mammoscope.families.roles import DetectorFamily, Found, FoundT, ImageT
from mammoscope.families.samples import BreastImage, DetectorBatch
from mammoscope.geometry import FrameChange, clip_boxes
from mammoscope.kinds import DEFAULT_KIND
from mammoscope.stages.detect import detector_input, suppress_overlaps
from mammoscope.stages.preprocess import preprocess
from mammoscope.stages.tiles import Tile, inside_with_rows, stitched
from mammoscope.training.augment import Warp, random_erasure, random_light, random_warp
from mammoscope.training.network_input import as_input
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.roles.role import Role, RoleTask

_VALIDATION_BATCH = 4

Sample = tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.str_]]


class DetectRole(Role[DetectorRecipe, BreastImage]):
    """Find regions that may hold a lesion."""

    name = "detect"
    family: DetectorFamily[DetectorRecipe]

    def load(self, part: Dataset, name: str) -> list[BreastImage]:
        """See ``load_breasts``."""
        images = load_breasts(part, self.recipe, f"reading {name} images")
        check_lesions(images, part, name)
        return images

    def task(
        self, network: nn.Module, training: Sequence[BreastImage], validation: Sequence[BreastImage]
    ) -> DetectorTask:
        """See ``Role``."""
        return DetectorTask(self.family, self.recipe, network, training, validation)


def load_breasts(dataset: Dataset, recipe: BreastRecipe, label: str) -> list[BreastImage]:
    """The ``judged_images`` as the detector sees them; those without a breast are left out."""
    placed = map_in_threads(lambda image: place_breast(dataset, image, recipe), dataset.judged_images, label)
    return [each[0] for each in placed if each is not None]


def place_breast(dataset: Dataset, image: str, recipe: BreastRecipe) -> tuple[BreastImage, FrameChange] | None:
    """An image as the network sees it, and the change from ``original`` to its input; None where there is no breast."""
    height, width = recipe.grid.size
    prepared = preprocess(dataset_mammogram(dataset, image), recipe.preprocess)
    if prepared is None:
        return None
    pixels, change = detector_input(prepared, height, width, recipe.contrast)
    to_input = prepared.from_original.then(change)
    boxes = to_input.boxes(dataset.boxes_of(image))
    aspect = prepared.pixel_aspect * prepared.height / prepared.width * (width / height)
    kinds = np.array([lesion.kind for lesion in dataset.images[image]], dtype=np.str_)
    return BreastImage(pixels, clip_boxes(boxes, width, height), aspect, kinds=kinds), to_input


def check_lesions(images: Sequence[BreastImage], part: Dataset, name: str) -> None:
    """See that there is a lesion on one of the images.

    Raises
    ------
    DatasetError
        There is none.
    """
    if not any(len(image.boxes) for image in images):
        raise DatasetError(f"{part.folder}: no {name} patient has a breast with a lesion")


class DetectorTask(RoleTask[DetectorRecipe, Sample, DetectorBatch]):
    """Breasts, by AP."""

    criterion = "ap"
    family: DetectorFamily[DetectorRecipe]

    def __init__(
        self,
        family: DetectorFamily[DetectorRecipe],
        recipe: DetectorRecipe,
        network: nn.Module,
        training: Sequence[BreastImage],
        validation: Sequence[BreastImage],
    ) -> None:
        super().__init__(family, recipe, network)
        self.training, self.validation = training, validation

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Pixels ``(S, S) uint8``, boxes ``(N, 4)`` and their kinds ``(N,)``; of one tile, if there are several."""
        image, size = random_tile(rng, self.training[index], self.recipe), self.recipe.input_size
        warp, pixels = random_breast(rng, image, self.recipe)
        boxes, kept = warp.boxes_with_rows(image.boxes, size, size)
        return pixels, boxes, named_kinds(image)[kept]

    def batch(self, samples: Sequence[Sample], device: torch.device) -> DetectorBatch:
        """Normalised."""
        images = as_input([pixels for pixels, _, _ in samples], self.recipe, device)
        boxes = [torch.as_tensor(boxes, dtype=torch.float32, device=device) for _, boxes, _ in samples]
        return DetectorBatch(images, boxes, kinds=[kinds for _, _, kinds in samples])

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """AP, AP50, sensitivity at 1 false positive an image, in the input's frame: IoU does not mind its stretch."""
        detect = partial(self.family.detect, model, autocast=autocast)
        found = found_in_tiles if len(self.recipe.grid.tiles) > 1 else found_on
        return detection_metrics(detected(found(self.validation, self.recipe, device, detect)))


def tile_image(image: BreastImage, tile: Tile, least: float) -> BreastImage:
    """A tile of an image, and what it shows of the lesions' boxes, see ``inside``."""
    boxes, shown = inside_with_rows(image.boxes, tile, least)
    return BreastImage(tile.cut(image.pixels), boxes, image.pixel_aspect, kinds=named_kinds(image)[shown])


def named_kinds(image: BreastImage) -> NDArray[np.str_]:
    """``(N,)``: the kind of each of an image's lesions."""
    return np.full(len(image.boxes), DEFAULT_KIND) if image.kinds is None else image.kinds


def random_tile(rng: np.random.Generator, image: BreastImage, recipe: DetectorRecipe) -> BreastImage:
    """One tile of an image, as the recipe prefers those with a lesion; the whole image where that is one tile."""
    if len(recipe.grid.tiles) == 1:
        return image
    tiles = [tile_image(image, tile, recipe.tile_least_inside) for tile in recipe.grid.tiles]
    without, having = ([tile for tile in tiles if bool(len(tile.boxes)) is lesion] for lesion in (False, True))
    chosen = having if not without or (having and rng.random() < recipe.tile_lesion_share) else without
    return chosen[rng.integers(len(chosen))]


def random_breast(rng: np.random.Generator, image: BreastImage, recipe: BreastRecipe) -> tuple[Warp, NDArray[np.uint8]]:
    """An image ``(S, S) uint8``, changed at random, and how it was moved, for what lies on it."""
    settings, size = recipe.augmentation, recipe.input_size
    warp = random_warp(rng, settings, source=(size, size), target=(size, size), aspect=image.pixel_aspect)
    pixels = random_light(rng, settings, warp.picture(image.pixels, size, size), keep_black=True)
    return warp, random_erasure(rng, settings, pixels)


def found_on(
    images: Sequence[ImageT], recipe: BreastRecipe, device: torch.device, detect: Callable[[Tensor], list[FoundT]]
) -> list[tuple[ImageT, FoundT]]:
    """Each image of the validation patients, and what a network finds on it."""
    found: list[tuple[ImageT, FoundT]] = []
    for start in range(0, len(images), _VALIDATION_BATCH):
        batch = images[start : start + _VALIDATION_BATCH]
        pixels = as_input([image.pixels for image in batch], recipe, device)
        found += zip(batch, detect(pixels), strict=True)
    return found


def found_in_tiles(
    images: Sequence[BreastImage], recipe: DetectorRecipe, device: torch.device, detect: Callable[[Tensor], list[Found]]
) -> list[tuple[BreastImage, Found]]:
    """The same of images in tiles: what a network finds on each, stitched and thinned out as the bundle does it."""
    found: list[tuple[BreastImage, Found]] = []
    tiles = recipe.grid.tiles
    for image in images:
        cut = [tile_image(image, tile, recipe.tile_least_inside) for tile in tiles]
        of_each = [each for _, each in found_on(cut, recipe, device, detect)]
        found.append((image, _stitched(tiles, of_each, recipe.overlaps.nms_iou)))
    return found


def _stitched(tiles: Sequence[Tile], of_each: Sequence[Found], iou: float) -> Found:
    """What was found on all tiles, kind by kind."""
    kinds = [kinds_found(each) for each in of_each]
    parts = []
    for kind in np.unique(np.concatenate(kinds)) if kinds else ():
        rows = [names == kind for names in kinds]
        boxes, scores = stitched(
            tiles,
            [each.boxes[row] for each, row in zip(of_each, rows, strict=True)],
            [each.scores[row] for each, row in zip(of_each, rows, strict=True)],
        )
        kept = suppress_overlaps(boxes, scores, floor=0, iou=iou, limit=len(boxes))
        parts.append(Found(boxes[kept], scores[kept].astype(np.float64), kinds=np.full(len(kept), kind)))
    return Found(
        np.concatenate([np.zeros((0, 4)), *(part.boxes for part in parts)]),
        np.concatenate([np.zeros(0), *(part.scores for part in parts)]),
        kinds=np.concatenate([np.zeros(0, np.str_), *(kinds_found(part) for part in parts)]),
    )


def kinds_found(found: Found) -> NDArray[np.str_]:
    """``(N,)``: what each detection is taken for."""
    return np.full(len(found.scores), DEFAULT_KIND) if found.kinds is None else found.kinds


def detected(found: Sequence[tuple[BreastImage, Found]]) -> list[DetectedImage]:
    """The same for ``detection_metrics``, in the frame of the input."""
    return [
        DetectedImage(
            image="",
            patient="",
            lesion_boxes=image.boxes,
            boxes=each.boxes,
            scores=each.scores,
            lesion_kinds=named_kinds(image),
            kinds=kinds_found(each),
        )
        for image, each in found
    ]


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
