"""Detectors in a bundle: how overlapping boxes are joined, and by how much boxes are lengthened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.bundling.calibration import best_box_scale
from mammoscope.bundling.roles.maker import StepMaker, alone, as_inputs, input_settings
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import RecipeError
from mammoscope.evaluation.cases import detect_images
from mammoscope.families.recipe import BreastRecipe, DetectorRecipe
from mammoscope.stages.detect import detector_input
from mammoscope.stages.manifests import BundleManifest, StepManifest
from mammoscope.stages.preprocess import preprocess

_EXAMPLES = 4


class DetectorMaker(StepMaker[DetectorRecipe]):
    """See ``StepMaker``."""

    role = "detect"
    implementation = "onnx-detector"

    def settings(self, recipe: DetectorRecipe, *, rescored: bool) -> dict[str, Any]:
        """Boxes are used as the network gives them."""
        settings = {**input_settings(recipe, recipe.input_size), **self.kept(recipe, rescored=rescored)}
        tiles = {"tiles": recipe.tiles.model_dump()} if len(recipe.grid.tiles) > 1 else {}
        return {**settings, "box_scale": 1.0, **tiles}

    def kept(self, recipe: DetectorRecipe, *, rescored: bool) -> dict[str, Any]:
        """How overlapping boxes are joined."""
        return (recipe.rescored_overlaps if rescored else recipe.overlaps).model_dump()

    def examples(self, recipe: DetectorRecipe, validation: Dataset) -> list[dict[str, Tensor]]:
        """See ``example_breasts``."""
        return example_breasts(recipe, validation)

    def comparable(self, outputs: Sequence[NDArray[np.float32]], recipe: DetectorRecipe) -> list[NDArray[np.float32]]:
        """Boxes as shares of the image, scores unchanged."""
        boxes, scores = outputs
        return [boxes / np.float32(recipe.input_size), scores]

    def fitted(self, step: StepManifest, manifest: BundleManifest, folder: Path, validation: Dataset) -> dict[str, Any]:
        """The boxes' scale, for this detector alone."""
        unscaled = alone(manifest.with_settings(step.name, box_scale=1.0), step.name, folder)
        return {"box_scale": best_box_scale(detect_images(validation, unscaled))}


def example_breasts(recipe: BreastRecipe, validation: Dataset) -> list[dict[str, Tensor]]:
    """The breasts on the first images, one by one; the first tile of each, if there are several.

    Raises
    ------
    RecipeError
        There is none.
    """
    grid, found = recipe.grid, []
    for image in list(validation.images)[:_EXAMPLES]:
        prepared = preprocess(dataset_mammogram(validation, image), recipe.preprocess)
        if prepared is not None:
            pixels, _ = detector_input(prepared, *grid.size, recipe.contrast)
            found.append({"image": as_inputs(grid.tiles[0].cut(pixels)[None], grid.height, recipe)})
    if not found:
        raise RecipeError(f"{validation.folder}: its validation patients have no breast to test the bundle on")
    return found
