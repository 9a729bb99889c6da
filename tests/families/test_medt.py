"""The Medical Transformer: its attention, its gates and its patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import nn

from mammoscope.errors import RecipeError
from mammoscope.families.segment.medt import PATCHES, AxialAttention, MedT, MedTFamily, MedTRecipe, Positions
from small_recipes import small_table

pytestmark = pytest.mark.training


def recipe(**changes: Any) -> MedTRecipe:
    return MedTRecipe.model_validate({**small_table(MedTFamily()), **changes})


def test_attention_is_that_of_the_paper_in_rows() -> None:
    torch.manual_seed(0)
    channels, length = 4, 3
    attention = AxialAttention(channels, 1, length).eval()
    positions = attention.positions
    assert positions is not None
    with torch.no_grad():
        positions.gates.copy_(torch.tensor([0.5, 0.7, 0.3, 0.9]))
    maps = torch.randn(1, channels, 2, length)
    found = attention(maps).detach().numpy()
    scale = 1 / np.sqrt(1 + 1e-5)  # of normalisation that has seen nothing
    weights = attention.projections[0].weight.detach().numpy()[:, :, 0, 0]
    table, gates = positions.distances.detach().numpy(), positions.gates.detach().numpy()
    for row in range(2):
        cells = scale * weights @ maps[0, :, row].numpy()  # (8, cells)
        query, key, value = cells[:2], cells[2:4], cells[4:]
        for i in range(length):
            away = [i - j + length - 1 for j in range(length)]
            back = [j - i + length - 1 for j in range(length)]
            alike = np.array(
                [
                    query[:, i] @ key[:, j]
                    + gates[0] * query[:, i] @ table[:2, away[j]]
                    + gates[1] * key[:, j] @ table[2:4, back[j]]
                    for j in range(length)
                ]
            )
            shares = np.exp(scale * alike) / np.exp(scale * alike).sum()
            seen = sum(
                share * (gates[3] * value[:, j] + gates[2] * table[4:, away[j]]) for j, share in enumerate(shares)
            )
            np.testing.assert_allclose(found[0, :, row, i], scale * seen, rtol=1e-4, atol=1e-5)


def test_rows_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    attention = AxialAttention(8, 2, None).eval()
    maps = torch.randn(1, 8, 4, 6)
    changed = maps.clone()
    changed[:, :, 2] += 1
    differs = (attention(maps) - attention(changed)).abs().amax(dim=(0, 1, 3)) > 1e-6
    assert differs.tolist() == [False, False, True, False]


def test_the_gates_learn_in_the_second_phase_only() -> None:
    torch.manual_seed(0)
    chosen, family = recipe(), MedTFamily()
    pictures = torch.randn(2, 1, chosen.input_size, chosen.input_size)
    moved = []
    for phase in family.phases(chosen, {}, None):
        gates = [module.gates for module in phase.network.modules() if isinstance(module, Positions)]
        before = [gate.detach().clone() for gate in gates]
        learning = [parameter for parameter in phase.network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(learning, 1.0)
        phase.network(pictures).square().sum().backward()
        optimizer.step()
        moved.append([not torch.equal(gate, start) for gate, start in zip(gates, before, strict=True)])
        if phase.name:
            assert all(gate.tolist() == pytest.approx([0.1, 0.1, 0.1, 1]) for gate in gates)
    assert moved == [[False] * len(moved[0]), [True] * len(moved[0])]


def test_both_phases_together_are_as_long_as_the_recipe_says() -> None:
    chosen = recipe(gates_from=3, loop={"epochs": 8, "batch_size": 4, "learning_rate": 1e-3})
    assert [phase.settings.epochs for phase in MedTFamily().phases(chosen, {}, None)] == [3, 5]


def test_the_local_branch_sees_each_patch_alone() -> None:
    torch.manual_seed(0)
    network = MedTFamily().network(recipe(), {}, None).eval()
    pictures = torch.randn(2, 1, 64, 64)
    side = 64 // PATCHES
    strips = [
        torch.cat([network.patches(patch) for patch in strip.split(side, dim=3)], dim=3)
        for strip in pictures.split(side, dim=2)
    ]
    expected = network.output(network.whole(pictures) + torch.cat(strips, dim=2))
    torch.testing.assert_close(network(pictures), expected)


@pytest.mark.parametrize("size", [64, 128, 192])
def test_logits_are_as_large_as_the_image(size: int) -> None:
    network: nn.Module = MedTFamily().network(recipe(input_size=size), {}, None).eval()
    assert isinstance(network, MedT)
    assert network(torch.zeros(1, 1, size, size)).shape == (1, 1, size, size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "width_factor is 0.0625, which gives 8 channels, expected a multiple of twice heads, 6"),
        ({"input_size": 80, "local_layers": [1, 1, 1]}, "input_size is 80, expected a multiple of 32"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MedTFamily().network(recipe(**changes), {}, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates_from": 2}, "gates_from is 2, it must lie below loop.epochs, 2"),
        (
            {"loop": {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3, "drop_epochs": [2]}},
            "loop.drop_epochs must be empty",
        ),
    ],
)
def test_a_recipe_whose_gates_cannot_learn_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(**changes)
