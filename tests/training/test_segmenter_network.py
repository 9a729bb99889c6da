"""The segmenter's network in its forms."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from mammoscope.errors import RecipeError
from mammoscope.families.recipe import SegmenterRecipe, recipe_of
from mammoscope.training.roles.segment import make_segmenter


def _recipe(**settings: object) -> SegmenterRecipe:
    table = {"input_size": 64, "embedding": 32, "layers": 1, "heads": 2, **settings}
    recipe = recipe_of("segmenter", {**table, "loop": {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3}})
    assert isinstance(recipe, SegmenterRecipe)
    return recipe


RESIDUAL = {"filters": [8, 8, 16, 16, 16]}
PRETRAINED = {"backbone": "test_efficientnet", "filters": [8, 8, 16, 16]}


@pytest.mark.parametrize(
    ("settings", "sees_all"),
    [
        (RESIDUAL, True),
        (PRETRAINED, True),
        ({**PRETRAINED, "patch_size": 32}, True),
        ({**RESIDUAL, "patch_size": 8}, True),
        ({**RESIDUAL, "filters": [8, 8], "transformer": False}, False),
    ],
)
def test_a_mask_is_as_large_as_the_picture_and_the_transformer_sees_all_of_it(
    settings: dict[str, object], sees_all: bool
) -> None:
    torch.manual_seed(0)
    model = make_segmenter(_recipe(**settings)).eval()
    pictures = torch.randn(2, 1, 64, 64, requires_grad=True)
    logits = model(pictures)
    assert logits.shape == pictures.shape
    # Does the mask's first pixel depend on the picture's far corner?
    logits[0, 0, 0, 0].backward()
    assert bool(pictures.grad[0, 0, -8:, -8:].abs().sum() > 0) == sees_all
    assert pictures.grad[1].abs().sum() == 0


def test_a_width_too_few_for_the_backbone_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="filters: 3 widths on the way up, expected 4"):
        make_segmenter(_recipe(**{**PRETRAINED, "filters": [8, 8, 16]}))
