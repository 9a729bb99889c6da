"""Regions that one network finds, outlines and classifies at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mammoscope.candidates import Candidates
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.joint import OUTPUTS, JointSettings, OnnxJoint
from mammoscope.stages.measure import outline_of_mask
from mammoscope.stages.preprocess import ContrastSettings, Preprocessed
from mammoscope.stages.step import NETWORK, PreparedExam, PreparedView

SIDE = 64
# Of a breast of 128 x 256 pixels, which the network sees at 64 x 64: each is two pixels wide, four high.
HEIGHT, WIDTH = 256, 128
FOUND = {
    "boxes": np.array([[10, 10, 30, 20], [11, 10, 31, 20], [40, 40, 60, 50], [50, 56, 74, 68], [5, 50, 15, 60]]),
    "scores": np.array([0.6, 0.9, 0.8, 0.5, 0.01]),
    "malignancy": np.array([9.0, 0.0, -2.0, 2.0, 9.0]),
}


def _network(folder: Path) -> Path:
    """An ONNX file that says the same of every image: masks of 8 x 8, whose left half is mass."""
    masks = np.zeros((len(FOUND["scores"]), 8, 8))
    masks[:, :, :4] = 1
    values = {**FOUND, "masks": masks}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMin", ["image"], ["darkest"], keepdims=0),
            helper.make_node("Mul", ["darkest", "zero"], ["nothing"]),  # a network that does not see its input is none
            *(helper.make_node("Add", [f"constant_{name}", "nothing"], [name]) for name in OUTPUTS),
        ],
        "found",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, values[name].shape) for name in reversed(OUTPUTS)],
        [
            *(numpy_helper.from_array(values[name].astype(np.float32), f"constant_{name}") for name in OUTPUTS),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )
    path = folder / "joint.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def _step(folder: Path, **changes: float) -> OnnxJoint:
    settings = JointSettings(
        input_height=SIDE,
        input_width=SIDE,
        mean=0.5,
        std=0.2,
        contrast=ContrastSettings(clip_limit=0),
        mask_threshold=0.5,
        slope=1.0,
        intercept=0.0,
    )
    return OnnxJoint.open({NETWORK: _network(folder)}, settings.model_copy(update=changes))


@pytest.fixture
def exam() -> PreparedExam:
    pixels = np.random.default_rng(0).integers(40, 200, (HEIGHT, WIDTH), dtype=np.uint8)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)
    return PreparedExam((PreparedView(Preprocessed(pixels, np.ones(pixels.shape, bool), change, 1.0)),))


def test_boxes_scores_outlines_and_malignancy_come_at_once(tmp_path: Path, exam: PreparedExam) -> None:
    found = _step(tmp_path)(exam, Candidates.none())
    assert found.problem([True]) is None
    # The first is left out for the second, the last lies below the floor; one that leaves the breast is clipped.
    assert found.detection_score == pytest.approx([0.9, 0.8, 0.5])
    assert found.boxes == pytest.approx(np.array([[22, 40, 62, 80], [80, 160, 120, 200], [100, 224, 128, 256]]))
    assert found.malignancy_score == pytest.approx(1 / (1 + np.exp([0.0, 2.0, -2.0])))
    assert found.rois is not None and found.masks is not None
    for row, (x0, y0, x1, y1) in enumerate([(22, 40, 42, 80), (80, 160, 100, 200), (100, 224, 124, 272)]):
        outline = outline_of_mask(found.masks.probabilities[row], found.masks.threshold)
        placed = found.rois.from_preprocessed[row].inverse().points(outline)
        bottom = min(y1, found.rois.from_preprocessed[row].inverse().points(np.array([[0, 256]]))[0, 1])
        assert placed.min(axis=0) == pytest.approx([x0, y0], abs=0.6)
        assert placed.max(axis=0) == pytest.approx([x1, bottom], abs=0.6)


def test_malignancy_is_calibrated_and_masks_have_the_threshold(tmp_path: Path, exam: PreparedExam) -> None:
    found = _step(tmp_path, slope=0.5, intercept=1.0, mask_threshold=0.2)(exam, Candidates.none())
    assert found.malignancy_score == pytest.approx(1 / (1 + np.exp([-1.0, 0.0, -2.0])))
    assert found.masks is not None and found.masks.threshold == 0.2


def test_it_adds_to_what_was_found_before(tmp_path: Path, exam: PreparedExam) -> None:
    step = _step(tmp_path)
    earlier = step(exam, Candidates.none()).take(np.array([0]))
    both = step(exam, earlier)
    assert len(both) == 4 and both.masks is not None and both.problem([True]) is None
    bare = step(exam, replace(earlier, rois=None, masks=None, malignancy_score=None))
    assert len(bare) == 4 and bare.masks is None and bare.malignancy_score is None


def test_where_it_finds_nothing_every_column_is_there(tmp_path: Path, exam: PreparedExam) -> None:
    none = _step(tmp_path, floor=0.95)(exam, Candidates.none())
    assert len(none) == 0
    assert none.rois is not None and none.masks is not None and none.malignancy_score is not None
