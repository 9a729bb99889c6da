"""Train the segmenter: the outline of the mass in a crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.datasets.layout import Dataset
from mammoscope.families.recipe import SegmenterRecipe
from mammoscope.families.segment.transres_unet import BackboneEncoder, ResidualEncoder, TransResUNet, branch_for
from mammoscope.training.lesion_rois import (
    LesionPicture,
    LesionViews,
    load_crop,
    load_views,
    plain_picture,
    random_picture,
)
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.pictures import as_input

_VALIDATION_BATCH = 16
_SPARE = 1.2  # tissue beyond the widest cut, for shifts and turns


def load_outlined(dataset: Dataset, recipe: SegmenterRecipe, label: str) -> list[LesionViews]:
    """All lesions with a published crop and mask, and as cut from their full images where the recipe shows those."""
    if recipe.full_share > 0:
        views = load_views(dataset, recipe.preprocess, label, context=recipe.widest * _SPARE)
    else:
        crops = map_in_threads(lambda lesion: load_crop(dataset, lesion), dataset.lesions, label)
        views = [LesionViews(lesion.malignant, crop, None) for lesion, crop in zip(dataset.lesions, crops, strict=True)]
    return [view for view in views if view.crop is not None]


class SegmenterTask:
    """What the training loop needs."""

    def __init__(
        self, recipe: SegmenterRecipe, init: str | None, training: list[LesionViews], validation: list[LesionViews]
    ) -> None:
        self.recipe, self.training = recipe, training
        self.validation = [plain_picture(view.crop, recipe.input_size) for view in validation if view.crop]
        # The usual cut from the full image, which is what the segmenter meets in use.
        self.validation_cuts = [
            plain_picture(full, recipe.input_size) for view in validation if (full := _placed(view))
        ]
        displaced = {"shift": recipe.full_shift, "zoom": recipe.full_zoom}
        self._displaced = recipe.augmentation.model_copy(
            update={name: value for name, value in displaced.items() if value is not None}
        )
        self.model = make_segmenter(recipe, init)

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Pixels and mask, ``(S, S) uint8`` each."""
        recipe, view = self.recipe, self.training[index]
        if (full := _placed(view)) and rng.random() < recipe.full_share:
            widen = recipe.widest ** (rng.random() ** recipe.widening_power)
            return random_picture(rng, self._displaced, full, recipe.input_size, widen=widen)
        assert view.crop is not None  # load_outlined
        return random_picture(rng, recipe.augmentation, view.crop, recipe.input_size)

    def loss(
        self,
        samples: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
        device: torch.device,
        autocast: torch.autocast,
    ) -> dict[str, Tensor]:
        """Cross entropy of the pixels, and 1 - Dice of each picture (Milletari et al. 2016)."""
        pictures = as_input([pixels for pixels, _ in samples], self.recipe, device)
        target = torch.from_numpy(np.stack([mask for _, mask in samples]))[:, None].to(device).float() / 255.0
        with autocast:
            raw = self.model(pictures)
        logits = raw.float()
        chance = logits.sigmoid()
        common = (chance * target).sum(dim=(1, 2, 3))
        both = chance.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
        return {
            "pixel_loss": functional.binary_cross_entropy_with_logits(logits, target),
            "dice_loss": 1 - ((2 * common + 1) / (both + 1)).mean(),
        }

    @property
    def criterion(self) -> str:
        """IoU on crops, and on cuts too where the segmenter learns from them."""
        return "iou_mean" if self.validation_cuts else "iou_pooled"

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """IoU pooled over the pixels of all masses, and the mean Dice, at a probability of 0.5.

        With cuts from full images there are ``iou_pooled_cuts`` and ``dice_mean_cuts`` too, and ``iou_mean``, the mean
        of both pooled IoU.
        """
        crops = self._measured(self.validation, model, device, autocast)
        if not self.validation_cuts:
            return crops
        cuts = self._measured(self.validation_cuts, model, device, autocast)
        mean = (crops["iou_pooled"] + cuts["iou_pooled"]) / 2
        return {**crops, **{f"{name}_cuts": value for name, value in cuts.items()}, "iou_mean": mean}

    def _measured(
        self,
        pictures: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
        model: nn.Module,
        device: torch.device,
        autocast: torch.autocast,
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
    """The view from the full image, where the published mask could be laid on it."""
    return view.full if view.full and view.full.mask_published else None


def make_segmenter(recipe: SegmenterRecipe, init: str | None = None) -> TransResUNet:
    """The network that a recipe describes; ``init`` starts its backbone, see ``make_backbone``."""
    encoder = BackboneEncoder(recipe.backbone, init) if recipe.backbone else ResidualEncoder(recipe.filters)
    branch = None
    if recipe.transformer:
        branch = branch_for(
            encoder,
            recipe.input_size,
            patch_size=recipe.patch_size,
            embedding=recipe.embedding,
            layers=recipe.layers,
            heads=recipe.heads,
        )
    widths = recipe.filters if recipe.backbone else recipe.filters[:-1]
    return TransResUNet(encoder, widths, branch)
