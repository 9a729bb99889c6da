"""Auxiliary targets of the classifier: what they are, what is left out of the loss, and that branches learn them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch.nn import functional

from mammoscope.bundling.sources import Run, open_source
from mammoscope.datasets.layout import Lesion, load_dataset, write_table
from mammoscope.families.attributes import Attributes
from mammoscope.families.classify.three_branch import (
    BRANCHES,
    Branch,
    DescribingBranch,
    ThreeBranchFamily,
    ThreeBranchRecipe,
    masked_cross_entropy,
)
from mammoscope.families.find import load_recipe
from mammoscope.training.checkpoint import read_tensors
from mammoscope.training.lesion_rois import load_views
from mammoscope.training.roles.classify import ClassifierTask
from mammoscope.training.run import read_run, train
from small_recipes import write_recipe
from synthetic_dataset import write_dataset

nan = np.nan
ATTRIBUTES = Attributes((("mass_margins", "ILL_DEFINED"), ("mass_margins", "SPICULATED"), ("mass_shape", "IRREGULAR")))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Malignant masses are irregular and spiculated, of the others nothing is known but the shape."""
    folder = write_dataset(tmp_path_factory.mktemp("data") / "set", patients=16)
    known = {"mass_shape": "IRREGULAR-LYMPH_NODE", "mass_margins": "SPICULATED", "assessment": "5"}
    unknown = {"mass_margins": "", "assessment": "0", "subtlety": "", "breast_density": ""}
    lesions = load_dataset(folder).lesions
    write_table(
        folder / "lesions.csv", [replace(lesion, **(known if lesion.malignant else unknown)) for lesion in lesions]
    )
    return folder


@pytest.fixture
def lesion(dataset: Path) -> Lesion:
    return load_dataset(dataset).lesions[0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("", "", "", "", ""), [nan, nan, nan, nan, nan, nan]),
        (("NA", "N/A", "0", "0", "0"), [nan, nan, nan, nan, nan, nan]),
        (("nan", "nan", "6", "nan", "5"), [nan, nan, nan, nan, nan, nan]),
        (("IRREGULAR", "SPICULATED", "1", "1", "1"), [0, 1, 1, 0, 0, 0]),
        (("IRREGULAR-ARCHITECTURAL_DISTORTION", "ILL_DEFINED-SPICULATED", "5", "5", "4"), [1, 1, 1, 1, 1, 1]),
        (("LYMPH_NODE", "", "3", "2.0", "4"), [nan, nan, 0, 0.5, 0.25, 1]),
    ],
)
def test_targets_are_words_and_grades_and_gaps_where_nothing_is_said(
    lesion: Lesion, fields: tuple[str, ...], expected: list[float]
) -> None:
    names = ("mass_shape", "mass_margins", "assessment", "subtlety", "breast_density")
    targets = ATTRIBUTES.targets(replace(lesion, **dict(zip(names, fields, strict=True))))
    assert targets.dtype == np.float32 and len(ATTRIBUTES.names) == len(targets)
    np.testing.assert_array_equal(targets, np.array(expected, np.float32))


def test_only_words_said_of_one_lesion_in_fifty_are_learned(lesion: Lesion) -> None:
    common, rare = replace(lesion, mass_shape="OVAL-ROUND"), replace(lesion, mass_shape="OVAL-LYMPH_NODE")
    unknown = replace(lesion, mass_shape="NA", mass_margins="")
    fitted = Attributes.fit([common] * 2 + [rare] + [unknown] * 97)
    assert fitted.words == (("mass_margins", "SPICULATED"), ("mass_shape", "OVAL"), ("mass_shape", "ROUND"))
    assert fitted.names[:2] == ["mass_margins SPICULATED", "mass_shape OVAL"]


def test_what_is_not_known_is_left_out_of_the_loss() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]], requires_grad=True)
    loss = masked_cross_entropy(logits, torch.tensor([[1.0, nan], [nan, 0.25]]))
    expected = functional.binary_cross_entropy_with_logits(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.25]))
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad == 0).tolist() == [[False, True], [True, False]]
    assert masked_cross_entropy(logits, torch.full((2, 2), nan)).item() == 0


def test_a_branch_learns_its_auxiliary_targets(dataset: Path, tmp_path: Path) -> None:
    recipe = load_recipe("classify", str(write_recipe(tmp_path, "classifier")))
    assert isinstance(recipe, ThreeBranchRecipe)
    family, views = ThreeBranchFamily(), load_views(load_dataset(dataset), recipe.preprocess, "reading")
    attributes = Attributes.of(family.fitted(recipe, views)["auxiliary_targets"])
    torch.manual_seed(0)
    model = DescribingBranch(Branch("roi", recipe.backbone, None), attributes)
    task = ClassifierTask(family, recipe, model, views, [])
    samples = [task.sample(index, np.random.default_rng(index)) for index in range(len(task))]
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        parts = task.loss(samples, torch.device("cpu"), torch.autocast("cpu", enabled=False))
        losses.append(parts["auxiliary_loss"].item())
        optimizer.zero_grad()
        parts["auxiliary_loss"].backward()
        assert model.auxiliary.weight.grad is not None and model.auxiliary.weight.grad.any()
        assert any(parameter.grad is not None for parameter in model.branch.backbone.parameters())
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.training
def test_auxiliary_layers_stay_behind_in_the_branches(dataset: Path, tmp_path: Path) -> None:
    train("classifier", dataset, str(write_recipe(tmp_path, "classifier", epochs=1)), tmp_path / "run")
    names = read_run(tmp_path / "run")["fitted"]["auxiliary_targets"]
    assert "mass_margins SPICULATED" in names and "breast_density" in names
    for branch in BRANCHES:
        tensors, _ = read_tensors(tmp_path / "run" / branch / "best.safetensors")
        assert tensors["auxiliary.weight"].shape[0] == len(names)
        assert "auxiliary_loss" in (tmp_path / "run" / branch / "metrics.csv").read_text()
        # Frozen in the joined phase, the branch is there as it was trained.
        joined, _ = read_tensors(tmp_path / "run" / "joined" / "best.safetensors")
        for name, tensor in tensors.items():
            if name.startswith("branch."):
                assert torch.equal(joined[f"branches.{branch}.{name.removeprefix('branch.')}"], tensor), name
    run = open_source("classify", tmp_path / "run")
    assert isinstance(run, Run)
    assert not any("auxiliary" in name for name in run.exported.network.state_dict())


@pytest.mark.load
@pytest.mark.training
def test_without_them_a_training_is_as_it_was(dataset: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, "classifier", epochs=1)
    path.write_text(path.read_text().replace("auxiliary_weight = 0.3\n", ""))
    train("classifier", dataset, str(path), tmp_path / "run")
    facts = read_run(tmp_path / "run")
    assert facts["recipe"].pop("auxiliary_weight") == 0
    (tmp_path / "run" / "run.json").write_text(json.dumps(facts))  # as a version wrote it that did not know the setting
    train("classifier", dataset, str(path), tmp_path / "run")
    assert "fitted" not in read_run(tmp_path / "run")
    tensors, _ = read_tensors(tmp_path / "run" / "roi" / "best.safetensors")
    assert tensors.keys() == Branch("roi", "test_efficientnet", None).state_dict().keys()
