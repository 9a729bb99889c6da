"""A network that finds, outlines and classifies at once: trained, built into a bundle, analysing and measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from one_look import OneLookFamily
from torch import Tensor, nn

from installed import PACKAGES, mammoscope
from mammoscope.bundle import Bundle, load_bundle
from mammoscope.bundling.build import build_bundle
from mammoscope.bundling.roles.joint import found_lesions
from mammoscope.bundling.swap import swapped
from mammoscope.datasets.layout import load_dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import BundleError
from mammoscope.evaluation.run import evaluate
from mammoscope.families.find import find_family, load_recipe, recipe_of
from mammoscope.families.roles import GradedFound
from mammoscope.findings import Analysis
from mammoscope.training.roles.joint import JointRole, load_graded
from mammoscope.training.run import read_run, train
from small_recipes import as_toml, small_table, write_recipe
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=24)


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training long enough to find the drawn masses."""
    folder = tmp_path_factory.mktemp("run")
    table = small_table(find_family("joint", "one-look"), epochs=60)
    table |= {"width": 16, "augmentation": {"flip_vertical": 0.5}}
    table["loop"] |= {"learning_rate": 0.01, "weight_decay": 0, "checkpoint_seconds": 60}
    (folder / "joint.toml").write_text(as_toml(table))
    train("joint", dataset, str(folder / "joint.toml"), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def joint(dataset: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle") / "joint"
    return build_bundle({"joint": run}, dataset, folder, version="0")


def test_one_network_makes_a_bundle_that_is_fitted_and_measured(run: Path, joint: Bundle) -> None:
    assert read_run(run)["task"] == "joint network"
    assert [step.role for step in joint.manifest.steps] == ["joint", "select"]
    step = joint.manifest.steps[0]
    assert step.provenance and step.provenance.family == "one-look" and "ap50" in step.provenance.metrics
    assert step.settings["slope"] > 0 and step.settings["intercept"] != 0
    assert step.settings["nms_iou"] == 0.3
    assert step.files["network"].file == "joint-network.onnx"


@pytest.mark.load
def test_swapped_into_another_bundle_it_is_the_same(run: Path, joint: Bundle, dataset: Path, tmp_path: Path) -> None:
    made = swapped(load_bundle(), "joint", run, load_dataset(dataset), tmp_path / "swapped").manifest
    assert [step.role for step in made.steps] == ["joint", "select"]
    assert made.steps[0].settings == joint.manifest.steps[0].settings
    assert made.thresholds == joint.manifest.thresholds


def test_its_outlines_lie_on_the_masses_that_it_finds(joint: Bundle, dataset: Path) -> None:
    _, validation = split_patients(load_dataset(dataset), folds=4)
    found = list(found_lesions(validation, joint))
    assert len(found) >= 4
    drawn = np.stack([each.drawn for each in found]) >= joint.manifest.steps[0].settings["mask_threshold"]
    truth = np.stack([each.mask for each in found if each.mask is not None])
    assert (drawn & truth).sum() / (drawn | truth).sum() > 0.6


def test_it_analyses_the_phantom_and_outlines_what_it_finds(joint: Bundle, exam: Path, tmp_path: Path) -> None:
    options = ("--bundle", joint.folder, "--threshold", joint.floor, "--out", tmp_path, "--sr", "--seg")
    mammoscope(PACKAGES, "analyze", exam / "phantom-L-CC.dcm", *options)
    assert (tmp_path / "phantom-L-CC.overlay.png").is_file()
    analysis = Analysis.model_validate_json((tmp_path / "phantom-L-CC.json").read_bytes())
    assert analysis.findings
    assert any(finding.outline for finding in analysis.findings)


def test_it_is_measured_as_a_detector_and_as_a_chain(joint: Bundle, dataset: Path, tmp_path: Path) -> None:
    figures = {}
    for stage in ("detector", "pipeline"):
        path = evaluate(stage, dataset, tmp_path / stage, joint, draws=10)  # type: ignore[arg-type]
        figures[stage] = json.loads(path.read_text(encoding="utf-8"))
    # Eighteen of the 24 masses are those that it learned from.
    assert figures["detector"]["ap50"]["value"] > 0.5
    assert figures["pipeline"]["at_lesion_count"]["threshold"] > 0


@pytest.mark.parametrize(("stage", "does"), [("segmenter", "segments"), ("classifier", "classifies")])
def test_it_is_no_segmenter_and_no_classifier_of_given_regions(
    stage: str, does: str, joint: Bundle, dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        BundleError, match=f"no step {does} given regions.*step 'joint' {does} only what it finds itsel"
    ):
        evaluate(stage, dataset, tmp_path, joint, draws=10)  # type: ignore[arg-type]


@pytest.mark.load
@pytest.mark.load
def test_a_rescorer_follows_it(joint: Bundle, dataset: Path, tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path, "rescorer", epochs=1))
    train("rescorer", dataset, recipe, tmp_path / "rescorer", proposing=joint.folder)
    sources = {"joint": joint.folder, "rescore": tmp_path / "rescorer"}
    built = build_bundle(sources, dataset, tmp_path / "bundle", version="0")  # type: ignore[arg-type]
    assert [step.role for step in built.manifest.steps] == ["joint", "rescore", "select"]
    assert built.manifest.steps[0].settings["nms_iou"] == 0.15


@pytest.mark.load
def test_without_a_recipe_the_command_says_which_there_are(dataset: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join(path for path in sys.path if path != str(PACKAGES))
    command = [sys.executable, "-m", "mammoscope", "train", "joint", str(dataset), "--out", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "built-in recipes: glam-published, glam-small" in done.stderr
    assert not (tmp_path / "run").exists()


def test_images_come_with_what_is_known_of_their_lesions(dataset: Path) -> None:
    loaded = load_dataset(dataset)
    malignant, benign, *others = loaded.lesions
    # Of the first nothing is told but its box; the second's crop may be mirrored, so that its mask has no place.
    rows = (replace(malignant, pathology="", crop="", mask=""), replace(benign, crop_flipped=None), *others)
    recipe = recipe_of("joint", {"family": "one-look", "input_size": 128, "loop": _LOOP})
    images = load_graded(replace(loaded, lesions=rows), recipe, "reading")  # type: ignore[arg-type]
    assert np.isnan([images[0].label, *images[0].malignant]).all()
    assert [image.label for image in images[1:4]] == [0, 1, 0]
    assert [image.outlined.tolist() for image in images[:3]] == [[False], [False], [True]]
    assert not images[0].outlines.any() and not images[1].outlines.any()
    y, x = np.nonzero(images[2].outlines > 127)
    assert [x.min(), y.min(), x.max() + 1, y.max() + 1] == pytest.approx(images[2].boxes[0], abs=1.5)


_LOOP = {"epochs": 1, "batch_size": 2, "learning_rate": 0.001}


class Knowing(OneLookFamily):
    """Answers what it was told, image by image."""

    told: list[GradedFound]

    def detect(self, network: nn.Module, images: Tensor, autocast: torch.autocast) -> list[GradedFound]:
        return [self.told.pop(0) for _ in images]


def test_validation_measures_boxes_lesions_and_images(dataset: Path, run: Path) -> None:
    recipe = load_recipe("joint", str(run.parent / "joint.toml"))
    family = Knowing()
    role = JointRole(family, recipe, None)  # type: ignore[arg-type]
    images = role.load(load_dataset(dataset), "validation")
    task = role.task(nn.Identity(), images, images)

    def measured(told: list[GradedFound]) -> dict[str, float]:
        family.told = told
        return task.validate(nn.Identity(), torch.device("cpu"), torch.autocast("cpu", enabled=False))

    # An image's best box beside its lesion has the contrary logit, and a lower score.
    right = [
        GradedFound(
            np.concatenate([image.boxes, image.boxes[:, [2, 1, 2, 3]] + [0, 0, 20, 0]]),
            np.array([0.9, 0.1]),
            np.array([image.label, -9 * image.label]),
            image.label,
        )
        for image in images
    ]
    best = measured(list(right))
    assert [best[name] for name in ("ap50", "auc_lesions", "auc_images", "mean")] == pytest.approx([1, 1, 1, 1])
    wrong = measured([replace(found, malignancy=-found.malignancy, image=-found.image) for found in right])
    assert [wrong[name] for name in ("ap50", "auc_lesions", "auc_images")] == pytest.approx([1, 0, 0])
    assert wrong["mean"] == pytest.approx(1 / 3)
    nothing = GradedFound(np.zeros((0, 4)), np.zeros(0), np.zeros(0), 0.0)
    blind = measured([nothing] * len(images))
    assert [blind[name] for name in ("ap50", "auc_lesions", "auc_images")] == pytest.approx([0, 0.5, 0.5])
