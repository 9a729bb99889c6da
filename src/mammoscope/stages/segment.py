"""Outline the mass in each region: a segmentation network, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.stages.onnx import NetworkSettings, load_session, normalised, resized, sigmoid
from mammoscope.stages.roi import rois_of
from mammoscope.stages.step import NETWORK, OfKindsSettings, PreparedExam, Scope

if TYPE_CHECKING:
    import onnxruntime

_BATCH = 2  # larger batches take 0.2 GB for each ROI, and no less time on a CPU


class SegmenterSettings(NetworkSettings, OfKindsSettings):
    """Of ``OnnxSegmenter``."""

    threshold: Annotated[float, Field(gt=0, lt=1)]
    enlarged_shift: Annotated[float, Field(allow_inf_nan=False)] = Field(
        default=0.0,
        description="Added to the logits of an ROI that was enlarged fourfold or more, and less of it to one enlarged "
        "less: blurred masses are outlined too small. Fitted on validation patients.",
    )


class OnnxSegmenter:
    """A segmenter: its network turns ``roi (N, 1, H, W)`` into ``logits`` of the same shape."""

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = True
    Settings: ClassVar[type[SegmenterSettings]] = SegmenterSettings

    def __init__(self, session: onnxruntime.InferenceSession, settings: SegmenterSettings) -> None:
        self._session = session
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: SegmenterSettings) -> OnnxSegmenter:
        """Load the network."""
        return cls(load_session(files[NETWORK]), settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The same candidates, each of its kinds with a mask; ROIs are cut if there are none yet.

        Masks of other kinds stay as they are: empty where none was drawn.
        """
        rois, rows = rois_of(exam, found), self._settings.rows(found)
        if len(rows) == len(found):
            return replace(found, rois=rois, masks=self.segment(rois))
        drawn = self.segment(rois.take(rows))
        probabilities = np.zeros(rois.pixels.shape, dtype=np.float32)
        if found.masks is not None:  # by another threshold, perhaps
            probabilities[found.masks.binary] = 1
        probabilities[rows] = drawn.probabilities
        return replace(found, rois=rois, masks=Masks(probabilities, drawn.threshold))

    def segment(self, rois: RoiBatch) -> Masks:
        """A mask for each ROI."""
        settings = self._settings
        shifts = (settings.enlarged_shift * enlargement(rois)).astype(np.float32)[:, None, None]
        probabilities = np.zeros(rois.pixels.shape, dtype=np.float32)
        for start in range(0, len(rois), _BATCH):
            part = rois.pixels[start : start + _BATCH]
            pixels = np.stack([settings.contrast.apply(roi) for roi in part])
            pixels = resized(pixels, settings.input_width, settings.input_height)
            (logits,) = self._session.run(None, {"roi": normalised(pixels, settings)})
            probability = sigmoid(logits[:, 0] + shifts[start : start + _BATCH])
            probabilities[start : start + _BATCH] = resized(probability, rois.pixels.shape[2], rois.pixels.shape[1])
        return Masks(probabilities, settings.threshold)


def enlargement(rois: RoiBatch) -> NDArray[np.float64]:
    """How much each ROI was enlarged, ``(N,)``: 0 if not, 1 from fourfold on, logarithmic between."""
    scales = np.array([abs(change.scale_x * change.scale_y) ** 0.5 for change in rois.from_preprocessed])
    return np.asarray(np.clip(np.log2(np.maximum(scales, 1.0)) / 2, 0, 1))
