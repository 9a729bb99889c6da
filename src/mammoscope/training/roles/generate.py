"""Train generators: the mass of a given outline and words in the tissue around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.errors import DatasetError
from mammoscope.families.attributes import WORDED, Attributes, words_of
from mammoscope.families.recipe import Augmentation, GeneratorRecipe
from mammoscope.families.roles import GeneratorFamily
from mammoscope.families.samples import GeneratorBatch, MassPicture
from mammoscope.stages.preprocess import preprocess
from mammoscope.stages.roi import cut_roi
from mammoscope.training.augment import random_light, random_warp
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.roles.role import Role, RoleTask
from mammoscope.training.synthesis.canvas import Canvas, as_pixels, generator_batch, make_canvas
from mammoscope.training.synthesis.texture import texture, texture_distance

_VALIDATION_BATCH = 32
_SPARE = 1.2  # tissue beyond the square, for shifts and rotations


class GenerateRole(Role[GeneratorRecipe, MassPicture]):
    """Paint a mass into tissue."""

    name = "generate"
    family: GeneratorFamily[GeneratorRecipe]

    def load(self, part: Dataset, name: str) -> list[MassPicture]:
        """See ``load_masses``."""
        masses = load_masses(part, self.recipe, f"reading {name} lesions")
        if not masses:
            raise DatasetError(f"{part.folder}: no {name} patient has a lesion whose mask can be laid on its image")
        return masses

    def task(
        self, network: nn.Module, training: Sequence[MassPicture], validation: Sequence[MassPicture]
    ) -> GeneratorTask:
        """See ``Role``."""
        return GeneratorTask(self.family, self.recipe, network, training, validation)


def load_masses(dataset: Dataset, recipe: GeneratorRecipe, label: str) -> list[MassPicture]:
    """All lesions whose mask can be laid on their full image, cut from it with tissue around them."""
    size, fraction = round(recipe.input_size * _SPARE), recipe.mass_fraction / _SPARE

    def load(image: str) -> list[MassPicture]:
        breast = preprocess(dataset_mammogram(dataset, image), recipe.preprocess)
        if breast is None:
            return []
        masses = []
        for lesion in filter(placed, dataset.images[image]):
            box = breast.from_original.boxes(lesion.box[None])[0]
            roi = cut_roi(breast.pixels, box, breast.pixel_aspect, size=size, mass_fraction=fraction, stretch=False)
            mask, _ = mask_in_cut(dataset, lesion, breast, roi)
            masses.append(MassPicture(lesion, roi.pixels, mask * np.uint8(255)))
        return masses

    with_masks = [image for image, lesions in dataset.images.items() if any(map(placed, lesions))]
    return [mass for masses in map_in_threads(load, with_masks, label) for mass in masses]


class GeneratorTask(RoleTask[GeneratorRecipe, Canvas, GeneratorBatch]):
    """Real lesions, painted anew; by how alike the textures of painted and of real ones are."""

    criterion = "texture_score"
    family: GeneratorFamily[GeneratorRecipe]

    def __init__(
        self,
        family: GeneratorFamily[GeneratorRecipe],
        recipe: GeneratorRecipe,
        network: nn.Module,
        training: Sequence[MassPicture],
        validation: Sequence[MassPicture],
    ) -> None:
        super().__init__(family, recipe, network)
        self.training = training
        self._attributes = Attributes.fit([mass.lesion for mass in training])
        self.validation = [
            self._canvas(mass, np.random.default_rng((0, number)), Augmentation())
            for number, mass in enumerate(validation)
        ]
        self._noise = torch.randn(
            len(validation), *family.noise_shape(recipe), generator=torch.Generator().manual_seed(0)
        )
        self._textures = [texture(canvas.pixels, canvas.truth > 0) for canvas in self.validation]

    def __len__(self) -> int:
        return len(self.training)

    def sample(self, index: int, rng: np.random.Generator) -> Canvas:
        """Moved and of other light; of the recipe's augmentation, ``blur`` and ``erase`` are not used."""
        return self._canvas(self.training[index], rng, self.recipe.augmentation)

    def batch(self, samples: Sequence[Canvas], device: torch.device) -> GeneratorBatch:
        """Normalised."""
        return generator_batch(samples, self.recipe, device)

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """Painted in the place of each validation lesion, with its outline and words.

        ``texture_distance`` is that of ``mammoscope.training.synthesis.texture``, ``texture_score`` its negative;
        ``mass_l1`` is the mean absolute difference from the real mass, in levels of 255: low for a blur, too, so that
        it is told but does not choose the best epoch.
        """
        textures, differences = [], []
        for start in range(0, len(self.validation), _VALIDATION_BATCH):
            canvases = self.validation[start : start + _VALIDATION_BATCH]
            noise = self._noise[start : start + _VALIDATION_BATCH].to(device)
            made = self.family.paint(model, self.batch(canvases, device), noise, autocast)
            for canvas, pixels in zip(canvases, as_pixels(made, canvases, self.recipe), strict=True):
                mass = canvas.truth > 0
                textures.append(texture(pixels, mass))
                if mass.any():
                    differences.append(float(np.abs(pixels[mass].astype(float) - canvas.pixels[mass]).mean()))
        distance = texture_distance(textures, self._textures)
        l1 = float(np.mean(differences)) if differences else 0.0
        return {"texture_distance": distance, "texture_score": -distance, "mass_l1": l1}

    def _canvas(self, mass: MassPicture, rng: np.random.Generator, settings: Augmentation) -> Canvas:
        size, side = self.recipe.input_size, len(mass.pixels)
        warp = random_warp(rng, settings, source=(side, side), target=(size, size), enlarge=side / size)
        pixels = warp.picture(mass.pixels, size, size, mirrored_border=True)
        mask = warp.picture(mass.mask, size, size, mirrored_border=True)
        pixels = random_light(rng, settings, pixels, keep_black=True)
        said = {column: words_of(mass.lesion, column) for column in WORDED}
        return make_canvas(rng, pixels, mask, said["mass_margins"], self._attributes.stated(said), self.recipe)
