"""Run ONNX files: shared by the steps that do so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.processes.cores import usable_cores
from mammoscope.stages.preprocess import ContrastSettings
from mammoscope.stages.step import StepSettings

if TYPE_CHECKING:
    import onnxruntime

Float = TypeVar("Float", bound=np.floating[Any])

_SURE = 1e-6


class NetworkSettings(StepSettings):
    """How images are scaled to the input of a network."""

    input_height: Annotated[int, Field(ge=32, le=8192)]
    input_width: Annotated[int, Field(ge=32, le=8192)]
    mean: Annotated[float, Field(allow_inf_nan=False)] = Field(description="Subtracted from pixels scaled to [0, 1].")
    std: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    contrast: ContrastSettings


class Session(Protocol):
    """A network, loaded; several threads may run it."""

    def run(self, names: None, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """All its outputs in their order."""
        ...


def load_session(path: Path) -> onnxruntime.InferenceSession:
    """Load an ONNX file for the CPU, with a thread for each core that this process may use."""
    # Recent releases send usage data to their maker over the network, unless this is set before they are loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # noqa: PLC0415 (it takes a tenth of a second, which a help text need not pay)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.log_severity_level = 3
    # An arena never frees memory, and takes more for each input shape: 1.3 GB after 14 images; without 0.4 GB, as fast.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def normalised(pixels: NDArray[np.uint8], settings: NetworkSettings) -> NDArray[np.float32]:
    """Images ``(N, H, W) uint8`` as a network takes them: ``(N, 1, H, W) float32``."""
    scale = np.float32(1.0 / (255.0 * settings.std))
    shift = np.float32(settings.mean / settings.std)
    return pixels[:, None].astype(np.float32) * scale - shift


def resized(images: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Images ``(N, H, W)`` of any type, each resized to ``width`` x ``height`` by linear interpolation."""
    if images.shape[1:] == (height, width):
        return images
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) for image in images])


def softmax(values: NDArray[Float]) -> NDArray[Float]:
    """Probabilities from logits ``(N, K)``: each row's sum is 1."""
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=values.dtype)


def logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The opposite of ``sigmoid``; probabilities nearer to 0 or 1 than 1e-6 are taken as that near."""
    sure = np.clip(probabilities, _SURE, 1 - _SURE)
    return np.asarray(np.log(sure / (1 - sure)))


def sigmoid(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), dtype=values.dtype)
