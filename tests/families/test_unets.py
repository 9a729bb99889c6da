"""The segmenters of convolutions in their forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import nn

from mammoscope.bundling.onnx_export import export_onnx, largest_difference
from mammoscope.bundling.steps import LARGEST_DIFFERENCE
from mammoscope.errors import RecipeError
from mammoscope.families.find import find_family, load_recipe, recipe_of
from mammoscope.families.recipe import SegmenterRecipe
from mammoscope.families.segment.connected_unets import AttentionGate
from mammoscope.stages.onnx import load_session

CONNECTED = {"family": "connected_unets", "filters": [8, 8, 16, 16]}
FORMS = [
    {"family": "unet", "filters": [8, 16, 24]},
    {"family": "unet", "filters": [8, 16]},
    *({**CONNECTED, "kind": kind} for kind in ("plain", "attention", "residual")),
    {"family": "connected_unets", "filters": [5, 7], "kind": "residual"},
    {"family": "aunet", "filters": [8, 16, 24]},
    {"family": "aunet", "filters": [5, 7]},
]
SMALL = {
    "unet-small": 1.94,
    "unet-iou-sobel-small": 1.94,
    "connected-unets-small": 5.0,
    "connected-unets-residual-small": 5.2,
    "aunet-small": 4.7,
}


def named(form: dict[str, Any]) -> str:
    return "-".join(str(form[key]) for key in ("family", "kind", "filters") if key in form)


def recipe_for(form: dict[str, Any]) -> SegmenterRecipe:
    table = {"input_size": 64, "loop": {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3}, **form}
    recipe = recipe_of("segment", table)
    assert isinstance(recipe, SegmenterRecipe)
    return recipe


def network(form: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    recipe = recipe_for(form)
    return find_family("segment", recipe.family).network(recipe, {}, None)


@pytest.mark.parametrize("form", FORMS, ids=named)
def test_logits_are_as_large_as_the_image_and_each_image_is_alone(form: dict[str, Any]) -> None:
    model = network(form).eval()
    pictures = torch.randn(2, 1, 64, 48, requires_grad=True)
    logits = model(pictures)
    assert logits.shape == pictures.shape
    logits[0].sum().backward()
    assert pictures.grad is not None
    assert pictures.grad[0].abs().sum() > 0
    assert pictures.grad[1].abs().sum() == 0


@pytest.mark.parametrize("form", FORMS, ids=named)
def test_every_weight_is_learned(form: dict[str, Any]) -> None:
    model = network(form).train()
    model(torch.randn(2, 1, 64, 64)).square().sum().backward()
    unused = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert not unused


@pytest.mark.parametrize("form", FORMS[2:5], ids=named)
def test_the_second_network_sees_the_first_ones_decoder_at_every_level(form: dict[str, Any]) -> None:
    model = network(form).eval()
    picture = torch.randn(1, 1, 64, 64)
    straight = model(picture)
    for level in range(3):
        place = model.first_up.join[level]
        hook = place.register_forward_hook(lambda module, inputs, made: made + 1)
        assert not torch.equal(model(picture), straight)
        hook.remove()
    assert torch.equal(model(picture), straight)


def test_a_gate_weighs_places_not_channels() -> None:
    torch.manual_seed(0)
    gate = AttentionGate(6)
    level, maps = torch.rand(2, 6, 5, 5) + 0.1, torch.randn(2, 6, 5, 5)
    weights = gate(level, maps) / level
    assert weights.min() > 0 and weights.max() < 1
    torch.testing.assert_close(weights, weights[:, :1].expand_as(weights))
    assert weights.std() > 0


@pytest.mark.parametrize("family", ["unet", "connected_unets", "aunet"])
def test_an_image_that_cannot_be_halved_so_often_is_refused(family: str) -> None:
    with pytest.raises(RecipeError, match=r"input_size is 80, expected a multiple of 32, .* 6 filters"):
        network({"family": family, "filters": [4] * 6, "input_size": 80})


@pytest.mark.parametrize(("name", "millions"), SMALL.items())
def test_small_networks_are_small(name: str, millions: float) -> None:
    recipe = load_recipe("segment", name)
    model = find_family("segment", recipe.family).network(recipe, {}, None)
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.03)


@pytest.mark.load
def test_the_onnx_file_of_the_residual_kind_gives_what_its_network_gives(tmp_path: Path) -> None:
    form = {"family": "connected_unets", "kind": "residual", "filters": [8, 16]}  # test_every_family exports another
    recipe = recipe_for(form)
    family, model = find_family("segment", recipe.family), network(form)
    for _ in range(3):  # so that the running statistics are those of images
        model.train()(torch.randn(4, 1, 64, 64))
    export_onnx(family.export(model, recipe, {}), tmp_path / "network.onnx")
    pictures = torch.randn(3, 1, 64, 64)
    with torch.no_grad():
        ours = model.eval()(pictures).sigmoid().numpy()
    (logits,) = load_session(tmp_path / "network.onnx").run(None, {"roi": pictures.numpy()})
    assert largest_difference([ours], [torch.from_numpy(logits).sigmoid().numpy()]) < LARGEST_DIFFERENCE


def test_connected_unets_have_a_loss_of_their_own_and_can_have_another() -> None:
    assert recipe_for(CONNECTED).loss == "dice_iou"
    assert recipe_for({**CONNECTED, "loss": "iou_sobel"}).loss == "iou_sobel"
    assert recipe_for({"family": "unet"}).loss == "dice"
