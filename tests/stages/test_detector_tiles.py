"""A detector that sees the breast in tiles, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.detect import DetectorSettings, OnnxDetector
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.step import NETWORK
from mammoscope.stages.tiles import TileSettings

SIDE = 100
SCORE = 0.75
TILED = TileSettings(rows=2, columns=2, overlap=0.2)  # of 180 pixels
Box = tuple[int, int, int, int]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file that boxes what is bright: from the first bright row and column to the last."""
    ends = {"x0": ("columns", 0), "y0": ("rows", 0), "x1": ("columns", 1), "y1": ("rows", 1)}
    graph = helper.make_graph(
        [
            helper.make_node("Greater", ["image", "level"], ["brighter"]),
            helper.make_node("Cast", ["brighter"], ["bright"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["bright", "all_but_columns"], ["columns"], keepdims=0),
            helper.make_node("ReduceMax", ["bright", "all_but_rows"], ["rows"], keepdims=0),
            *(
                helper.make_node("ArgMax", [lines], [end], axis=0, select_last_index=last)
                for end, (lines, last) in ends.items()
            ),
            helper.make_node("Concat", list(ends), ["places"], axis=0),
            helper.make_node("Cast", ["places"], ["lines"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["lines", "one_more"], ["box"]),
            helper.make_node("Reshape", ["box", "one_row"], ["boxes"]),
            helper.make_node("ReduceMax", ["columns"], ["any"], keepdims=1),
            helper.make_node("Mul", ["any", "score"], ["scores"]),
        ],
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1]),
        ],
        [
            numpy_helper.from_array(np.float32(0.6), "level"),
            numpy_helper.from_array(np.array([0, 1, 2]), "all_but_columns"),
            numpy_helper.from_array(np.array([0, 1, 3]), "all_but_rows"),
            numpy_helper.from_array(np.array([0, 0, 1, 1], dtype=np.float32), "one_more"),
            numpy_helper.from_array(np.array([1, 4]), "one_row"),
            numpy_helper.from_array(np.float32(SCORE), "score"),
        ],
    )
    path = tmp_path_factory.mktemp("bright") / "detector.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def step(network: Path, **settings: object) -> OnnxDetector:
    common = {"input_height": SIDE, "input_width": SIDE, "mean": 0, "std": 1, "contrast": {"clip_limit": 0}}
    return OnnxDetector.open({NETWORK: network}, DetectorSettings.model_validate({**common, **settings}))


def breast(*bright: Box, side: int = 180) -> Preprocessed:
    pixels = np.full((side, side), 100, dtype=np.uint8)
    for x0, y0, x1, y1 in bright:
        pixels[y0:y1, x0:x1] = 250
    return Preprocessed(pixels, pixels > 0, FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED), 1.0)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((10, 10, 40, 50), id="on one tile"),
        pytest.param((110, 120, 140, 150), id="on the last tile"),
        pytest.param((50, 20, 150, 60), id="across the vertical border"),
        pytest.param((20, 60, 60, 140), id="across the horizontal border"),
        pytest.param((50, 60, 140, 150), id="across the corner"),
        pytest.param((84, 20, 95, 60), id="within the overlap"),
        pytest.param((85, 85, 95, 95), id="within the overlap of four"),
        pytest.param((60, 20, 95, 60), id="whole on one tile, cut on the next"),
    ],
)
@pytest.mark.parametrize("scale", [1, 3])
def test_one_mass_is_found_once_and_whole(network: Path, box: Box, scale: int) -> None:
    x0, y0, x1, y1 = (scale * end for end in box)
    found = step(network, tiles=TILED).detect(breast((x0, y0, x1, y1), side=180 * scale))
    assert found.boxes.tolist() == [pytest.approx([x0, y0, x1, y1])]
    assert found.detection_score.tolist() == [SCORE]


def test_masses_on_two_tiles_are_two(network: Path) -> None:
    found = step(network, tiles=TILED).detect(breast((10, 10, 40, 50), (120, 120, 150, 170)))
    assert sorted(found.boxes.tolist()) == [[10, 10, 40, 50], [120, 120, 150, 170]]


def test_where_nothing_is_bright_nothing_is_found(network: Path) -> None:
    assert len(step(network, tiles=TILED).detect(breast())) == 0


def test_settings_of_before_see_the_breast_as_one(network: Path) -> None:
    image = breast((51, 20, 150, 61))
    before = step(network).detect(image)
    one = step(network, tiles={"rows": 1, "columns": 1, "overlap": 0.5}).detect(image)
    assert len(before) == 1
    assert np.array_equal(before.boxes, one.boxes) and np.array_equal(before.detection_score, one.detection_score)
    # At 100 of 180 pixels the box is coarser than in tiles.
    assert before.boxes.tolist() != [[51, 20, 150, 61]]
    assert step(network, tiles=TILED).detect(image).boxes.tolist() == [[51, 20, 150, 61]]
