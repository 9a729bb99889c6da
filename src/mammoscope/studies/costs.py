"""What a network costs: parameters, arithmetic, and time on this processor."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from torch.utils.flop_counter import FlopCounterMode

from mammoscope.bundle import Bundle, BundledStep
from mammoscope.bundling.sources import Run, open_source
from mammoscope.bundling.validation import cut_cases
from mammoscope.candidates import Candidates, Masks
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import MammoscopeError
from mammoscope.families.family import Exported, RoleName

DEFINITIONS = {
    "parameters": "Of the network that a bundle runs.",
    "gflops": "Billions of operations of its convolutions and matrix products for one input, a multiplication with its "
    "addition counted as two.",
    "milliseconds": "Median time of the step that runs it, for one region or, if it finds, one image: one thread, "
    "ONNX Runtime, on the processor named.",
    "training_hours": "Of all epochs of one training with their validation, as its metrics.csv has them; mean over "
    "folds and seeds.",
    "training_cpu_hours": "The same, of all threads of the training's process.",
}
_RUNS = 7


def costs_of_step(bundle: Bundle, role: RoleName, validation: Dataset, run: Path | None) -> dict[str, Any]:
    """The costs of a bundle's step of a role, as ``costs.json`` holds them.

    Parameters
    ----------
    validation
        Whose first lesion the step is timed on.
    run
        The training that it comes from, to count its arithmetic; None: that is not known.
    """
    roles = (role, "rescore") if role == "detect" else (role,)  # they find together
    steps = list(bundle.of_roles(*roles))
    if not steps:
        raise MammoscopeError(f"{bundle.folder}: has no step of role {role!r}")
    exported = None
    if run is not None:
        source = open_source(role, run)
        assert isinstance(source, Run)  # a folder with run.json
        exported = source.exported
    return {
        "parameters": sum(map(_parameters, steps)) if exported is None else _of_network(exported),
        "gflops": gflops(exported) if exported else None if any(map(_networks, steps)) else 0.0,
        "milliseconds": round(milliseconds(bundle, steps, validation), 2),
        "processor": processor(),
    }


def gflops(exported: Exported) -> float:
    """Billions of operations for one input."""
    inputs = [tensor[:1] if exported.dynamic_batch else tensor for tensor in exported.inputs.values()]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        exported.network.eval()(*inputs)
    return round(float(counter.get_total_flops()) / 1e9, 4)


def milliseconds(bundle: Bundle, steps: list[BundledStep], validation: Dataset) -> float:
    """Median time of steps on the first lesion of a dataset, opened anew for one thread."""
    case = next(cut_cases(validation, bundle.manifest.preprocess), None)
    if case is None:
        raise MammoscopeError(f"{validation.folder}: has no lesion to time the step on")
    masks = Masks(np.ones(case.rois.pixels.shape, dtype=np.float32), 0.5)
    given = Candidates.none() if steps[0].manifest.role in ("detect", "joint") else replace(case.truth, masks=masks)
    with _one_thread():
        opened = [BundledStep(step.folder, step.manifest).step for step in steps]
        seconds = []
        for _ in range(_RUNS + 1):
            begun = time.perf_counter()
            found = given
            for step in opened:
                found = step(case.exam, found)
            seconds.append(time.perf_counter() - begun)
    return 1000 * median(seconds[1:])  # the first run prepares


def processor() -> str:
    """The name of this machine's processor."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _of_network(exported: Exported) -> int:
    return sum(parameter.numel() for parameter in exported.network.parameters())


def _networks(step: BundledStep) -> list[Path]:
    paths = [step.folder / entry.file for entry in step.manifest.files.values()]
    return [path for path in paths if path.suffix == ".onnx"]


def _parameters(step: BundledStep) -> int:
    """The weights of a step's ONNX files; those of batch normalisation may have been joined with others."""
    graphs = [onnx.load(str(path)).graph for path in _networks(step)]
    return sum(
        int(np.prod(tensor.dims))
        for graph in graphs
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    earlier, threads = os.environ.get("OMP_NUM_THREADS"), cv2.getNumThreads()
    os.environ["OMP_NUM_THREADS"] = "1"  # read as a network is opened
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        if earlier is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = earlier
