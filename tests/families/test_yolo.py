"""The YOLO: which cells answer for a lesion, by cases worked out by hand, and its loss with no, one and many boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import Tensor
from torch.nn import functional

from mammoscope.errors import RecipeError
from mammoscope.families.detect.yolo import Yolo, YoloExport, YoloFamily, YoloRecipe, assign
from mammoscope.families.find import recipe_of
from mammoscope.families.samples import DetectorBatch

# Four cells of stride 10 in a row.
CENTRES = torch.tensor([[5.0, 5], [15, 5], [25, 5], [35, 5]])
STRIDES = torch.full((4,), 10.0)
EVEN = torch.zeros(4)  # of the scores
Rows = Sequence[Sequence[float]]
PRECISE = torch.autocast("cpu", enabled=False)


def pairs(predicted: Rows, lesions: Rows, logits: Tensor = EVEN, **limits: float) -> Tensor:
    """Cell, lesion and IoU of each pair, ``(P, 3)``."""
    truth = torch.tensor(lesions, dtype=torch.float32).reshape(-1, 4)
    found = assign(
        torch.tensor(predicted, dtype=torch.float32),
        logits,
        CENTRES,
        STRIDES,
        truth,
        radius=limits.get("radius", 1.0),
        most=int(limits.get("most", 10)),
    )
    return torch.stack([found.cells.float(), found.lesions.float(), found.iou], dim=1)


def test_an_image_without_a_lesion_has_no_pairs() -> None:
    assert pairs([[0, 0, 10, 10]] * 4, []).shape == (0, 3)


def test_a_lesion_gets_as_many_cells_as_their_boxes_fit_together() -> None:
    # IoUs 1, 0.8, 0.5 and 0: together 2.3. All cells may answer, all are in the box and near.
    predicted = [[0, 0, 40, 10], [0, 0, 32, 10], [0, 0, 20, 10], [50, 50, 60, 60]]
    found = pairs(predicted, [[0, 0, 40, 10]], radius=5)
    assert found.tolist() == [[0, 0, 1], [1, 0, pytest.approx(0.8)]]
    # The two best alone make 1.8, which is one cell.
    assert pairs(predicted, [[0, 0, 40, 10]], radius=5, most=2).tolist() == [[0, 0, 1]]


def test_a_lesion_that_no_box_fits_gets_the_cell_with_the_best_score() -> None:
    nothing = [[90.0, 90, 95, 95]] * 4
    found = pairs(nothing, [[0, 0, 40, 10]], torch.tensor([0.0, 0.0, 2.0, 1.0]), radius=5)
    assert found.tolist() == [[2, 0, 0]]


def test_the_fit_of_a_box_weighs_three_times_the_score() -> None:
    # Cell 0 costs log 2 - 3 log 0.5 = 2.773, cell 1 log(1 + exp(-logit)) + 2.749: less from a logit of 3.73 on.
    predicted = [[0, 0, 20, 10], [0, 0, 16, 10], [90, 90, 95, 95], [90, 90, 95, 95]]
    for logit, best in ((3.6, 0), (3.9, 1)):
        found = pairs(predicted, [[0, 0, 40, 10]], torch.tensor([0.0, logit, 0.0, 0.0]), radius=5)
        assert found[:, 0].tolist() == [best]


def test_a_cell_in_the_box_and_near_its_middle_comes_before_all_others() -> None:
    # The middle is at 20: with one stride cells 1 and 2 are near it; cell 0 has the better box.
    predicted = [[0, 0, 40, 10], [0, 0, 8, 10], [0, 0, 4, 10], [90, 90, 95, 95]]
    assert pairs(predicted, [[0, 0, 40, 10]], radius=1)[:, 0].tolist() == [1]


def test_a_lesion_smaller_than_a_cell_gets_one_all_the_same() -> None:
    # It lies between two cells' centres.
    found = pairs([[90.0, 90, 95, 95]] * 4, [[9, 4, 11, 6]])
    assert len(found) == 1
    assert found[0, 0] in (0, 1)


def test_a_cell_that_two_lesions_would_get_answers_for_the_one_that_it_fits_better() -> None:
    lesions = [[0.0, 0, 20, 10], [10, 0, 30, 10]]
    # Cell 1 is in both; it fits the second perfectly, the first by a third, which no other box meets at all.
    predicted = [[90, 90, 95, 95], [10, 0, 30, 10], [90, 90, 95, 95], [90, 90, 95, 95]]
    found = pairs(predicted, lesions, radius=1)
    assert [1, 1, 1] in found.tolist()
    assert found[:, 0].unique().numel() == len(found)


def small(**changes: object) -> YoloRecipe:
    loop = {"epochs": 1, "batch_size": 2, "learning_rate": 1e-3}
    recipe = recipe_of("detect", {"family": "yolo", **YoloFamily.trial, "loop": loop, **changes})
    assert isinstance(recipe, YoloRecipe)
    return recipe


def losses(network: Yolo, recipe: YoloRecipe, boxes: list[list[list[float]]]) -> dict[str, Tensor]:
    images = torch.rand(len(boxes), 1, 128, 128, generator=torch.Generator().manual_seed(0))
    truth = [torch.tensor(of_one, dtype=torch.float32).reshape(-1, 4) for of_one in boxes]
    return YoloFamily().loss(network, DetectorBatch(images, truth), recipe, PRECISE)


MANY = [[8.0 * at, 8.0 * at, 8.0 * at + 20, 8.0 * at + 20] for at in range(12)]


@pytest.mark.parametrize("boxes", [[[], []], [[[10, 20, 60, 70]], []], [MANY, [[0, 0, 128, 128]]], [MANY * 4, MANY]])
def test_the_loss_is_finite_with_no_one_and_many_boxes(boxes: list[list[list[float]]]) -> None:
    torch.manual_seed(0)
    recipe = small()
    network = Yolo(recipe, None)
    found = losses(network, recipe, boxes)
    torch.stack(list(found.values())).sum().backward()
    assert all(value.isfinite() for value in found.values())
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert (found["box_loss"] > 0) == any(boxes)


def test_without_lesions_the_loss_is_that_of_scores_of_nought() -> None:
    torch.manual_seed(0)
    recipe = small()
    network = Yolo(recipe, None).eval()
    found = losses(network, recipe, [[], []])
    images = torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    expected = functional.softplus(network(images)[..., 0]).sum() / 2
    assert found["score_loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert found["box_loss"].item() == 0


def test_cells_lie_on_the_grid_of_their_level() -> None:
    network = Yolo(small(pyramid_channels=[8, 8, 8, 8]), None)
    assert network.strides.unique(return_counts=True)[1].tolist() == [256, 64, 16, 4]
    assert network.centres[:2].tolist() == [[4, 4], [12, 4]]
    assert network.centres[-1].tolist() == [96, 96]
    # Each level's map is row by row, as the cells are: a raw value of nought is a box of a stride about the centre.
    boxes = network.boxes(torch.zeros(1, 340, 5))[0]
    assert boxes[1].tolist() == [8, 0, 16, 8]
    assert boxes[-1].tolist() == [64, 64, 128, 128]


def test_what_it_detects_is_what_the_bundle_runs() -> None:
    torch.manual_seed(0)
    recipe = small()
    network = Yolo(recipe, None).eval()
    with torch.no_grad():
        network.heads[0].score[-1].bias.fill_(1.0)  # type: ignore[index, union-attr]
        image = torch.rand(1, 1, 128, 128)
        boxes, scores = YoloExport(network, 128)(image)
        found = YoloFamily().detect(network, image, PRECISE)[0]
    assert boxes.shape == (336, 4) and scores.shape == (336,)
    assert boxes.min() >= 0 and boxes.max() <= 128
    assert found.scores[0] == pytest.approx(scores.max().item())
    assert found.boxes[0] == pytest.approx(boxes[scores.argmax()].numpy())
    assert (np.diff(found.scores) <= 0).all() and len(found.scores) <= 100


def test_it_learns_where_a_square_is() -> None:
    torch.manual_seed(0)
    recipe = small()
    network = Yolo(recipe, None)
    box = torch.tensor([[40.0, 24, 88, 72]])
    images = torch.zeros(2, 1, 128, 128)
    images[0, 0, 24:72, 40:88] = 1.0
    batch = DetectorBatch(images, [box, box[:0]])
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(60):
        loss = torch.stack(list(YoloFamily().loss(network, batch, recipe, PRECISE).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        on_it, empty = YoloFamily().detect(network, images, PRECISE)
    assert on_it.scores[0] > 0.5
    assert on_it.boxes[0] == pytest.approx(box[0].numpy(), abs=6)
    assert not len(empty.scores) or empty.scores[0] < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pyramid_channels": [8, 8, 8, 8], "input_size": 160}, "input_size is 160, expected a multiple of 64"),
        ({"backbone": "nothing"}, "backbone is 'nothing'"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Yolo(small(**changes), None)
