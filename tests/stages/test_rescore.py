"""Regions that are scored again by a network that sees them closely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mammoscope.candidates import Candidates
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.preprocess import ContrastSettings, Preprocessed
from mammoscope.stages.rescore import OnnxRescorer, RescorerSettings, joined_scores, region_views
from mammoscope.stages.step import NETWORK, PreparedExam, PreparedView

SIDE = 32


@pytest.mark.parametrize(
    ("score", "logit", "weight", "joined"),
    [
        (0.8, -3.0, 0.0, 0.8),  # the detector alone
        (0.8, 0.0, 1.0, 0.5),  # the rescorer alone
        (0.8, -np.log(4), 0.5, 0.5),  # as sure of the contrary
        (0.5, 2 * np.log(3), 0.5, 0.75),
        (1.0, 0.0, 0.0, 1.0),
        (0.0, 0.0, 0.0, 0.0),
    ],
)
def test_scores_are_joined_by_their_logits(score: float, logit: float, weight: float, joined: float) -> None:
    assert joined_scores(np.array([score]), np.array([logit]), weight) == pytest.approx([joined], abs=2e-6)


def _brightness(folder: Path, weight: float) -> OnnxRescorer:
    """A rescorer whose logit is the mean of what it sees, 0 at mid grey: bright regions are masses to it."""
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["regions", "axes"], ["logit"], keepdims=0)],
        "brightness",
        [helper.make_tensor_value_info("regions", TensorProto.FLOAT, ["batch", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])],
    )
    path = folder / "brightness.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    settings = RescorerSettings(
        input_height=SIDE,
        input_width=SIDE,
        mean=0.5,
        std=0.1,
        contrast=ContrastSettings(clip_limit=0),
        mass_fraction=0.5,
        weight=weight,
    )
    return OnnxRescorer.open({NETWORK: path}, settings)


@pytest.fixture
def breast() -> Preprocessed:
    """Dark, with a bright square about (40, 40) and a faint one about (120, 40)."""
    pixels = np.full((80, 160), 50, np.uint8)
    pixels[28:52, 28:52] = 240
    pixels[38:42, 118:122] = 240
    return Preprocessed(pixels, np.ones(pixels.shape, bool), FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED), 1.0)


REGIONS = Candidates.on_view(np.array([[110.0, 30, 130, 50], [30, 30, 50, 50]]), np.array([0.7, 0.6]))


@pytest.mark.parametrize(("weight", "order"), [(0.0, [0, 1]), (0.5, [1, 0]), (1.0, [1, 0])])
def test_what_looks_like_a_mass_twice_comes_first(
    weight: float, order: list[int], breast: Preprocessed, tmp_path: Path
) -> None:
    found = _brightness(tmp_path, weight)(PreparedExam((PreparedView(breast),)), REGIONS)
    assert found.boxes == pytest.approx(REGIONS.boxes[order])
    assert (np.diff(found.detection_score) <= 0).all()
    assert len(found) == 2


def test_without_regions_there_is_nothing_to_score(breast: Preprocessed, tmp_path: Path) -> None:
    assert len(_brightness(tmp_path, 0.5)(PreparedExam((PreparedView(breast),)), Candidates.none())) == 0


def test_many_regions_are_scored_in_parts(breast: Preprocessed, tmp_path: Path) -> None:
    boxes = np.tile(REGIONS.boxes, (20, 1))
    logits = _brightness(tmp_path, 0.5).logits(breast, boxes)
    assert logits == pytest.approx(np.tile(logits[:2], 20))
    assert logits[1] > logits[0]


def test_a_region_at_the_border_is_padded(breast: Preprocessed) -> None:
    (view,) = region_views(breast, np.array([[0.0, 0, 20, 20]]), SIDE, 0.5)
    assert view.shape == (SIDE, SIDE)
    assert not view[: SIDE // 4].any() and not view[:, : SIDE // 4].any()
