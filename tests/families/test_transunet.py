"""TransUNet: its encoders."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import timm
import torch

from mammoscope.errors import RecipeError
from mammoscope.families.backbone import make_levels
from mammoscope.families.segment.transunet import STRIDES, HybridStem, TransUNetFamily, TransUNetRecipe
from small_recipes import small_table

pytestmark = pytest.mark.training


def recipe(**changes: Any) -> TransUNetRecipe:
    return TransUNetRecipe.model_validate({**small_table(TransUNetFamily()), **changes})


def test_the_maps_of_the_published_encoder_are_those_of_timm() -> None:
    torch.manual_seed(0)
    vit: Any = timm.create_model("vit_base_r50_s16_224", in_chans=1, img_size=64, embed_dim=16, depth=1, num_heads=2)
    resnet = vit.patch_embed.backbone.eval()
    pictures = torch.randn(1, 1, 64, 64)
    expected = resnet.forward_features(pictures)
    maps = HybridStem(resnet)(pictures)
    assert [tuple(level.shape[1:]) for level in maps] == [
        (channels, 64 // stride, 64 // stride) for channels, stride in zip((64, 256, 512, 1024), STRIDES, strict=True)
    ]
    torch.testing.assert_close(maps[-1], expected)


@pytest.mark.parametrize("backbone", ["vit_base_r50_s16_224", "test_efficientnet"])
def test_the_whole_image_decides_each_pixel(backbone: str) -> None:
    torch.manual_seed(0)
    network = TransUNetFamily().network(recipe(backbone=backbone, input_size=128), {}, None).eval()
    pictures = torch.randn(1, 1, 128, 128, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(pictures)[0, 0, 0, 0], pictures)
    assert (gradient != 0).float().mean() > 0.9


def test_an_efficientnet_has_no_stage_beyond_the_last_map() -> None:
    torch.manual_seed(0)
    body = make_levels("tf_efficientnet_lite0", None, 64, STRIDES)
    whole = make_levels("tf_efficientnet_lite0", None, 64)
    rest = whole.load_state_dict(body.state_dict(), strict=False)
    assert rest.missing_keys and not rest.unexpected_keys
    pictures = torch.randn(1, 1, 64, 64)
    body.eval(), whole.eval()
    maps = body(pictures)
    assert all(map(torch.equal, maps, whole(pictures)[: len(STRIDES)]))
    maps[-1].square().sum().backward()
    assert all(parameter.grad is not None for parameter in body.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "embedding is 32, expected a multiple of heads, 3"),
        ({"backbone": "vit_small_r26_s32_224"}, "its transformer does not see a map of stride 16"),
        ({"backbone": "vit_tiny_r_s16_p8_224"}, "its transformer does not see a map of stride 16"),
        ({"backbone": "test_vit"}, "backbone is 'test_vit'"),
        ({"backbone": "no_such_network"}, "which timm .* does not know"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        TransUNetFamily().network(recipe(**changes), {}, None)
