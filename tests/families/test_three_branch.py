"""The branches of the classifier: which there are, in what order they are trained, and that older runs still open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import onnxruntime
import torch

from mammoscope.bundling.onnx_export import export_onnx, largest_difference
from mammoscope.errors import RecipeError
from mammoscope.families.classify.three_branch import (
    Branch,
    ThreeBranchClassifier,
    ThreeBranchFamily,
    ThreeBranchRecipe,
)
from mammoscope.families.find import load_recipe, recipe_of
from mammoscope.families.transformer import PooledTransformer
from small_recipes import small_table

FAMILY = ThreeBranchFamily()
VIT = {"patch_size": 16, "embedding": 32, "layers": 2, "heads": 2}


def recipe_with(**settings: Any) -> ThreeBranchRecipe:
    recipe = recipe_of("classify", {**small_table(FAMILY), **settings})
    assert isinstance(recipe, ThreeBranchRecipe)
    return recipe


@pytest.mark.parametrize(
    ("settings", "phases"),
    [
        ({}, ["roi", "shape", "margin", "joined", "tuned"]),
        ({"branches": ["roi"]}, ["roi", "joined", "tuned"]),
        ({"branches": ["margin", "roi"]}, ["margin", "roi", "joined", "tuned"]),
        ({"transformer": VIT}, ["roi", "shape", "margin", "transformer", "joined", "tuned"]),
        ({"branches": ["roi"], "transformer": VIT}, ["roi", "transformer", "joined", "tuned"]),
    ],
)
def test_each_branch_is_trained_alone_and_then_joined(settings: dict[str, Any], phases: list[str]) -> None:
    recipe = recipe_with(**settings, auxiliary_weight=0)
    found = {}
    for phase in FAMILY.phases(recipe, {}, None):
        found[phase.name] = phase.network
        if phase.name == "joined":
            assert isinstance(phase.network, ThreeBranchClassifier)
            for name, branch in phase.network.branches.items():
                alone = found[name].state_dict()
                assert all(torch.equal(tensor, alone[key]) for key, tensor in branch.state_dict().items()), name
                assert not any(parameter.requires_grad for parameter in branch.parameters())
    assert list(found) == phases
    assert list(found["tuned"].branches) == phases[:-2]
    assert all(parameter.requires_grad for parameter in found["tuned"].parameters())


def test_the_transformer_sees_the_whole_region(torch_seed: None) -> None:
    branch = Branch("roi", PooledTransformer(64, **VIT), None).eval()
    rois, masks = torch.rand(1, 1, 64, 64, requires_grad=True), torch.zeros(1, 1, 64, 64)
    branch(rois, masks).sum().backward()
    assert rois.grad is not None
    assert (rois.grad.unfold(2, 16, 16).unfold(3, 16, 16).abs().sum(dim=(-1, -2)) > 0).all(), "a patch is not seen"
    assert branch.features(rois, masks).shape == (1, 32)


@pytest.fixture
def torch_seed() -> None:
    torch.manual_seed(0)


@pytest.mark.load
def test_all_branches_go_into_the_file(torch_seed: None, tmp_path: Path) -> None:
    recipe = recipe_with(branches=["roi"], transformer={**VIT, "layers": 1})
    network = FAMILY.network(recipe, {}, None)
    export_onnx(FAMILY.export(network, recipe, {}), tmp_path / "classifier.onnx")
    rois, masks = torch.rand(3, 1, 64, 64), (torch.rand(3, 1, 64, 64) > 0.5).float()
    session = onnxruntime.InferenceSession(tmp_path / "classifier.onnx")
    theirs = session.run(None, {"roi": rois.numpy(), "mask": masks.numpy()})
    with torch.no_grad():
        ours = network.eval()(rois, masks)
    assert largest_difference(theirs, [ours.numpy()]) < 1e-3


def test_a_network_of_before_there_was_a_choice_of_branches_still_opens(torch_seed: None) -> None:
    table = load_recipe("classify", "default").model_dump(mode="json")
    for name in ("branches", "transformer"):
        table.pop(name)  # as run.json of then
    recipe = recipe_of("classify", {**table, "backbone": "test_efficientnet", "input_size": 64})
    assert isinstance(recipe, ThreeBranchRecipe)
    assert (recipe.branches, recipe.transformer) == (("roi", "shape", "margin"), None)
    names = FAMILY.network(recipe, {}, None).state_dict().keys()
    for branch in ("roi", "shape", "margin"):
        assert f"branches.{branch}.output.weight" in names
        assert any(name.startswith(f"branches.{branch}.backbone.") for name in names)
    joined = sorted(name for name in names if name.startswith("joined."))
    assert joined == sorted(f"joined.{place}.{part}" for place in (0, 3, 6, 9) for part in ("weight", "bias"))
    assert all(name.startswith(("joined.", "branches.")) for name in names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"branches": []}, r"branches: .*at least 1 item"),
        ({"branches": ["roi", "roi"]}, "branches are roi, roi, expected each once"),
        ({"branches": ["edge"]}, r"branches\.0: .*'edge'"),
        ({"transformer": {**VIT, "heads": 3}}, "embedding is 32, expected a multiple of heads, 3"),
        ({"transformer": {**VIT, "patch_size": 24}}, "input_size is 64, expected a multiple of .*patch_size, 24"),
    ],
)
def test_branches_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_with(**settings)


def test_the_small_recipes_differ_in_their_branches_only() -> None:
    three = load_recipe("classify", "three-branch-small").model_dump()
    for name in ("single-branch-small", "three-branch-vit-small"):
        other = load_recipe("classify", name).model_dump()
        differing = {key for key in three if three[key] != other[key]}
        lengths = {"loop", "joined", "tuned"}
        assert differing - lengths <= {"branches", "transformer"}
        for part in lengths:
            assert three[part] | {"epochs": 0} == other[part] | {"epochs": 0}
