"""A trained generator, and the pool of masses that it paints for the training of another network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.datasets.pixels import image_size
from mammoscope.errors import DatasetError, RecipeError
from mammoscope.families.attributes import WORDED, Attributes, words_of
from mammoscope.families.family import NOUNS
from mammoscope.families.find import find_family, recipe_of
from mammoscope.families.recipe import GeneratorRecipe
from mammoscope.families.roles import GeneratorFamily
from mammoscope.families.samples import LesionPicture
from mammoscope.files import file_sha256
from mammoscope.stages.preprocess import preprocess
from mammoscope.stages.roi import cut_roi
from mammoscope.training.checkpoint import load_weights
from mammoscope.training.loop import BEST
from mammoscope.training.parallel import map_in_threads
from mammoscope.training.synthesis.canvas import Canvas, as_pixels, generator_batch, make_canvas
from mammoscope.training.synthesis.outlines import MARGINS, SHAPES, draw_mask, outline_radii
from mammoscope.training.synthesis.tissue import healthy_box

_BATCH = 32
_STREAM = 1_000_003  # keeps the random numbers of the pool apart from those of the samples
# Painted on the CPU in 32 bits wherever the training runs, so that a resumed one gets the same pool.
_DEVICE = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Painter:
    """A generator with its best weights.

    Attributes
    ----------
    folder
        Of its run.
    facts
        The content of ``run.json``.
    weights
        The file with its weights.
    """

    folder: Path
    facts: Mapping[str, Any]
    weights: Path
    family: GeneratorFamily[GeneratorRecipe]
    recipe: GeneratorRecipe
    network: nn.Module

    @classmethod
    def opened(cls, folder: Path, facts: Mapping[str, Any]) -> Self:
        """The generator of a run.

        Raises
        ------
        RecipeError
            The run is of another role, or has no validated weights yet.
        """
        if facts["task"] != NOUNS["generate"]:
            raise RecipeError(f"{folder}: holds a training of {facts['task']!r}, expected {NOUNS['generate']!r}")
        recipe = recipe_of("generate", facts["recipe"], str(folder))
        family = find_family("generate", recipe.family)
        weights = folder / family.last_phase / BEST
        if not weights.is_file():
            raise RecipeError(f"{folder}: the training has no validated weights yet, {weights.name} is missing")
        assert isinstance(family, GeneratorFamily) and isinstance(recipe, GeneratorRecipe)
        network = family.network(recipe, facts["fitted"], None)
        load_weights(network, weights)
        return cls(folder, facts, weights, family, recipe, network.eval())

    @cached_property
    def identity(self) -> dict[str, str]:
        """What tells it from another."""
        return {"name": self.folder.name, "sha256": file_sha256(self.weights)}

    @property
    def attributes(self) -> Attributes:
        """The words that it knows."""
        return Attributes.of(self.facts["fitted"]["words"])

    def check(self, training: Dataset) -> None:
        """See that it learned from training patients alone: it could paint what it saw of those who validate.

        Raises
        ------
        RecipeError
            It learned from another patient; names one.
        """
        if others := sorted(set(self.facts["split"]["training_patients"]).difference(training.patients)):
            raise RecipeError(
                f"{self.folder}: this generator learned from {len(others)} patients who do not train here, such as "
                f"{others[0]}; train it with the same dataset and split"
            )

    def pool(self, training: Dataset, count: int, seed: int) -> list[LesionPicture]:
        """Masses painted into healthy tissue of training patients; the same for the same arguments.

        Words and sizes are those of random training lesions, outlines are drawn by the words; a shape or margin that
        is not stated, or not one of ``SHAPES`` and ``MARGINS``, is drawn evenly. Sizes count relative to the image's
        width.

        Parameters
        ----------
        count
            How many are tried; there are fewer where an image has no healthy place of the size.

        Raises
        ------
        DatasetError
            No image has such a place.
        """
        sizes, images = self._relative_sizes(training), training.judged_images
        planned: defaultdict[str, list[int]] = defaultdict(list)
        for number in range(count):
            planned[images[int(_random(seed, number, 0).integers(len(images)))]].append(number)

        def prepared(image: str) -> list[tuple[int, Canvas, bool]]:
            mammogram = dataset_mammogram(training, image)
            breast = preprocess(mammogram, self.recipe.preprocess)
            if breast is None:
                return []
            lesions = breast.from_original.boxes(training.boxes_of(image))
            made = []
            for number in planned[image]:
                rng = _random(seed, number, 1)
                side = sizes[int(rng.integers(len(sizes)))] * mammogram.width
                box = healthy_box(rng, breast, lesions, side, self.recipe.mass_fraction)
                if box is None:
                    continue
                roi = cut_roi(
                    breast.pixels,
                    box,
                    breast.pixel_aspect,
                    size=self.recipe.input_size,
                    mass_fraction=self.recipe.mass_fraction,
                    stretch=False,
                )
                canvas = self._with_outline(rng, roi.pixels, training.lesions[int(rng.integers(len(training.lesions)))])
                made.append((number, canvas, roi.from_preprocessed.scale_x <= 1))
            return made

        groups = map_in_threads(prepared, list(planned), "cutting healthy tissue")
        made = sorted((one for group in groups for one in group), key=lambda one: one[0])
        if not made:
            raise DatasetError(f"{training.folder}: no image has healthy tissue to paint a mass into")
        pictures = []
        for start in range(0, len(made), _BATCH):
            part = made[start : start + _BATCH]
            noise = np.stack([self._noise(_random(seed, number, 2)) for number, _, _ in part])
            painted = self.painted([canvas for _, canvas, _ in part], torch.from_numpy(noise))
            pictures += [
                LesionPicture(pixels, canvas.truth, self.recipe.mass_fraction, sharp)
                for pixels, (_, canvas, sharp) in zip(painted, part, strict=True)
            ]
        return pictures

    def painted(self, canvases: list[Canvas], noise: torch.Tensor) -> list[NDArray[np.uint8]]:
        """Images ``(S, S) uint8`` with the masses of canvases in them; ``noise`` as the family says, one a canvas."""
        exact = torch.autocast("cpu", enabled=False)
        with torch.inference_mode():
            batch = generator_batch(canvases, self.recipe, _DEVICE)
            return as_pixels(self.family.paint(self.network, batch, noise, exact), canvases, self.recipe)

    def _with_outline(self, rng: np.random.Generator, tissue: NDArray[np.uint8], like: Lesion) -> Canvas:
        """Tissue with the outline of a new mass, whose words are those of a lesion."""
        said = {
            column: str(rng.choice(sorted(words_of(like, column).intersection(drawn)) or drawn))
            for column, drawn in zip(WORDED, (SHAPES, MARGINS), strict=True)
        }
        shape, margin = (said[column] for column in WORDED)
        mask = draw_mask(outline_radii(rng, shape, margin), self.recipe.input_size, self.recipe.mass_fraction)
        words = self.attributes.stated({column: {word} for column, word in said.items()})
        return make_canvas(rng, tissue, mask, {margin}, words, self.recipe)

    def _noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.standard_normal(self.family.noise_shape(self.recipe), dtype=np.float32)

    @staticmethod
    def _relative_sizes(training: Dataset) -> list[float]:
        """The longer side of each lesion in widths of its image."""
        sizes = []
        for image, lesions in training.images.items():
            if lesions:
                width, height = image_size(training.image_path(image))
                aspect = training.pixel_aspect(image, width, height)
                sizes += [max(lesion.width, lesion.height * aspect) / width for lesion in lesions]
        return sizes


def _random(seed: int, number: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng((seed, _STREAM, number, purpose))
