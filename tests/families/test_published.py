"""The networks of the published recipes: as large as their papers say, and they take a step.

They see smaller images here than their recipes say: a step of the largest takes half a minute of one core at the whole
size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from made_lesions import made_lesion
from mammoscope.families.family import RoleName
from mammoscope.families.find import find_family, load_recipe
from mammoscope.families.samples import ClassifierBatch, DetectorBatch, JointBatch, SegmenterBatch

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
    changes
        Of the recipe, that change next to no parameter: networks that depend on the size of the images.
    """

    role: RoleName
    recipe: str
    millions: float | None
    size: int
    tolerance: float = 0.03
    changes: Mapping[str, Any] = field(default_factory=dict)


PUBLISHED = [
    Published("detect", "yolo-published", 61.5, 128, changes={"input_size": 128}),
    Published("detect", "yolo-large-published", 76.7, 128, changes={"input_size": 128}),
    Published("classify", "stacked-resnets-published", 23.5 + 42.5 + 58.1 + 3.3, 64, 0.001),  # the last: the dense head
    Published("segment", "unet-published", 31.0, 64),
    Published("segment", "connected-unets-published", 20.0, 64),
    Published("segment", "connected-unets-attention-published", None, 64),
    Published("segment", "connected-unets-residual-published", None, 64),
    Published("segment", "aunet-published", 75.5, 32),
    Published("joint", "glam-published", 2.8 + 21.3, 128, 0.01, {"patch_size": 32}),
    Published("segment", "medt-published", 1.4, 64, changes={"input_size": 64}),
    Published("segment", "transunet-published", 105.3, 64, changes={"input_size": 64}),
    Published("segment", "multiscale-adversarial-published", 7.8, 64),
]


def detector_batch(size: int) -> DetectorBatch:
    box = torch.tensor([[size / 4, size / 4, size / 2, size / 2]])
    return DetectorBatch(torch.randn(2, 1, size, size), [box, box[:0]])


def classifier_batch(size: int) -> ClassifierBatch:
    masks = torch.zeros(2, 1, size, size)
    masks[:, :, size // 4 : size // 2, size // 4 : size // 2] = 1
    lesions = (made_lesion(assessment="4", mass_shape="OVAL"), made_lesion(assessment="2", mass_shape="ROUND"))
    return ClassifierBatch(torch.randn(2, 1, size, size), masks, lesions, torch.tensor([1.0, 0.0]))


def segmenter_batch(size: int) -> SegmenterBatch:
    masks = torch.zeros(2, 1, size, size)
    masks[:, :, size // 4 : size // 2, size // 4 : size // 2] = 1
    return SegmenterBatch(torch.randn(2, 1, size, size), masks)


def joint_batch(size: int) -> JointBatch:
    found = detector_batch(size)
    outlines = segmenter_batch(size).masks * torch.tensor([1.0, 0.0])[:, None, None, None]
    grades, outlined = [torch.ones(1), torch.zeros(0)], [torch.ones(1).bool(), torch.zeros(0).bool()]
    return JointBatch(found.images, found.boxes, grades, outlined, outlines, torch.tensor([1.0, 0.0]))


BATCHES: dict[RoleName, Callable[[int], Any]] = {
    "detect": detector_batch,
    "classify": classifier_batch,
    "segment": segmenter_batch,
    "joint": joint_batch,
}


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.recipe)
def test_a_published_network_is_as_large_as_published_and_takes_a_step(published: Published) -> None:
    torch.manual_seed(0)
    recipe = load_recipe(published.role, published.recipe).model_copy(update=published.changes)
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
