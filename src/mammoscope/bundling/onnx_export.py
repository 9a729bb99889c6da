"""Turn trained networks into ONNX files: 16-bit weights on disk, 32-bit arithmetic."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from mammoscope.families.family import Exported

_OPSET = 18
# Smaller tensors stay 32-bit: they are small, and those of the first layers matter most. With 4096 a classifier
# trained here differed from its network by 1.1e-3, with 80,000 by half of that, for a fifth more bytes.
_KEPT_ELEMENTS = 80_000


def export_onnx(exported: Exported, path: Path) -> None:
    """Write what a family exports, in 32 bits, as an ONNX file."""
    model, inputs = exported.network.eval().cpu().float(), exported.inputs
    names = list(inputs)
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = tuple({0: batch} for _ in names) if exported.dynamic_batch else None
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model,
                tuple(inputs.values()),
                input_names=names,
                output_names=list(exported.outputs),
                opset_version=_OPSET,
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
                optimize=True,
            )
    finally:
        quiet.setLevel(level)
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    kept = _KEPT_ELEMENTS if exported.kept_elements is None else exported.kept_elements
    onnx.save(with_half_weights(program.model_proto, kept), path)


def with_half_weights(model: onnx.ModelProto, kept_elements: int = _KEPT_ELEMENTS) -> onnx.ModelProto:
    """Store large 32-bit weights in 16 bits, each widened again by a Cast as the file is loaded."""
    graph = model.graph
    weights = [tensor for tensor in graph.initializer if _is_large(tensor, kept_elements)]
    for tensor in weights:
        values = numpy_helper.to_array(tensor)
        half = np.clip(values, -65504, 65504).astype(np.float16)
        name, narrow = tensor.name, f"{tensor.name}_half"
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(half, narrow))
        cast = onnx.helper.make_node("Cast", [narrow], [name], name=f"{name}_widen", to=onnx.TensorProto.FLOAT)
        graph.node.insert(0, cast)
    del model.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]  # the exporter's notes: stack traces and paths of the machine it ran on
        node.doc_string = ""
    for value in [*graph.value_info, *graph.input, *graph.output]:
        del value.metadata_props[:]
    del graph.metadata_props[:]
    onnx.checker.check_model(model)
    return model


def _is_large(tensor: onnx.TensorProto, kept_elements: int) -> bool:
    return tensor.data_type == onnx.TensorProto.FLOAT and int(np.prod(tensor.dims)) > kept_elements


def largest_difference(ours: Sequence[NDArray[np.floating]], theirs: Sequence[NDArray[np.floating]]) -> float:
    """Largest absolute difference between two lists of arrays of the same shapes."""
    return max(
        (float(np.abs(a.astype(np.float64) - b).max()) for a, b in zip(ours, theirs, strict=True) if a.size),
        default=0.0,
    )
