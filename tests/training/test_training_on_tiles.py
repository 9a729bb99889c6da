"""Detectors that are trained on tiles: what they are shown, how they are validated, and the bundle that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from spot_detector import SpotFamily, SpotRecipe
from torch import Tensor, nn

from mammoscope.bundle import Bundle, BundledStep
from mammoscope.bundling.fits import MAKERS
from mammoscope.bundling.sources import Run, open_source
from mammoscope.bundling.steps import trained_step
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import load_dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.evaluation.cases import exam_cases
from mammoscope.families.find import find_family, load_recipe, recipe_of
from mammoscope.families.roles import Found
from mammoscope.families.samples import BreastImage
from mammoscope.stages.detect import OnnxDetector
from mammoscope.training.roles.detect import DetectorTask, load_breasts, random_tile
from mammoscope.training.run import train
from small_recipes import as_toml, small_table
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

CPU, PRECISE = torch.device("cpu"), torch.autocast("cpu", enabled=False)
TILES = {"rows": 2, "columns": 2, "overlap": 0.25}  # of 128 pixels: 224 together, from 0 and 96


def recipe(**changes: object) -> SpotRecipe:
    loop = {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3}
    table = {"family": "spots", **SpotFamily.trial, "tiles": TILES, "loop": loop, **changes}
    return cast(SpotRecipe, recipe_of("detect", table))


def image(*boxes: tuple[float, float, float, float]) -> BreastImage:
    pixels = np.full((224, 224), 60, dtype=np.uint8)
    for x0, y0, x1, y1 in boxes:
        pixels[int(y0) : int(y1), int(x0) : int(x1)] = 250
    return BreastImage(pixels, np.array(boxes, dtype=float).reshape(-1, 4), 1.0)


@pytest.mark.load
@pytest.mark.parametrize(("share", "lesions"), [(1.0, 400), (0.0, 0), (0.5, 200)])
def test_tiles_with_a_lesion_are_shown_as_often_as_the_recipe_says(share: float, lesions: int) -> None:
    rng, mass = np.random.default_rng(0), image((10, 20, 50, 70))
    tiles = [random_tile(rng, mass, recipe(tile_lesion_share=share)) for _ in range(400)]
    assert all(tile.pixels.shape == (128, 128) for tile in tiles)
    found = [tile for tile in tiles if len(tile.boxes)]
    assert len(found) == pytest.approx(lesions, abs=30 if 0 < lesions < 400 else 0)
    assert all(tile.boxes.tolist() == [[10, 20, 50, 70]] for tile in found)


def test_an_image_without_a_lesion_is_shown_by_any_tile() -> None:
    rng, normal = np.random.default_rng(0), image()
    normal.pixels[:] = np.arange(224, dtype=np.uint8)[:, None] // 2 + np.arange(224, dtype=np.uint8) // 3
    corners = [int(random_tile(rng, normal, recipe()).pixels[0, 0]) for _ in range(200)]
    assert sorted(set(corners)) == [0, 32, 48, 80]


def test_a_lesion_that_a_tile_shows_too_little_of_is_not_sought_there() -> None:
    rng = np.random.default_rng(0)
    mass = image((20, 10, 120, 40))  # the tile on the right shows 24 of its 100 columns
    for least, left_edges in ((0.3, {20.0}), (0.2, {20.0, 0.0})):
        settings = recipe(tile_least_inside=least, tile_lesion_share=1.0)
        assert {random_tile(rng, mass, settings).boxes[0, 0] for _ in range(40)} == left_edges


def test_one_tile_is_the_image_itself() -> None:
    rng, mass = np.random.default_rng(0), image((10, 20, 50, 70))
    before = rng.bit_generator.state
    assert random_tile(rng, mass, recipe(tiles={})) is mass
    assert rng.bit_generator.state == before


class Bright(SpotFamily):
    """Finds what is bright, untrained."""

    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[Found]:
        found = []
        for pixels in images[:, 0]:
            rows, columns = (pixels > 1).nonzero(as_tuple=True)
            ends = [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]] if len(rows) else []
            boxes = np.array(ends, dtype=np.float64).reshape(-1, 4)
            found.append(Found(boxes, np.full(len(boxes), 0.9)))
        return found


def test_validation_stitches_what_the_tiles_show() -> None:
    settings = recipe()
    # On one tile, across a border, across the corner; and no lesion.
    images = [image((10, 20, 50, 70)), image((60, 20, 180, 70)), image((70, 80, 170, 160)), image()]
    family = Bright()
    task = DetectorTask(family, settings, family.network(settings, {}, None), images, images)  # type: ignore[arg-type]
    assert task.validate(task.model, CPU, PRECISE)["ap"] == pytest.approx(1.0)


def test_a_detector_of_tiles_is_trained_and_its_bundle_runs_it_in_tiles(bundle: Bundle, tmp_path: Path) -> None:
    dataset = load_dataset(write_dataset(tmp_path / "set", patients=10))
    family = find_family("detect", "spots")
    table: dict[str, Any] = {**small_table(family, epochs=1, folds=5), "tiles": TILES}
    (tmp_path / "recipe.toml").write_text(as_toml(table))
    train("detector", dataset.folder, str(tmp_path / "recipe.toml"), tmp_path / "run")
    settings = load_recipe("detect", str(tmp_path / "recipe.toml"))
    training, validation = split_patients(dataset, folds=5)
    breasts = load_breasts(validation, cast(SpotRecipe, settings), "")
    assert all(each.pixels.shape == (224, 224) and each.boxes.max() <= 224 for each in breasts)

    source = open_source("detect", tmp_path / "run")
    assert isinstance(source, Run)
    (tmp_path / "out").mkdir()
    manifest = trained_step(
        source,
        MAKERS["detect"],
        tmp_path / "out",
        dataset=dataset,
        training=training,
        validation=validation,
        rescored=False,
    )
    assert manifest.settings["tiles"] == TILES
    step = BundledStep(tmp_path / "out", manifest).step
    assert isinstance(step, OnnxDetector)
    case = next(iter(exam_cases(validation, bundle)))
    assert step(case.exam, Candidates.none()).problem([True] * len(case.exam.views)) is None
