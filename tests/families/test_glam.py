"""GLAM learns from the labels of images alone, and its regions lie where its patches are salient."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch.nn import functional

from mammoscope.errors import RecipeError
from mammoscope.families.find import recipe_of
from mammoscope.families.joint.glam import STRIDE, Decoded, Glam, GlamFamily, GlamRecipe, Seen, image_labels
from mammoscope.families.samples import JointBatch

NAN = float("nan")
PRECISE = torch.autocast("cpu", enabled=False)
LOOP = {"epochs": 1, "batch_size": 2, "learning_rate": 0.001}


def small(**changes: object) -> GlamRecipe:
    table = {"family": "glam", "loop": LOOP, **GlamFamily.trial, **changes}
    return cast(GlamRecipe, recipe_of("joint", table))


def batch(grades: list[list[float]], labels: list[float], size: int = 128) -> JointBatch:
    count = len(grades)
    images = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))
    return JointBatch(
        images,
        [torch.tensor([[10.0, 10, 40, 40]]).expand(len(each), 4) for each in grades],
        [torch.tensor(each) for each in grades],
        [torch.ones(len(each), dtype=torch.bool) for each in grades],
        torch.zeros(count, 1, size, size),
        torch.tensor(labels),
    )


def losses(recipe: GlamRecipe, given: JointBatch) -> dict[str, float]:
    torch.manual_seed(0)
    family = GlamFamily()
    found = family.loss(family.network(recipe, {}, None), given, recipe, PRECISE)
    return {name: float(loss.detach()) for name, loss in found.items()}


def test_an_image_has_a_label_for_each_class() -> None:
    grades = [[1.0, 0.0], [1.0], [0.0, NAN], [NAN], []]
    found = image_labels(batch(grades, [1.0, 1.0, NAN, NAN, 0.0]))
    assert torch.equal(found.nan_to_num(-1), torch.tensor([[1.0, 1], [0, 1], [1, -1], [-1, -1], [0, 0]]))


def test_boxes_and_outlines_are_not_learned_from() -> None:
    given = batch([[1.0], [0.0, 0.0]], [1.0, 0.0])
    told = replace(given, boxes=[boxes + 50 for boxes in given.boxes], outlines=torch.ones_like(given.outlines))
    recipe = small()
    assert losses(recipe, given) == losses(recipe, replace(told, outlined=[~each for each in told.outlined]))
    assert losses(recipe, given) != losses(recipe, batch([[1.0], [0.0, 0.0]], [1.0, 1.0]))


def test_an_image_that_nothing_is_known_of_teaches_no_class() -> None:
    found = losses(small(), batch([[NAN], [NAN]], [NAN, NAN]))
    assert found["global_loss"] == found["local_loss"] == found["fusion_loss"] == 0 and found["sparsity_loss"] > 0


def test_regions_lie_where_patches_are_salient() -> None:
    recipe = small(patch_size=64)
    network = Glam(recipe, None)
    saliency = torch.full((1, 2, 2, 8, 8), 0.1)
    saliency[0, 0, 0, 2:4, 1:5] = 0.6  # benign, on the first patch
    saliency[0, 1, 1, 6:, 6:] = 0.4  # malignant, in the corner of the second
    saliency[0, 1, 1, 7, 7] = 0.8
    nothing = torch.zeros(1)
    seen = Seen(
        (), torch.tensor([[0, 2]]), torch.tensor([[1, 4]]), nothing, nothing, saliency, torch.tensor([[0.0, 1.5]])
    )
    boxes, scores, masks, malignancy = network.regions(seen)
    cell = 64 / 8
    assert boxes[0, 0].tolist() == [STRIDE + cell, 2 * cell, STRIDE + 5 * cell, 4 * cell]
    assert boxes[0, 1].tolist() == [4 * STRIDE + 6 * cell, 2 * STRIDE + 6 * cell, 4 * STRIDE + 64, 2 * STRIDE + 64]
    assert scores[0].tolist() == pytest.approx([0.6, 0.8])
    assert masks.shape == (1, 2, 28, 28) and masks.max() == 1
    # Half the cell at the rim is drawn towards what lies outside the box.
    assert masks[0, 0, 7:-7, 4:-4].min() == pytest.approx(1)
    assert masks[0, 1].min() == pytest.approx((0.1 + 0.3 * (0.5 + 1 / 28) ** 2) / 0.8) and masks[0, 1, -1, -1] == 1
    # The most malignant patch is as malignant as the image; the other less.
    assert malignancy[0, 1] == pytest.approx(1.5, abs=1e-5)
    assert malignancy[0, 0] < malignancy[0, 1]


def test_the_exported_network_gives_what_validation_sees() -> None:
    torch.manual_seed(0)
    recipe, family = small(), GlamFamily()
    network = family.network(recipe, {}, None).eval()
    image = batch([[]], [0.0]).images
    with torch.inference_mode():
        boxes, scores, masks, malignancy = Decoded(network)(image)
        found = family.detect(network, image, PRECISE)[0]
    assert boxes.shape == (2, 4) and masks.shape[0] == scores.shape[0] == 2
    assert ((masks >= 0) & (masks <= 1)).all() and ((scores >= 0) & (scores <= 1)).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all() and boxes.min() >= 0 and boxes.max() <= 128
    assert set(found.scores.tolist()) <= set(scores.double().tolist())
    # The most malignant of all patches is as malignant as the image.
    assert malignancy.max().item() == pytest.approx(found.image, abs=1e-4)


def test_the_local_module_keeps_the_resolution_that_its_strides_say() -> None:
    for strides, side in (((1, 1, 1), 8), ((2, 1, 1), 4), ((2, 2, 2), 1)):
        network = Glam(small(backbone="resnet10t", local_strides=strides), None).eval()
        assert network.local(torch.zeros(1, 1, 32, 32)).shape[2:] == (side, side)


def discs(count: int, size: int, random: torch.Generator) -> JointBatch:
    """Noise, and on every second image a bright disc, which is malignant."""
    images = functional.interpolate(torch.randn(count, 1, size // 4, size // 4, generator=random), size=size) / 2
    boxes, places = [torch.zeros(0, 4)] * count, torch.arange(size)
    for at in range(1, count, 2):
        x, y = torch.randint(16, size - 16, (2,), generator=random).tolist()
        images[at, 0][(places - x) ** 2 + (places[:, None] - y) ** 2 < 100] += 2
        boxes[at] = torch.tensor([[x - 10.0, y - 10, x + 10, y + 10]])
    grades = [torch.ones(len(each)) for each in boxes]
    return JointBatch(images, boxes, grades, [each > 2 for each in grades], images * 0, torch.arange(count) % 2.0)


@pytest.mark.load
@pytest.mark.training
def test_from_labels_of_images_it_learns_where_to_look() -> None:
    torch.manual_seed(0)
    random, size, side = torch.Generator().manual_seed(1), 256, 64
    recipe, family = small(input_size=size, patch_size=side, filters=8), GlamFamily()
    network = family.network(recipe, {}, None)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(70):
        loss = torch.stack(list(family.loss(network, discs(8, size, random), recipe, PRECISE).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = discs(20, size, random)
    network.eval()
    with torch.inference_mode():
        found, seen = family.detect(network, unseen.images, PRECISE), network(unseen.images)
    logits = [each.image for each in found]
    assert min(logits[1::2]) > max(logits[::2])
    begins = torch.stack([seen.columns[:, 0], seen.rows[:, 0]], dim=1) * STRIDE
    middles = torch.cat([boxes[:, :2] + 10 for boxes in unseen.boxes])
    within = ((begins[1::2] <= middles) & (middles <= begins[1::2] + side)).all(dim=1)
    assert within.sum() >= 6, "by chance one of these ten discs would be in its image's first patch"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_size": 160}, "input_size is 160, expected a multiple of 64"),
        ({"patch_size": 256}, "patch_size is 256, more than input_size, 128"),
        ({"patch_size": 40}, "patch_size"),
        ({"backbone": "mobilenetv2_100"}, "expected a ResNet: it has no stage layer2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        GlamFamily().network(small(**changes), {}, None)
