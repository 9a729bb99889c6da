"""The segmenter's network in its forms."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from mammoscope.errors import RecipeError
from mammoscope.families.find import recipe_of
from mammoscope.families.segment.transres_unet import TransResUNet, TransResUNetFamily, TransResUNetRecipe


def _network(**settings: object) -> TransResUNet:
    table = {"input_size": 64, "embedding": 32, "layers": 1, "heads": 2, **settings}
    recipe = recipe_of("segment", {**table, "loop": {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3}})
    assert isinstance(recipe, TransResUNetRecipe)
    return TransResUNetFamily().network(recipe, {}, None)


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
def test_a_mask_is_as_large_as_the_image_and_the_transformer_sees_all_of_it(
    settings: dict[str, object], sees_all: bool
) -> None:
    torch.manual_seed(0)
    model = _network(**settings).eval()
    pictures = torch.randn(2, 1, 64, 64, requires_grad=True)
    logits = model(pictures)
    assert logits.shape == pictures.shape
    # Does the mask's first pixel depend on the picture's far corner?
    logits[0, 0, 0, 0].backward()
    assert bool(pictures.grad[0, 0, -8:, -8:].abs().sum() > 0) == sees_all
    assert pictures.grad[1].abs().sum() == 0


def test_a_width_too_few_for_the_backbone_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match="filters: 3 widths of the decoder, expected 4"):
        _network(**{**PRETRAINED, "filters": [8, 8, 16]})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**PRETRAINED, "backbone": "test_vit"}, "backbone is 'test_vit'.*strides 16, 16, 16, expected each twice"),
        ({**PRETRAINED, "backbone": "no_such"}, "backbone is 'no_such', which timm .* does not know"),
        (
            {**PRETRAINED, "input_size": 80},
            "backbone is 'test_efficientnet': its map of stride 32 is .* at input_size 80",
        ),
        ({**RESIDUAL, "filters": [8, 8, 8, 8, 8, 8], "input_size": 80}, "input_size is 80, expected a multiple of 32"),
        ({**RESIDUAL, "heads": 3}, "embedding is 32, expected a multiple of heads, 3"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        _network(**settings)
