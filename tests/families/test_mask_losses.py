"""The losses of masks, against cases worked out by hand."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import Tensor
from torch.nn import functional

from mammoscope.families.find import recipe_of
from mammoscope.families.mask_losses import mask_losses, sobel_magnitude, soft_dice, soft_iou
from mammoscope.families.recipe import SegmenterRecipe

LOSSES = ("dice", "dice_iou", "iou_sobel")
SURE = 30.0  # a logit whose sigmoid is 1 in 32 bits


def recipe(**settings: object) -> SegmenterRecipe:
    found = recipe_of("segment", {**settings, "loop": {"epochs": 1, "batch_size": 1, "learning_rate": 1e-3}})
    assert isinstance(found, SegmenterRecipe)
    return found


def square(place: slice, side: int = 12) -> Tensor:
    """``(1, 1, side, side)``: 1 where both coordinates lie in ``place``."""
    maps = torch.zeros(1, 1, side, side)
    maps[:, :, place, place] = 1
    return maps


def total(loss: str, predicted: Tensor, masks: Tensor, **settings: object) -> float:
    """The loss of masks that are predicted without a doubt."""
    return sum(
        part.item() for part in mask_losses((2 * predicted - 1) * SURE, masks, recipe(loss=loss, **settings)).values()
    )


MASK, APART, EMPTY, FULL = square(slice(2, 5)), square(slice(7, 10)), square(slice(0)), square(slice(None))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mask", [MASK, EMPTY, FULL, square(slice(0, 3)), square(slice(4, 5))])
def test_masks_that_are_met_cost_nothing(loss: str, mask: Tensor) -> None:
    assert total(loss, mask, mask) == pytest.approx(0, abs=1e-6)


def test_soft_dice_and_iou_of_masks_by_hand() -> None:
    overlapping = square(slice(3, 6))  # 4 of the 9 pixels are common
    assert soft_dice(MASK, overlapping).item() == pytest.approx((2 * 4 + 1) / (9 + 9 + 1))
    assert soft_iou(MASK, overlapping).item() == pytest.approx((4 + 1) / (14 + 1))
    assert soft_iou(MASK, APART).item() == pytest.approx(1 / 19)
    assert soft_iou(0.5 * MASK, 0.5 * MASK).item() == 1
    # 9 pixels of 0.5 and 1: products 4.5; squares of the difference 2.25.
    assert soft_iou(0.5 * MASK, MASK).item() == pytest.approx(5.5 / 7.75)


def test_each_image_counts_alike() -> None:
    both = soft_iou(torch.cat([MASK, FULL]), torch.cat([MASK, EMPTY]))
    assert both.tolist() == pytest.approx([1, 1 / 145])


def test_the_magnitude_of_an_edge_is_one_and_the_border_is_none() -> None:
    half = torch.zeros(1, 1, 6, 6)
    half[..., 3:] = 1
    expected = torch.zeros(6, 6)
    expected[:, 2:4] = 1  # both pixels beside the edge, up to the border
    for maps, found in ((half, expected), (half.transpose(2, 3), expected.T), (0.5 * half, 0.5 * expected)):
        torch.testing.assert_close(sobel_magnitude(maps)[0, 0], found, atol=1e-3, rtol=0)
    assert sobel_magnitude(torch.ones(1, 1, 6, 6)).abs().max() == 0


def test_a_single_pixel_has_the_edge_that_is_worked_out_by_hand() -> None:
    corner = (0.25**2 + 0.25**2) ** 0.5
    expected = torch.tensor([[corner, 0.5, corner], [0.5, 0, 0.5], [corner, 0.5, corner]])
    found = sobel_magnitude(square(slice(4, 5)))[0, 0, 3:6, 3:6]
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_disjoint_masks_cost_by_hand() -> None:
    # A row across a square of 3: smoothed (1, 3, 4, 3, 1) / 4, squares 2.25; steps (1, 1, 0, -1, -1), squares 4. So the
    # squares of its edges are 2.25 * 4 along each axis. They lie in the 5 x 5 around it: the two squares' do not meet.
    edges = 2 * 2.25 * 4
    assert total("iou_sobel", APART, MASK, sobel_weight=0.25) == pytest.approx(
        0.75 * (1 - 1 / 19) + 0.25 * (1 - 1 / (2 * edges + 1)), abs=1e-4
    )
    assert total("dice_iou", APART, MASK) == pytest.approx(0.4 * (1 - 1 / 19) + 0.6 * (1 - 1 / 19), abs=1e-5)


def test_the_weight_divides_masks_and_edges() -> None:
    overlapping = square(slice(3, 6))
    masks_alone, edges_alone = (total("iou_sobel", overlapping, MASK, sobel_weight=weight) for weight in (0, 1))
    assert masks_alone == pytest.approx(1 - 5 / 15)
    assert masks_alone != pytest.approx(edges_alone, abs=0.01)
    mixed = total("iou_sobel", overlapping, MASK, sobel_weight=0.3)
    assert mixed == pytest.approx(0.7 * masks_alone + 0.3 * edges_alone)


def test_the_usual_loss_is_cross_entropy_and_dice() -> None:
    logits = torch.linspace(-2, 2, 144).reshape(1, 1, 12, 12)
    parts = mask_losses(logits, MASK, recipe())
    assert parts["pixel_loss"] == functional.binary_cross_entropy_with_logits(logits, MASK)
    assert parts["dice_loss"] == 1 - soft_dice(logits.sigmoid(), MASK).mean()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("mask", [MASK, EMPTY, FULL])
@pytest.mark.parametrize("level", [-SURE, 0.0, SURE])
def test_loss_and_gradient_are_finite(loss: str, mask: Tensor, level: float) -> None:
    logits = torch.full_like(mask, level, requires_grad=True)
    value = torch.stack(list(mask_losses(logits, mask, recipe(loss=loss)).values())).sum()
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None and logits.grad.isfinite().all()
