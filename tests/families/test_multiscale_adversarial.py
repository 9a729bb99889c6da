"""The multi-scale adversarial network: its critics, and what the U-Net learns from them."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import Tensor, nn

from mammoscope.errors import RecipeError
from mammoscope.families.family import Phase
from mammoscope.families.find import load_recipe
from mammoscope.families.samples import SegmenterBatch
from mammoscope.families.segment.multiscale_adversarial import (
    Critics,
    MultiscaleAdversarialFamily,
    MultiscaleAdversarialRecipe,
    weighted_cross_entropy,
)
from small_recipes import small_table

pytestmark = pytest.mark.training

PRECISE = torch.autocast("cpu", enabled=False)


def recipe(**changes: Any) -> MultiscaleAdversarialRecipe:
    return MultiscaleAdversarialRecipe.model_validate({**small_table(MultiscaleAdversarialFamily()), **changes})


def batch() -> SegmenterBatch:
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(4, 1, 64, 64)
    masks[:, :, 16:48, 20:44] = 1
    return SegmenterBatch(masks + 0.3 * torch.randn(masks.shape, generator=generator), masks)


def only_phase(chosen: MultiscaleAdversarialRecipe) -> tuple[Phase, nn.Module]:
    (phase,) = MultiscaleAdversarialFamily().phases(chosen, {}, None)
    assert phase.opponent is not None
    return phase, phase.opponent


def test_the_published_critics_are_as_large_as_specified() -> None:
    chosen = load_recipe("segment", "multiscale-adversarial-published")
    assert isinstance(chosen, MultiscaleAdversarialRecipe)
    critics = Critics(chosen.critic_filters)
    assert sum(parameter.numel() for parameter in critics.parameters()) / 1e6 == pytest.approx(8.3, rel=0.03)


def test_critics_see_image_and_mask_at_full_half_and_quarter_size() -> None:
    critics, shown = Critics((4, 8)), []
    for critic in critics.critics:
        critic.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    pictures, masks = torch.rand(2, 1, 64, 64), torch.rand(2, 1, 64, 64)
    assert critics(pictures, masks).shape == ()
    assert [tuple(each.shape) for each in shown] == [(2, 2, 64, 64), (2, 2, 32, 32), (2, 2, 16, 16)]
    assert shown[2][1, 1, 0, 0].item() == pytest.approx(masks[1, 0, :4, :4].mean().item())


def critics_trained(chosen: MultiscaleAdversarialRecipe, steps: int) -> tuple[Phase, nn.Module, list[float]]:
    """The critics after some steps against a U-Net that stays as it is, and their losses."""
    torch.manual_seed(0)
    family, (phase, critics) = MultiscaleAdversarialFamily(), only_phase(chosen)
    optimizer, losses = torch.optim.Adam(critics.parameters(), 2e-3), []
    for _ in range(steps):
        (loss,) = next(family.turns(phase.network, critics, batch(), chosen, PRECISE)).values()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return phase, critics, losses


def test_critics_learn_to_tell_masks_apart_within_their_bounds() -> None:
    phase, critics, losses = critics_trained(recipe(), 40)
    assert losses[-1] < min(0, losses[0])
    assert all(parameter.grad is None for parameter in phase.network.parameters())
    for layer in critics.modules():
        if isinstance(layer, nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.1)


def test_the_network_learns_what_its_critics_want() -> None:
    chosen = recipe()
    phase, critics, _ = critics_trained(chosen, 40)
    optimizer = torch.optim.Adam(phase.network.parameters(), 2e-3)

    def turn() -> dict[str, Tensor]:
        turns = MultiscaleAdversarialFamily().turns(phase.network, critics.eval(), batch(), chosen, PRECISE)
        next(turns)
        return next(turns)

    first = turn()
    assert first.keys() == {"pixel_loss", "adversarial_loss"}
    for _ in range(10):
        optimizer.zero_grad()
        turn()["adversarial_loss"].backward()
        optimizer.step()
    assert turn()["adversarial_loss"] < first["adversarial_loss"]


def test_the_weighted_cross_entropy_of_two_pixels() -> None:
    logits, masks = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    logits[..., 0] = -torch.log(torch.tensor(3.0))  # a quarter sure of the pixel of the mass
    # (3 ln 4 + ln 2) / 2 pixels, over the mean weight, 2.
    expected = (3 * torch.tensor(4.0).log() + torch.tensor(2.0).log()) / 4
    assert weighted_cross_entropy(logits, masks, 3.0)["pixel_loss"].item() == pytest.approx(expected.item())


def test_an_image_too_small_for_the_smallest_critic_is_refused() -> None:
    with pytest.raises(RecipeError, match="input_size is 64, expected 128 or more for 5 critic_filters"):
        only_phase(recipe(critic_filters=[4, 4, 4, 4, 4]))
