"""Masses painted by a trained generator: where, how often the same, and in which training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

from mammoscope.bundle import Bundle
from mammoscope.bundling.build import build_bundle
from mammoscope.bundling.swap import swapped
from mammoscope.cli.app import app
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import RecipeError
from mammoscope.families.find import find_family, load_recipe, recipe_names
from mammoscope.families.recipe import SegmenterRecipe
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.training.roles.segment import SegmentRole
from mammoscope.training.run import read_run, train
from mammoscope.training.synthesis.canvas import make_canvas, paint_weight
from mammoscope.training.synthesis.outlines import draw_mask, outline_radii
from mammoscope.training.synthesis.painter import Painter
from mammoscope.training.synthesis.texture import texture, texture_distance
from mammoscope.training.synthesis.tissue import healthy_box
from small_recipes import as_toml, small_table
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=12)


@pytest.fixture(scope="module")
def training(folder: Path) -> Dataset:
    return split_patients(load_dataset(folder), folds=4)[0]


@pytest.fixture(scope="module")
def generator(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("generator")
    recipe = place / "recipe.toml"
    recipe.write_text(as_toml(small_table(find_family("generate", "mass_painter"), epochs=1)))
    train("generator", folder, str(recipe), place / "run")
    return place / "run"


@pytest.fixture(scope="module")
def painter(generator: Path) -> Painter:
    return Painter.opened(generator, read_run(generator))


def segmenter_recipe(folder: Path, *, share: float = 0.5, fold: int = 0) -> Path:
    table = small_table(find_family("segment", "unet"), epochs=1)
    table |= {"synthetic_share": share, "synthetic_pool": COUNT, "split": {**table["split"], "fold": fold}}
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    path = folder / "segmenter.toml"
    path.write_text(as_toml({**plain, **{key: value for key, value in table.items() if isinstance(value, dict)}}))
    return path


def test_the_built_in_recipes_are_small_and_whole() -> None:
    for name in recipe_names("generate"):
        recipe = load_recipe("generate", name)
        network = find_family("generate", recipe.family).network(recipe, {"words": ["mass_shape OVAL"]}, None)
        assert sum(parameter.numel() for parameter in network.parameters()) <= 3e6


def test_only_the_mass_and_its_rim_are_painted(painter: Painter) -> None:
    rng, size = np.random.default_rng(0), painter.recipe.input_size
    tissue = cv2.GaussianBlur(rng.integers(0, 255, (size, size), dtype=np.uint8), (0, 0), 1)
    mask = draw_mask(outline_radii(rng, "LOBULATED", "SPICULATED"), size, painter.recipe.mass_fraction)
    canvas = make_canvas(rng, tissue, mask, {"SPICULATED"}, painter.attributes.stated({}), painter.recipe)
    noise = torch.randn(2, *painter.family.noise_shape(painter.recipe))
    painted, other = painter.painted([canvas, canvas], noise)
    reach = round(painter.recipe.rim * size) + 1
    dilated = cv2.dilate(canvas.truth, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    assert dilated.sum() < dilated.size
    for picture in (painted, other):
        assert np.array_equal(picture[~dilated], canvas.pixels[~dilated])
        assert (picture != canvas.pixels)[canvas.truth > 0].mean() > 0.5
    assert not np.array_equal(painted, other)  # of other noise


def test_what_is_painted_fades_out_around_the_mask() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    weight = paint_weight(mask, 6)
    assert (weight[mask] == 255).all()
    assert weight[15, 19:28].tolist() == [255, 255, 255, 255, 170, 85, 0, 0, 0]
    assert not paint_weight(np.zeros((8, 8), bool), 6).any()


def test_healthy_tissue_lies_on_the_breast_and_clear_of_lesions() -> None:
    inside = np.zeros((200, 160), bool)
    inside[20:180, :120] = True
    breast = Preprocessed(
        inside * np.uint8(90), inside, FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).cropped(0, 0), 1.25
    )
    lesion = np.array([[30.0, 60, 60, 90]])
    boxes = [healthy_box(np.random.default_rng(seed), breast, lesion, 20, 0.5) for seed in range(40)]
    found = [box for box in boxes if box is not None]
    assert len(found) > 30
    for x0, y0, x1, y1 in found:
        assert (x1 - x0, y1 - y0) == pytest.approx((20, 16))
        assert x0 >= 0 and x1 <= 120 and y0 >= 20 and y1 <= 180
        assert x0 - 10 >= 60 or x1 + 10 <= 30 or y0 - 8 >= 90 or y1 + 8 <= 60
    assert healthy_box(np.random.default_rng(0), breast, np.array([[0.0, 0, 160, 200]]), 20, 0.5) is None
    assert healthy_box(np.random.default_rng(0), breast, np.zeros((0, 4)), 300, 0.5) is None


def test_a_pool_is_the_same_each_time_and_shows_training_patients_alone(
    painter: Painter, training: Dataset, folder: Path, tmp_path: Path
) -> None:
    pool = painter.pool(training, COUNT, 0)
    assert 0 < len(pool) <= COUNT
    size = painter.recipe.input_size
    for picture in pool:
        assert picture.pixels.shape == picture.mask.shape == (size, size)
        assert set(np.unique(picture.mask)) == {0, 255} and picture.mask_published
    # Those who validate show nothing any more.
    shutil.copytree(folder, tmp_path / "part")
    for path in (tmp_path / "part/images").iterdir():
        if path.name not in training.images:
            cv2.imwrite(str(path), np.zeros((320, 240), np.uint8))
    part = split_patients(load_dataset(tmp_path / "part"), folds=4)[0]
    again = Painter.opened(painter.folder, read_run(painter.folder)).pool(part, COUNT, 0)
    assert [one.pixels.tobytes() for one in again] == [one.pixels.tobytes() for one in pool]
    assert [one.mask.tobytes() for one in again] == [one.mask.tobytes() for one in pool]
    others = painter.pool(training, COUNT, 1)
    assert {one.pixels.tobytes() for one in others}.isdisjoint({one.pixels.tobytes() for one in pool})


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_samples_is_painted(share: float, painter: Painter, training: Dataset, tmp_path: Path) -> None:
    recipe = load_recipe("segment", str(segmenter_recipe(tmp_path, share=share)))
    assert isinstance(recipe, SegmenterRecipe)
    role = SegmentRole(find_family("segment", "unet"), recipe, None, painter)
    task = role.task(torch.nn.Identity(), role.load(training, "training"), [])
    # The lesions of the drawn breasts are whole: their crops are exchanged for black ones, which no painted mass is.
    for number, view in enumerate(task.training):
        assert view.crop is not None
        black = np.zeros_like(view.crop.pixels)
        task.training[number] = type(view)(view.lesion, type(view.crop)(black, view.crop.mask, 0.9), None)
    shown = [task.sample(number % len(task), np.random.default_rng(number)) for number in range(200)]
    painted = np.mean([len(np.unique(pixels)) > 1 for pixels, _ in shown])
    assert painted == pytest.approx(share, abs=0.1)
    assert all(mask.any() for _, mask in shown)


def test_a_segmenter_is_trained_on_painted_masses_and_says_by_whom(
    folder: Path, generator: Path, tmp_path: Path
) -> None:
    recipe = segmenter_recipe(tmp_path)
    for name in ("run", "again"):
        command = ["train", "segmenter", str(folder), "--recipe", str(recipe), "--out", str(tmp_path / name)]
        result = CliRunner().invoke(app, [*command, "--generator", str(generator)])
        assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["recipe"]["synthetic_share"] == 0.5
    assert facts["generator"]["name"] == "run" and len(facts["generator"]["sha256"]) == 64
    first, second = (load_file(tmp_path / name / "best.safetensors") for name in ("run", "again"))
    assert all(np.array_equal(first[key], second[key]) for key in first)
    other = tmp_path / "other"
    shutil.copytree(generator, other)
    (other / "best.safetensors").write_bytes((generator / "checkpoint.safetensors").read_bytes())
    with pytest.raises(RecipeError):
        train("segmenter", folder, str(recipe), tmp_path / "run", generator=other)


def test_a_generator_that_saw_validation_patients_is_refused(folder: Path, generator: Path, tmp_path: Path) -> None:
    recipe = segmenter_recipe(tmp_path, fold=1)
    with pytest.raises(RecipeError, match=r"learned from \d+ patients who do not train here, such as S_\d+"):
        train("segmenter", folder, str(recipe), tmp_path / "run", generator=generator)
    assert not (tmp_path / "run").exists()


def test_a_generator_and_a_share_need_each_other(folder: Path, generator: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"synthetic_share is 0\.5, which needs a generator"):
        train("segmenter", folder, str(segmenter_recipe(tmp_path)), tmp_path / "run")
    with pytest.raises(RecipeError, match="would not be used, as the recipe's synthetic_share is 0"):
        train("segmenter", folder, str(segmenter_recipe(tmp_path, share=0)), tmp_path / "run", generator=generator)


def test_a_generator_is_for_segmenters_and_no_step_of_a_bundle(
    folder: Path, generator: Path, bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="for the segmenter only, not for the classifier"):
        train("classifier", folder, "default", tmp_path / "run", generator=generator)
    with pytest.raises(RecipeError, match="mass_painter is a generator, which is no step of a bundle"):
        build_bundle({"generate": generator}, folder, tmp_path / "bundle", version="0")
    with pytest.raises(RecipeError, match="a generator is no step of a bundle"):
        swapped(bundle, "generate", generator, load_dataset(folder), tmp_path / "bundle")
    with pytest.raises(RecipeError, match="holds a training of 'generator', expected 'segmenter'"):
        build_bundle({"segment": generator}, folder, tmp_path / "bundle", version="0")


def test_a_run_of_another_role_paints_nothing(folder: Path, tmp_path: Path) -> None:
    train("segmenter", folder, str(segmenter_recipe(tmp_path, share=0)), tmp_path / "plain")
    with pytest.raises(RecipeError, match="holds a training of 'segmenter', expected 'generator'"):
        train("segmenter", folder, str(segmenter_recipe(tmp_path)), tmp_path / "run", generator=tmp_path / "plain")


def test_texture_tells_a_smooth_bright_mass_from_a_coarse_dark_one() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True

    def textures(level: float, noise: float) -> list[np.ndarray]:
        pictures = [np.where(mask, level + rng.normal(0, noise, mask.shape), 80) for _ in range(20)]
        return [texture(picture.clip(0, 255).astype(np.uint8), mask) for picture in pictures]

    smooth, like, coarse = textures(180, 2), textures(180, 2), textures(110, 20)
    mean, spread, contrast, *_ = np.mean(smooth, axis=0)
    assert (mean, contrast) == pytest.approx((180, 100), abs=1) and spread == pytest.approx(2, abs=0.3)
    assert texture_distance(smooth, smooth) == pytest.approx(0, abs=1e-9)
    assert texture_distance(like, smooth) < 1 < texture_distance(coarse, smooth)
    # Of two Gaussians by hand: means 3 apart, deviations 2 and 1; the statistics' own scale is at least one level.
    first, second = np.array([[-2.0], [2.0]]) * np.eye(1), np.array([[2.0], [4.0]])
    pad = np.zeros((2, 1))
    assert texture_distance(np.hstack([first, pad]), np.hstack([second, pad])) == pytest.approx(9 + 4 + 1 - 4)
