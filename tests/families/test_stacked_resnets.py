"""The stacked residual networks: what they see, what they learn from, and what a bundle gets to know of a lesion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from safetensors.torch import save_file

from made_lesions import made_lesion
from mammoscope.bundling.onnx_export import export_onnx
from mammoscope.bundling.roles.classify import ClassifierMaker
from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.errors import RecipeError
from mammoscope.families.backbone import backbones_of, make_backbone
from mammoscope.families.classify.stacked_resnets import (
    WORDS,
    StackedResNets,
    StackedResNetsFamily,
    StackedResNetsRecipe,
    known_cross_entropy,
)
from mammoscope.families.find import load_recipe, recipe_of
from mammoscope.families.samples import ClassifierBatch
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.classify import ClassifierSettings, OnnxClassifier
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.step import NETWORK, PreparedExam, PreparedView
from small_recipes import small_table

PRECISE = torch.autocast("cpu", enabled=False)
FAMILY = StackedResNetsFamily()


@pytest.fixture(scope="module")
def recipe() -> StackedResNetsRecipe:
    found = recipe_of("classify", small_table(FAMILY))
    assert isinstance(found, StackedResNetsRecipe)
    return found


@pytest.fixture
def network(recipe: StackedResNetsRecipe) -> StackedResNets:
    torch.manual_seed(0)
    return FAMILY.network(recipe, {}, None).eval()


def test_only_the_mass_is_seen(recipe: StackedResNetsRecipe, network: StackedResNets) -> None:
    rois, masks = torch.rand(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)
    masks[:, :, 20:40, 20:40] = 1
    black = -recipe.mean / recipe.std
    answers = network.answers(rois, masks)
    on_black = torch.where(masks > 0, rois, torch.tensor(black))
    inside = network.answers(on_black, torch.ones_like(masks))
    for one, other in zip(answers, inside, strict=True):
        torch.testing.assert_close(one, other)
    brighter = rois + 0.5 * masks
    assert not torch.allclose(network(brighter, masks), answers[0])


def test_it_answers_three_questions_with_as_many_logits_as_there_are_words(network: StackedResNets) -> None:
    answers = network.answers(torch.rand(3, 1, 64, 64), torch.ones(3, 1, 64, 64))
    assert [tuple(answer.shape) for answer in answers] == [(3,), (3, 5), (3, 4)]
    torch.testing.assert_close(network(torch.rand(0, 1, 64, 64), torch.ones(0, 1, 64, 64)).shape, torch.Size([0]))


def test_what_is_not_known_has_no_loss() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]], requires_grad=True)
    loss = known_cross_entropy(logits, torch.tensor([0, -1]))
    assert loss.item() == pytest.approx(np.log(np.exp([2.0, 0.0, -1.0]).sum()) - 2.0)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0].any() and not logits.grad[1].any()
    assert known_cross_entropy(logits, torch.tensor([-1, -1])).item() == 0


def test_a_batch_of_which_only_pathology_is_known_teaches_pathology_only(
    recipe: StackedResNetsRecipe, network: StackedResNets
) -> None:
    lesions = (
        made_lesion(assessment="0", mass_shape="ARCHITECTURAL_DISTORTION"),
        made_lesion(assessment="", mass_shape="ROUND-OVAL"),
    )
    batch = ClassifierBatch(torch.rand(2, 1, 64, 64), torch.ones(2, 1, 64, 64), lesions, torch.tensor([0.0, 1.0]))
    losses = FAMILY.loss(network, batch, recipe, PRECISE)
    assert losses["loss"].item() > 0 and losses["birads_loss"].item() == losses["shape_loss"].item() == 0
    torch.stack(list(losses.values())).sum().backward()
    assert network.pathology.weight.grad is not None and network.pathology.weight.grad.any()
    assert all(not parameter.grad.any() for parameter in network.attributes.parameters() if parameter.grad is not None)


def test_the_weight_of_attributes_scales_their_losses(recipe: StackedResNetsRecipe, network: StackedResNets) -> None:
    lesions = (made_lesion(assessment="5", mass_shape="IRREGULAR-ARCHITECTURAL_DISTORTION"),) * 2
    batch = ClassifierBatch(torch.rand(2, 1, 64, 64), torch.ones(2, 1, 64, 64), lesions, torch.ones(2))
    once = FAMILY.loss(network, batch, recipe, PRECISE)
    twice = FAMILY.loss(network, batch, recipe.model_copy(update={"attribute_weight": 2.0}), PRECISE)
    for name, factor in {"loss": 1, "birads_loss": 2, "shape_loss": 2}.items():
        assert twice[name].item() == pytest.approx(factor * once[name].item())


@pytest.mark.load
def test_a_bundle_says_birads_and_shape_beside_malignancy(
    recipe: StackedResNetsRecipe, network: StackedResNets, tmp_path: Path
) -> None:
    exported = FAMILY.export(network, recipe, {})
    assert exported.outputs == ("logit", "birads", "shape")
    export_onnx(exported, tmp_path / "classifier.onnx")
    settings = {**ClassifierMaker().settings(recipe, rescored=False), **exported.settings}
    step = OnnxClassifier.open({NETWORK: tmp_path / "classifier.onnx"}, ClassifierSettings.model_validate(settings))
    rng = np.random.default_rng(0)
    change = FrameChange(Frame.PREPROCESSED, Frame.ROI)
    rois = RoiBatch(rng.integers(0, 256, (3, 64, 64), dtype=np.uint8), (change,) * 3)
    masks = Masks((rng.random((3, 64, 64)) > 0.5).astype(np.float32), 0.5)
    breast = Preprocessed(rois.pixels[0], np.ones((64, 64), bool), FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED), 1.0)
    found = Candidates(np.zeros(3, np.int64), np.zeros((3, 4)), np.full(3, "mass"), np.ones(3), rois=rois, masks=masks)
    after = step(PreparedExam((PreparedView(breast),)), found)
    assert after.problem([True]) is None
    pixels = torch.from_numpy(rois.pixels)[:, None].float() / 255
    normalised = (pixels - recipe.mean) / recipe.std
    with torch.no_grad():
        logit, birads, shape = network.answers(normalised, torch.from_numpy(masks.probabilities)[:, None])
    assert after.malignancy_score == pytest.approx(logit.sigmoid().numpy(), abs=1e-3)
    assert after.attributes["birads"] == pytest.approx(birads.softmax(1).numpy(), abs=1e-3)
    assert after.attributes["shape"] == pytest.approx(shape.softmax(1).numpy(), abs=1e-3)
    none = step(PreparedExam((PreparedView(breast),)), found.take(np.zeros(0, np.intp)))
    assert {name: said.shape for name, said in none.attributes.items()} == {"birads": (0, 5), "shape": (0, 4)}


def test_every_backbone_starts_where_init_says(recipe: StackedResNetsRecipe, tmp_path: Path) -> None:
    assert backbones_of(recipe) == recipe.backbones
    torch.manual_seed(0)
    start = make_backbone("test_resnet", None, num_classes=0).state_dict()
    save_file(start, tmp_path / "start.safetensors")
    network = FAMILY.network(recipe, {}, str(tmp_path / "start.safetensors"))
    for backbone in network.backbones:
        assert all(torch.equal(tensor, start[name]) for name, tensor in backbone.state_dict().items())
    other = recipe.model_copy(update={"backbones": ("test_resnet", "test_efficientnet", "test_resnet")})
    with pytest.raises(RecipeError, match=r"start\.safetensors: its weights fit only .* 'test_efficientnet'"):
        FAMILY.network(other, {}, str(tmp_path / "start.safetensors"))


def test_backbones_of_several_architectures_start_from_a_folder(tmp_path: Path) -> None:
    names = ("test_resnet", "test_efficientnet")
    torch.manual_seed(0)
    starts = [make_backbone(name, None, num_classes=0).state_dict() for name in names]
    for name, start in zip(names, starts, strict=True):
        save_file(start, tmp_path / f"{name}.safetensors")
    for name, start in zip(names, starts, strict=True):
        backbone = make_backbone(name, str(tmp_path), num_classes=0)
        assert all(torch.equal(tensor, start[key]) for key, tensor in backbone.state_dict().items())
    with pytest.raises(RecipeError, match=r"test_vit\.safetensors'?: no such file"):
        make_backbone("test_vit", str(tmp_path))


def test_the_small_recipe_stacks_three_depths() -> None:
    recipe = load_recipe("classify", "stacked-resnets-small")
    assert isinstance(recipe, StackedResNetsRecipe)
    network = FAMILY.network(recipe, {}, None)
    sizes = [sum(parameter.numel() for parameter in backbone.parameters()) for backbone in network.backbones]
    assert sizes == sorted(set(sizes)), "each deeper than the one before"
    assert sum(parameter.numel() for parameter in network.parameters()) < 30e6
    assert {name: len(words) for name, words in WORDS.items()} == {"birads": 5, "shape": 4}
