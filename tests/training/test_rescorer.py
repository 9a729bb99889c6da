"""The network that scores anew what a detector proposes: what it learns from, and its place in a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from mammoscope.bundle import Bundle, load_bundle
from mammoscope.bundling.calibration import best_rescorer_weight
from mammoscope.datasets.layout import load_dataset
from mammoscope.errors import RecipeError
from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.families.find import load_recipe
from mammoscope.families.rescore.region_rescorer import FlippedMean, RegionRescorerFamily, RegionRescorerRecipe
from mammoscope.training.roles.rescore import RescorerTask, load_proposed, mass_share, misplaced, shown_boxes
from mammoscope.training.run import train
from small_recipes import write_recipe
from synthetic_dataset import write_dataset

LESION = np.array([[10.0, 10, 30, 30]])


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> RegionRescorerRecipe:
    loaded = load_recipe("rescore", str(write_recipe(tmp_path_factory.mktemp("recipe"), "rescorer", epochs=1)))
    assert isinstance(loaded, RegionRescorerRecipe)
    return loaded


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ([10, 10, 30, 30], 1),
        ([10, 10, 30, 20], 1),  # IoU 0.5
        ([10, 10, 30, 17], 0.5),  # IoU 0.35: half way from 0.2 to 0.5
        ([10, 10, 30, 14], 0),  # IoU 0.2
        ([50, 50, 70, 70], 0),
    ],
)
def test_a_region_is_a_mass_by_how_well_it_lies_on_one(
    box: list[float], share: float, recipe: RegionRescorerRecipe
) -> None:
    assert mass_share(np.array([box], float), LESION, recipe) == pytest.approx([share])


def test_without_regions_nothing_is_a_mass(recipe: RegionRescorerRecipe) -> None:
    assert mass_share(np.zeros((0, 4)), LESION, recipe).shape == (0,)


def test_misplaced_boxes_err_within_their_bounds() -> None:
    boxes = misplaced(np.random.default_rng(0), np.tile(LESION, (500, 1)), 0.3)
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    assert 5 < np.abs(middles - 20).max() <= 6
    assert 20 / 1.3 <= sides.min() < 16 and 25 < sides.max() <= 20 * 1.3
    assert misplaced(np.random.default_rng(0), LESION, 0.0) == pytest.approx(LESION)


@pytest.mark.parametrize(("lesions", "regions"), [(1, 0), (0, 3), (2, 3)])
def test_images_without_lesions_or_without_regions_show_the_others(
    lesions: int, regions: int, recipe: RegionRescorerRecipe
) -> None:
    true, proposed = np.tile(LESION, (lesions, 1)), np.tile(LESION + 100, (regions, 1))
    shown = shown_boxes(np.random.default_rng(0), true, proposed, recipe)
    assert len(shown) == recipe.regions_per_film
    assert (shown[:, 0] < 60).sum() == {(1, 0): 4, (0, 3): 0, (2, 3): 2}[lesions, regions]


def _found(scores: list[float]) -> DetectedImage:
    """A hit and a miss."""
    boxes = np.array([[10.0, 10, 30, 30], [60, 60, 80, 80]])
    return DetectedImage("", "", LESION, boxes, np.array(scores))


def test_the_weight_is_as_large_as_it_helps() -> None:
    wrong = [_found([0.4, 0.6]) for _ in range(3)]
    # The detector prefers the miss by 0.81 of a logit, the rescorer the hit by 2: half and half is enough.
    helped = best_rescorer_weight(wrong, [np.array([1.0, -1.0])] * 3)
    assert 0.81 / 2.81 < helped < 0.81 / 2.81 + 0.051
    right = [_found([0.6, 0.4]) for _ in range(3)]
    assert best_rescorer_weight(right, [np.array([-1.0, 1.0])] * 3) == 0


@pytest.mark.training
def test_an_image_shows_lesions_and_proposed_regions(
    recipe: RegionRescorerRecipe, bundle: Bundle, tmp_path: Path
) -> None:
    images = load_proposed(load_dataset(write_dataset(tmp_path / "set", patients=2)), bundle, recipe, "proposing")
    family = RegionRescorerFamily()
    task = RescorerTask(family, recipe, family.network(recipe, {}, None), images, images)
    shown = task.sample(0, np.random.default_rng(0))
    assert len(shown) == recipe.regions_per_film
    assert {pixels.shape for pixels, _ in shown} == {(recipe.input_size, recipe.input_size)}
    assert all(0 <= share <= 1 for _, share in shown)
    again = task.sample(0, np.random.default_rng(0))
    assert all((a[0] == b[0]).all() and a[1] == b[1] for a, b in zip(shown, again, strict=True))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=False)
    assert task.loss([shown], torch.device("cpu"), autocast)["loss"].isfinite()
    with torch.inference_mode():
        metrics = task.validate(task.model.eval(), torch.device("cpu"), autocast)
    assert metrics.keys() == {"ap", "ap50", "sensitivity_at_1", "auc"}


@pytest.mark.training
def test_a_bundle_by_another_division_of_patients_is_refused(recipe: RegionRescorerRecipe, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "set", patients=8)
    with pytest.raises(RecipeError, match="its detector's patients were divided by"):
        train("rescorer", dataset, str(write_recipe(tmp_path, "rescorer")), tmp_path / "run")
    with pytest.raises(RecipeError, match="is for the rescorer only, not for the segmenter"):
        recipe_file = str(write_recipe(tmp_path, "segmenter"))
        train("segmenter", dataset, recipe_file, tmp_path / "run", proposing=load_bundle().folder)
    assert not (tmp_path / "run").exists()


def test_the_bundle_sees_a_region_in_all_four_flips(recipe: RegionRescorerRecipe) -> None:
    torch.manual_seed(0)
    model = FlippedMean(RegionRescorerFamily().network(recipe, {}, None).eval())
    regions = torch.rand(3, 1, recipe.input_size, recipe.input_size)
    with torch.inference_mode():
        logits = model(regions)
        assert logits.shape == (3,)
        for axes in ([2], [3], [2, 3]):
            assert torch.allclose(model(regions.flip(axes)), logits, atol=1e-5)
        assert not torch.allclose(model.model(regions), logits, atol=1e-5)
