"""The network that paints masses, and its critic."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from mammoscope.errors import RecipeError
from mammoscope.families.find import recipe_of
from mammoscope.families.generate.mass_painter import (
    MassPainterFamily,
    MassPainterRecipe,
    Painter,
    coarse_difference,
    continued,
    grain,
    mean_at,
)
from mammoscope.families.samples import GeneratorBatch

pytestmark = pytest.mark.training

WORDS = ["mass_margins SPICULATED", "mass_shape ROUND"]
PRECISE = torch.autocast("cpu", enabled=False)


def recipe_with(**settings: object) -> MassPainterRecipe:
    loop = {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3}
    recipe = recipe_of("generate", {"family": "mass_painter", **MassPainterFamily.trial, "loop": loop, **settings})
    assert isinstance(recipe, MassPainterRecipe)
    return recipe


def batch_of(size: int = 32) -> GeneratorBatch:
    """Noise with a bright square in it, which is to be painted."""
    torch.manual_seed(0)
    rois, masks = torch.randn(4, 1, size, size), torch.zeros(4, 1, size, size)
    masks[:, :, 10:22, 10:22] = 1
    return GeneratorBatch(rois + 2 * masks, masks, masks, torch.eye(2).repeat(2, 1))


def test_tissue_is_continued_smoothly_into_the_blank() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    known = torch.ones(1, 1, 32, 32)
    known[..., 8:20, 12:24] = 0
    filled = continued(ramp * known, known)
    assert torch.equal(filled[known > 0], ramp[known > 0])
    assert (filled - ramp).abs().max() < 0.12  # the blank is 0.39 wide
    nothing = continued(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32))
    assert torch.equal(nothing, torch.zeros(1, 1, 32, 32))


def test_the_painter_starts_with_a_smooth_continuation_and_what_was_in_the_blank_does_not_matter() -> None:
    family, recipe, batch = MassPainterFamily(), recipe_with(), batch_of()
    network = family.network(recipe, {"words": WORDS}, None).eval()
    noise = torch.randn(4, *family.noise_shape(recipe))
    painted = family.paint(network, batch, noise, PRECISE)
    known = (batch.weights == 0).float()
    bias = network.output.bias.item()
    assert torch.allclose(painted, continued(batch.rois * known, known) + bias * batch.weights, atol=1e-6)
    other = GeneratorBatch(batch.rois + 5 * batch.weights, batch.masks, batch.weights, batch.words)
    assert torch.allclose(painted, family.paint(network, other, noise, PRECISE), atol=1e-5)


@pytest.mark.parametrize("changed", ["words", "noise", "mask"])
def test_what_is_painted_follows_words_noise_and_mask(changed: str) -> None:
    torch.manual_seed(0)
    network = Painter((8, 12), 2, 2).eval()
    torch.nn.init.normal_(network.output.weight)
    seen, words, noise = torch.rand(1, 3, 16, 16), torch.tensor([[1.0, 0.0]]), torch.randn(1, 2, 16, 16)
    before = network(seen, words, noise)
    if changed == "words":
        words = torch.tensor([[0.0, 1.0]])
    elif changed == "noise":
        noise = torch.randn(1, 2, 16, 16)
    else:
        seen = torch.cat([seen[:, :1], 1 - seen[:, 1:2], seen[:, 2:]], dim=1)
    assert not torch.allclose(before, network(seen, words, noise), atol=1e-4)


def test_painter_and_critic_learn_in_turn() -> None:
    torch.manual_seed(0)
    family, recipe, batch = MassPainterFamily(), recipe_with(), batch_of()
    (phase,) = family.phases(recipe, {"words": WORDS}, None)
    critic = phase.opponent
    assert critic is not None
    optimizers = [torch.optim.Adam(network.parameters(), 2e-3) for network in (critic, phase.network)]
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for _ in range(30):
        turns = family.turns(phase.network, critic, batch, recipe, PRECISE)
        for optimizer in optimizers:
            losses = next(turns)
            optimizer.zero_grad()
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            for name, value in losses.items():
                first.setdefault(name, value.item())
                last[name] = value.item()
    assert set(last) == {"critic_loss", "coarse_loss", "grain_loss", "adversarial_loss"}
    assert np.isfinite(list(last.values())).all()
    assert last["coarse_loss"] < 0.5 * first["coarse_loss"]


def test_only_what_is_painted_counts() -> None:
    batch = batch_of()
    assert coarse_difference(batch.rois, batch, 4) == 0
    # One level of difference all over the mass, which covers whole squares: the mean over it is 1, but for smoothing.
    squares = torch.zeros_like(batch.masks)
    squares[..., 8:24, 8:24] = 1
    whole = GeneratorBatch(batch.rois, squares, squares, batch.words)
    assert coarse_difference(batch.rois + squares, whole, 4).item() == pytest.approx(1, abs=0.02)
    values, places = torch.tensor([1.0, 3.0, 100.0]), torch.tensor([True, True, False])
    assert mean_at(places, values) == 2
    assert mean_at(torch.zeros(3, dtype=torch.bool), values) == 0


def test_grain_is_how_strong_structures_are_wherever_they_lie() -> None:
    torch.manual_seed(0)
    pictures, weights = torch.randn(2, 1, 64, 64), torch.zeros(2, 1, 64, 64)
    weights[..., 8:56, 8:56] = 1
    found = grain(pictures, weights)
    assert found.shape == (2, 3)
    assert torch.allclose(grain(2 * pictures + 5, weights), found + np.log(2), atol=0.01)
    assert torch.allclose(grain(pictures.roll(2, dims=3), weights), found, atol=0.2)
    nothing = grain(pictures, torch.zeros_like(weights))
    assert torch.allclose(nothing, torch.full_like(nothing, np.log(0.01)))
    blurred = torch.nn.functional.avg_pool2d(pictures, 5, 1, 2)
    assert (grain(blurred, weights)[:, 0] < found[:, 0] - 1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_size": 48, "filters": [4, 4, 4, 4, 4, 4]}, "input_size is 48, expected a multiple of 32"),
        ({"critic_filters": [4] * 6}, "input_size is 32, expected 64 or more for 6 critic_filters"),
        ({"contrast": {"clip_limit": 2}}, "contrast.clip_limit must be 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        list(MassPainterFamily().phases(recipe_with(**settings), {"words": []}, None))
