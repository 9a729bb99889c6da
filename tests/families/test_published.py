"""The networks of the published recipes: as large as their papers say, and they take a step.

They see smaller images here than their recipes say where the network does not depend on the size: a step of the largest
takes half a minute of one core at the whole size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from mammoscope.families.family import RoleName
from mammoscope.families.find import find_family, load_recipe
from mammoscope.families.samples import DetectorBatch

pytestmark = pytest.mark.training


@dataclass(frozen=True)
class Published:
    """A published recipe.

    Attributes
    ----------
    millions
        Parameters that the paper gives, or that follow from it; None where neither.
    size
        Of the images here.
    tolerance
        Largest relative difference of the parameters.
    """

    role: RoleName
    recipe: str
    millions: float | None
    size: int
    tolerance: float = 0.03


PUBLISHED = [
    Published("detect", "yolo-published", 61.5, 128),
    Published("detect", "yolo-large-published", 76.7, 128),
]


def detector_batch(size: int) -> DetectorBatch:
    box = torch.tensor([[size / 4, size / 4, size / 2, size / 2]])
    return DetectorBatch(torch.randn(2, 1, size, size), [box, box[:0]])


BATCHES: dict[RoleName, Callable[[int], Any]] = {"detect": detector_batch}


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.recipe)
def test_a_published_network_is_as_large_as_published_and_takes_a_step(published: Published) -> None:
    torch.manual_seed(0)
    recipe = load_recipe(published.role, published.recipe)
    if published.role == "detect":
        recipe = recipe.model_copy(update={"input_size": published.size})
    family = find_family(published.role, recipe.family)
    network = family.network(recipe, {}, None)
    parameters = list(network.parameters())
    if published.millions is not None:
        found = sum(parameter.numel() for parameter in parameters) / 1e6
        assert found == pytest.approx(published.millions, rel=published.tolerance)
    losses = family.loss(network, BATCHES[published.role](published.size), recipe, torch.autocast("cpu", enabled=False))
    before = [parameter.detach().flatten()[0].item() for parameter in parameters]
    torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in parameters)
    torch.optim.SGD(parameters, 0.1).step()
    assert before != [parameter.detach().flatten()[0].item() for parameter in parameters]
