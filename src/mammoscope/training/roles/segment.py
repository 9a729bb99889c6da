"""Train segmenters: the outline of the mass in a crop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.placed_masks import placed
from mammoscope.errors import DatasetError, RecipeError
from mammoscope.families.family import Family
from mammoscope.families.recipe import SegmenterRecipe
from mammoscope.families.roles import SegmenterFamily
from mammoscope.families.samples import LesionPicture, LesionViews, SegmenterBatch
from mammoscope.training.lesion_rois import load_crop, load_views, plain_picture, random_picture
from mammoscope.training.network_input import as_input
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.roles.role import Role, RoleTask
from mammoscope.training.synthesis.painter import Painter

_VALIDATION_BATCH = 16
_SPARE = 1.2  # tissue beyond the widest cut, for shifts and rotations

Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class SegmentRole(Role[SegmenterRecipe, LesionViews]):
    """Outline the mass in an ROI."""

    name = "segment"
    family: SegmenterFamily[SegmenterRecipe]

    def __init__(
        self,
        family: Family[SegmenterRecipe, LesionViews, Any],
        recipe: SegmenterRecipe,
        proposing: Path | None,
        painter: Painter | None = None,
    ) -> None:
        super().__init__(family, recipe, proposing)
        if recipe.synthetic_share and not painter:
            raise RecipeError(
                f"synthetic_share is {recipe.synthetic_share:g}, which needs a generator: name its run with --generator"
            )
        if painter and not recipe.synthetic_share:
            raise RecipeError(
                f"{painter.folder}: this generator would not be used, as the recipe's synthetic_share is 0"
            )
        self.painter = painter
        self._painted: list[LesionPicture] = []

    @property
    def identity(self) -> dict[str, Any]:
        """The generator, if there is one; how it is used stands in the recipe."""
        return {"generator": self.painter.identity} if self.painter else {}

    def check(self, training: Dataset, validation: Dataset) -> None:
        """See that no validation patient is painted after."""
        if self.painter:
            self.painter.check(training)

    def load(self, part: Dataset, name: str) -> list[LesionViews]:
        """See ``load_outlined``; a generator paints its masses into the images of the training patients."""
        views = load_outlined(part, self.recipe, "reading lesions")
        if not views:
            raise DatasetError(f"{part.folder}: no {name} patient has a lesion whose mask is known")
        if self.painter and name == "training":
            self._painted = self.painter.pool(part, self.recipe.synthetic_pool, self.recipe.loop.seed)
        return views

    def task(
        self, network: nn.Module, training: Sequence[LesionViews], validation: Sequence[LesionViews]
    ) -> SegmenterTask:
        """See ``Role``."""
        return SegmenterTask(self.family, self.recipe, network, training, validation, self._painted)


def load_outlined(dataset: Dataset, recipe: SegmenterRecipe, label: str) -> list[LesionViews]:
    """All lesions whose mask is known: by their published crops, and as cut from their full images.

    Where all have crops, cuts are read only if the recipe shows those.
    """
    if recipe.full_share > 0 or any(placed(lesion) and not lesion.crop for lesion in dataset.lesions):
        views = load_views(dataset, recipe.preprocess, label, context=recipe.widest * _SPARE)
    else:
        crops = map_in_threads(lambda lesion: load_crop(dataset, lesion), dataset.lesions, label)
        views = [LesionViews(lesion, crop, None) for lesion, crop in zip(dataset.lesions, crops, strict=True)]
    return [view for view in views if view.crop or _placed(view)]


class SegmenterTask(RoleTask[SegmenterRecipe, Sample, SegmenterBatch]):
    """Lesions, by IoU."""

    def __init__(
        self,
        family: SegmenterFamily[SegmenterRecipe],
        recipe: SegmenterRecipe,
        network: nn.Module,
        training: Sequence[LesionViews],
        validation: Sequence[LesionViews],
        painted: Sequence[LesionPicture] = (),
    ) -> None:
        super().__init__(family, recipe, network)
        self.training, self.painted = training, painted
        plain = partial(plain_picture, size=recipe.input_size, contrast=recipe.contrast)
        self.validation = [plain(view.crop) for view in validation if view.crop]
        # The usual cut from the full image, which is what the segmenter meets in use.
        self.validation_cuts = [plain(full) for view in validation if (full := _placed(view))]
        displaced = {"shift": recipe.full_shift, "zoom": recipe.full_zoom}
        self._displaced = recipe.augmentation.model_copy(
            update={name: value for name, value in displaced.items() if value is not None}
        )

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Pixels and mask, ``(S, S) uint8`` each."""
        recipe, view = self.recipe, self.training[index]
        changed = partial(random_picture, rng, size=recipe.input_size, contrast=recipe.contrast)
        if self.painted and rng.random() < recipe.synthetic_share:
            return self._cut(changed, self.painted[int(rng.integers(len(self.painted)))], rng)
        full = _placed(view)
        if full and (view.crop is None or rng.random() < recipe.full_share):
            return self._cut(changed, full, rng)
        assert view.crop is not None  # load_outlined
        return changed(recipe.augmentation, view.crop)

    def _cut(self, changed: Callable[..., Sample], picture: LesionPicture, rng: np.random.Generator) -> Sample:
        """A cut from a full image, or what was painted into one, which is as wide as those are."""
        widen = self.recipe.widest ** (rng.random() ** self.recipe.widening_power)
        return changed(self._displaced, picture, widen=widen)

    def batch(self, samples: Sequence[Sample], device: torch.device) -> SegmenterBatch:
        """Normalised, with masks from 0 to 1."""
        rois = as_input([pixels for pixels, _ in samples], self.recipe, device)
        masks = torch.from_numpy(np.stack([mask for _, mask in samples]))[:, None].to(device).float() / 255.0
        return SegmenterBatch(rois, masks)

    @property
    def criterion(self) -> str:
        """IoU on crops, and on cuts too if the segmenter is trained on them."""
        if self.validation and self.validation_cuts:
            return "iou_mean"
        return "iou_pooled" if self.validation else "iou_pooled_cuts"

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """IoU pooled over the pixels of all masses, and the mean Dice, at a probability of 0.5.

        With cuts from full images there are ``iou_pooled_cuts`` and ``dice_mean_cuts`` too, and ``iou_mean``, the mean
        of both pooled IoU.
        """
        metrics = self._measured(self.validation, model, device, autocast) if self.validation else {}
        if not self.validation_cuts:
            return metrics
        cuts = self._measured(self.validation_cuts, model, device, autocast)
        metrics |= {f"{name}_cuts": value for name, value in cuts.items()}
        if self.validation:
            metrics["iou_mean"] = (metrics["iou_pooled"] + metrics["iou_pooled_cuts"]) / 2
        return metrics

    def _measured(
        self, pictures: Sequence[Sample], model: nn.Module, device: torch.device, autocast: torch.autocast
    ) -> dict[str, float]:
        common = np.zeros(len(pictures))
        predicted, true = common.copy(), common.copy()
        for start in range(0, len(pictures), _VALIDATION_BATCH):
            batch = pictures[start : start + _VALIDATION_BATCH]
            with autocast:
                raw = model(as_input([pixels for pixels, _ in batch], self.recipe, device))
            masks = (raw[:, 0].float() >= 0).cpu().numpy()
            truth = np.stack([mask for _, mask in batch]) > 127
            place = slice(start, start + len(batch))
            common[place] = (masks & truth).sum(axis=(1, 2))
            predicted[place], true[place] = masks.sum(axis=(1, 2)), truth.sum(axis=(1, 2))
        return {
            "iou_pooled": float(common.sum() / max(1.0, (predicted + true - common).sum())),
            "dice_mean": float((2 * common / np.maximum(predicted + true, 1)).mean()),
        }


def _placed(view: LesionViews) -> LesionPicture | None:
    """The view from the full image, if the published mask could be laid on it."""
    return view.full if view.full and view.full.mask_published else None
