"""What is fitted outside the networks: anchors, calibration, thresholds; and what is stored of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.linear_model import LogisticRegression

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import nn

from mammoscope.bundling.calibration import (
    Calibration,
    best_box_scale,
    best_enlarged_shift,
    best_mask_threshold,
    fit_platt,
)
from mammoscope.bundling.onnx_export import export_onnx
from mammoscope.errors import RecipeError
from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.families.anchors import fit_anchors
from mammoscope.families.family import Exported
from mammoscope.geometry import scale_boxes


def _boxes(width: float, height: float, count: int = 50) -> np.ndarray:
    corner = np.random.default_rng(0).uniform(0, 300, (count, 2))
    return np.hstack([corner, corner + np.array([width, height])])


@pytest.mark.parametrize(("width", "height"), [(60, 30), (30, 60), (45, 45)])
def test_anchors_have_the_form_of_the_boxes_and_lie_on_fine_levels(width: float, height: float) -> None:
    anchors = fit_anchors(_boxes(width, height), 3)
    assert anchors.ratios == pytest.approx([height / width] * 3, rel=1e-3)
    # Of all octaves that hold this size (a little more, for boxes off centre) the one on the finest grid wins.
    assert anchors.base <= np.sqrt(width * height) * 1.1 < anchors.base * 2
    assert 0.7 < anchors.fit < 1


def test_platt_agrees_with_a_reference() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(4000) < 0.4
    logits = rng.normal(0, 1, 4000) + 1.5 * labels
    ours = fit_platt(logits, labels)
    reference = LogisticRegression(C=1e6).fit(logits[:, None], labels)
    assert ours.slope == pytest.approx(reference.coef_[0, 0], rel=0.02)
    assert ours.intercept == pytest.approx(reference.intercept_[0], rel=0.02)


def test_platt_survives_perfect_and_useless_scores() -> None:
    labels = np.array([True] * 20 + [False] * 20)
    perfect = fit_platt(np.where(labels, 9.0, -9.0), labels)
    assert perfect.slope > 0 and np.isfinite([perfect.slope, perfect.intercept]).all()
    useless = fit_platt(np.zeros(40), labels)
    assert useless.intercept == pytest.approx(0, abs=1e-3)
    with pytest.raises(ValueError, match="needs both classes, got 40 malignant and 0 benign"):
        fit_platt(np.zeros(40), np.ones(40, bool))


def test_platt_refuses_scores_that_mean_the_opposite() -> None:
    labels = np.array([True] * 20 + [False] * 20)
    with pytest.raises(RecipeError, match=r"slope would be -.*higher outputs of the classifier do not mean malignant"):
        fit_platt(np.where(labels, -1.0, 1.0), labels)
    few = labels[15:25]
    assert fit_platt(np.where(few, -1.0, 1.0), few) == Calibration(slope=1.0, intercept=0.0)


def test_the_mask_threshold_is_where_the_iou_is_best() -> None:
    masks = np.zeros((3, 16, 16), bool)
    masks[:, 4:12, 4:12] = True
    probabilities = np.where(masks, 0.45, 0.41).astype(np.float32)
    assert 0.41 < best_mask_threshold(probabilities, masks) <= 0.45


def test_the_shift_of_enlarged_images_brings_their_masks_to_the_threshold() -> None:
    masks = np.zeros((2, 16, 16), bool)
    masks[:, 4:12, 4:12] = True
    # Sharp, the mass reaches the threshold of 0.5; enlarged, it stays below: its logit is -1.
    chances = [np.where(masks[0], 1 / (1 + np.exp(-logit)), 0.1) for logit in (1.0, -1.0)]
    probabilities, shares = np.stack(chances).astype(np.float32), np.array([0.0, 1.0])
    assert 1.0 <= best_enlarged_shift(probabilities, masks, shares, 0.5) < np.log(0.9 / 0.1)
    assert best_enlarged_shift(probabilities, masks, np.zeros(2), 0.5) == 0
    assert best_enlarged_shift(probabilities[:0], masks[:0], shares[:0], 0.5) == 0


@pytest.mark.parametrize("scale", [0.94, 1.0, 1.06])
def test_boxes_are_scaled_to_the_size_of_masses(scale: float) -> None:
    true = _boxes(60, 40, 20)
    found = [
        DetectedImage("", str(n), box[None], scale_boxes(box, 1 / scale), np.ones(1)) for n, box in enumerate(true)
    ]
    assert best_box_scale(found) == pytest.approx(scale, abs=0.021)
    nothing = [replace(image, boxes=np.zeros((0, 4)), scores=np.zeros(0)) for image in found]
    assert best_box_scale(nothing) == 1


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1024, 9, padding=4)
        self.output = nn.Linear(1024, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.output(self.convolution(images).relu().mean(dim=(2, 3)))[:, 0]  # type: ignore[no-any-return]


def test_an_export_keeps_half_the_bits_and_nearly_all_of_the_answer(tmp_path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model, path = _Small().eval(), tmp_path / "small.onnx"
    export_onnx(Exported(model, {"image": torch.zeros(2, 1, 32, 32)}, ("logit",)), path)
    types = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types.values()
    images = torch.randn(5, 1, 32, 32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (stored,) = session.run(None, {"image": images.numpy()})
    with torch.no_grad():
        assert np.abs(stored - model(images).numpy()).max() < 1e-3
