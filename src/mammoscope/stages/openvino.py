"""Run an ONNX file by OpenVINO in bfloat16: the extra ``fast``, on processors that calculate with such numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mammoscope.processes.cores import usable_cores

# With it, OpenVINO would send usage data to its maker over the network as it is loaded.
_CONVERTER = "openvino.tools.ovc"


@cache
def fast_runtime() -> str | None:
    """What runs networks fast here, with its version; None where it is not installed, or the processor cannot."""
    if find_spec("openvino") is None:
        return None
    core = _core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    return f"OpenVINO {core.get_versions('CPU')['CPU'].build_number.partition('-')[0]}, bfloat16"


class FastSession:
    """A network in bfloat16 with a thread for each core that this process may use; several threads may run it.

    Parameters
    ----------
    path
        The ONNX file.
    """

    def __init__(self, path: Path) -> None:
        core = _core()
        self._model = core.compile_model(
            core.read_model(path),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16",
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": usable_cores(),
                "ENABLE_CPU_PINNING": False,  # to cores that other processes have too
            },
        )

    def run(self, names: None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """All outputs in their order, as ``onnxruntime.InferenceSession.run``."""
        request = self._model.create_infer_request()
        request.infer(inputs)
        return [request.get_output_tensor(place).data.copy() for place in range(len(self._model.outputs))]


@cache
def _core() -> Any:
    with _without(_CONVERTER):
        import openvino  # noqa: PLC0415 (an extra)
    return openvino.Core()


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Let a module seem not to be installed."""
    missing = object()
    before = sys.modules.get(module, missing)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not missing:
            sys.modules[module] = before  # type: ignore[assignment]
