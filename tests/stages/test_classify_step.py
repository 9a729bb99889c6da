"""A classifier that says more than malignancy, by a small ONNX file of known outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.errors import BundleError
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.classify import ClassifierSettings, OnnxClassifier
from mammoscope.stages.onnx import softmax
from mammoscope.stages.preprocess import ContrastSettings, Preprocessed
from mammoscope.stages.step import NETWORK, PreparedExam, PreparedView

SIDE = 32
SHAPES = ("ROUND", "OVAL", "IRREGULAR")
SLOPES = np.array([[1.0, 0.0, -2.0]], np.float32)


EVENLY = np.ones((SIDE, SIDE), np.float32)


def network(folder: Path, *, attributes: bool, ramp: NDArray[np.float32] = EVENLY) -> Path:
    """The logit is the mean of a region times ``ramp``, those of the shapes are it times 1, 0 and -2; the mask adds
    nothing.
    """
    outputs = {"logit": ["N"], **({"shape": ["N", 3]} if attributes else {})}
    nodes = [
        helper.make_node("Mul", ["roi", "ramp"], ["ramped"]),
        helper.make_node("ReduceMean", ["ramped", "axes"], ["mean"], keepdims=0),
        helper.make_node("ReduceMean", ["mask", "axes"], ["share"], keepdims=0),
        helper.make_node("Mul", ["share", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["column"]),
        helper.make_node("Squeeze", ["column", "last"], ["logit"]),
        helper.make_node("MatMul", ["column", "slopes"], ["shape"]),
    ]
    graph = helper.make_graph(
        nodes if attributes else nodes[:-1],
        "says",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, SIDE, SIDE]) for name in ("roi", "mask")],
        # In another order than the settings' words of the outputs: they are found by name.
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, outputs[name]) for name in reversed(outputs)],
        [
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
            numpy_helper.from_array(np.array([1], np.int64), "last"),
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(SLOPES, "slopes"),
            numpy_helper.from_array(ramp, "ramp"),
        ],
    )
    path = folder / "classifier.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def settings(**changes: Any) -> ClassifierSettings:
    usual = {"input_height": SIDE, "input_width": SIDE, "mean": 0.5, "std": 0.25, "slope": 2.0, "intercept": 0.5}
    return ClassifierSettings(contrast=ContrastSettings(clip_limit=0), **{**usual, **changes})


@pytest.fixture
def exam() -> PreparedExam:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)
    return PreparedExam((PreparedView(Preprocessed(pixels, np.ones(pixels.shape, bool), change, 1.0)),))


def outlined(greys: list[int]) -> Candidates:
    count = len(greys)
    pixels = np.array(greys, np.uint8)[:, None, None] * np.ones((1, SIDE, SIDE), np.uint8)
    rois = RoiBatch(pixels, (FrameChange(Frame.PREPROCESSED, Frame.ROI),) * count)
    masks = Masks(np.ones(pixels.shape, np.float32), 0.5)
    return Candidates(
        np.zeros(count, np.int64), np.zeros((count, 4)), np.full(count, "mass"), np.ones(count), rois=rois, masks=masks
    )


def test_attributes_are_probabilities_of_their_words(tmp_path: Path, exam: PreparedExam) -> None:
    files = {NETWORK: network(tmp_path, attributes=True)}
    step = OnnxClassifier.open(files, settings(attributes={"shape": SHAPES}))
    greys = [0, 100, 255]
    after = step(exam, outlined(greys))
    logits = (np.array(greys) / 255 - 0.5) / 0.25
    assert after.malignancy_score == pytest.approx(1 / (1 + np.exp(-2 * logits - 0.5)), abs=1e-6)
    powers = np.exp(logits[:, None] * SLOPES)
    assert after.attributes["shape"] == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-6)
    assert after.problem([True]) is None
    assert step(exam, outlined([])).attributes["shape"].shape == (0, 3)


def test_outputs_are_means_over_mirror_images_if_wanted(tmp_path: Path, exam: PreparedExam) -> None:
    rng = np.random.default_rng(0)
    ramp = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    files = {NETWORK: network(tmp_path, attributes=True, ramp=ramp)}
    found = outlined([0, 0, 0])
    pixels = rng.integers(0, 256, (3, SIDE, SIDE)).astype(np.uint8)
    found = Candidates(**{**vars(found), "rois": RoiBatch(pixels, (FrameChange(Frame.PREPROCESSED, Frame.ROI),) * 3)})
    inputs = (pixels / 255 - 0.5) / 0.25
    evened = np.mean([ramp, ramp[::-1], ramp[:, ::-1], ramp[::-1, ::-1]], axis=0)
    for flips, weights in ((False, ramp), (True, evened)):
        step = OnnxClassifier.open(files, settings(attributes={"shape": SHAPES}, flips=flips))
        after, logits = step(exam, found), (inputs * weights).mean(axis=(1, 2))
        assert after.malignancy_score == pytest.approx(1 / (1 + np.exp(-2 * logits - 0.5)), abs=1e-6)
        powers = np.exp(logits[:, None] * SLOPES)
        assert after.attributes["shape"] == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-6)


def test_what_an_earlier_step_said_stays(tmp_path: Path, exam: PreparedExam) -> None:
    said = {"birads": np.array([[0.25, 0.75]]), "shape": np.full((1, 3), np.nan)}
    found = Candidates(**{**vars(outlined([9])), "attributes": said})
    plain = OnnxClassifier.open({NETWORK: network(tmp_path, attributes=False)}, settings())
    assert plain(exam, found).attributes == said
    says = OnnxClassifier.open({NETWORK: network(tmp_path, attributes=True)}, settings(attributes={"shape": SHAPES}))
    after = says(exam, found)
    assert after.attributes["birads"].tolist() == [[0.25, 0.75]]
    assert not np.isnan(after.attributes["shape"]).any()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"shape": ("ROUND", "OVAL")}, r"attributes\.shape has 2 words; the network's outputs are shape \(3\), logit"),
        ({"birads": SHAPES}, r"attributes\.birads has 3 words; the network's outputs are shape \(3\)"),
    ],
)
def test_a_network_without_the_attributes_is_refused(
    attributes: dict[str, tuple[str, ...]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=message):
        OnnxClassifier.open({NETWORK: network(tmp_path, attributes=True)}, settings(attributes=attributes))


@pytest.mark.parametrize("attributes", [{"shape": ("ROUND",)}, {"shape": ("ROUND", "ROUND")}, {"logit": SHAPES}])
def test_words_that_cannot_be_are_refused(attributes: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValidationError, match="expected two or more that differ"):
        settings(attributes=attributes)


def test_softmax_of_large_logits_does_not_overflow() -> None:
    found = softmax(np.array([[1000.0, 999.0], [-1000.0, -1000.0]], np.float32))
    assert found == pytest.approx(np.array([[1 / (1 + np.exp(-1)), 1 / (1 + np.e)], [0.5, 0.5]]))
    assert softmax(np.zeros((0, 4))).shape == (0, 4)
