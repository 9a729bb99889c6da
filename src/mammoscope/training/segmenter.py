"""Train the segmenter: the outline of the mass in a crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mammoscope.datasets.lesions import Dataset
from mammoscope.networks.transres_unet import TransResUNet
from mammoscope.training.lesion_rois import LesionPicture, load_crop, plain_picture, random_picture
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.pictures import as_input
from mammoscope.training.recipe import SegmenterRecipe

_VALIDATION_BATCH = 16


def load_crops(dataset: Dataset, label: str) -> list[LesionPicture]:
    """All published crops with their masks."""
    pictures = map_in_threads(lambda lesion: load_crop(dataset, lesion), dataset.lesions, label)
    return [picture for picture in pictures if picture is not None]


class SegmenterTask:
    """What the training loop needs."""

    criterion = "iou_pooled"

    def __init__(self, recipe: SegmenterRecipe, training: list[LesionPicture], validation: list[LesionPicture]) -> None:
        self.recipe, self.training = recipe, training
        self.validation = [plain_picture(picture, recipe.input_size) for picture in validation]
        self.model = make_segmenter(recipe)

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Pixels and mask, ``(S, S) uint8`` each."""
        return random_picture(rng, self.recipe.augmentation, self.training[index], self.recipe.input_size)

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

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """IoU pooled over the pixels of all masses, and the mean Dice, at a probability of 0.5."""
        common = np.zeros(len(self.validation))
        predicted, true = common.copy(), common.copy()
        for start in range(0, len(self.validation), _VALIDATION_BATCH):
            batch = self.validation[start : start + _VALIDATION_BATCH]
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


def make_segmenter(recipe: SegmenterRecipe) -> TransResUNet:
    """The network that a recipe describes."""
    return TransResUNet(
        recipe.input_size,
        recipe.filters,
        transformer=recipe.transformer,
        patch_size=recipe.patch_size,
        embedding=recipe.embedding,
        layers=recipe.layers,
        heads=recipe.heads,
    )
