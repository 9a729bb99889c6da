"""Classify findings as malignant or benign: a network that sees the region and its outline, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.errors import BundleError
from mammoscope.stages.onnx import NetworkSettings, load_session, normalised, resized, sigmoid
from mammoscope.stages.roi import rois_of
from mammoscope.stages.step import NETWORK, PreparedExam, Scope

if TYPE_CHECKING:
    import onnxruntime

_BATCH = 2  # larger batches take more memory, and no less time on a CPU
_Number = Annotated[float, Field(allow_inf_nan=False)]


class ClassifierSettings(NetworkSettings):
    """Of ``OnnxClassifier``: the probability is ``sigmoid(slope * logit + intercept)`` (Platt 1999)."""

    slope: _Number = Field(description="Fitted on validation patients, as the intercept.")
    intercept: _Number


class OnnxClassifier:
    """A classifier: its network turns ``roi`` and ``mask``, ``(N, 1, H, W)`` each, into ``logit (N,)``."""

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = True
    Settings: ClassVar[type[ClassifierSettings]] = ClassifierSettings

    def __init__(self, session: onnxruntime.InferenceSession, settings: ClassifierSettings) -> None:
        self._session = session
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: ClassifierSettings) -> OnnxClassifier:
        """Load the network."""
        return cls(load_session(files[NETWORK]), settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The same candidates with a malignancy score each.

        Raises
        ------
        BundleError
            No step before this one has outlined them.
        """
        if found.masks is None and len(found):
            raise BundleError("the classifier needs outlines, and no step of the bundle before it draws any")
        rois = rois_of(exam, found)
        masks = found.masks or Masks(np.zeros(rois.pixels.shape, dtype=np.float32), 0.5)
        return replace(found, rois=rois, malignancy_score=self.classify(rois, masks))

    def classify(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        """``(N,)`` calibrated probabilities that each mass is malignant (Platt 1999)."""
        settings = self._settings
        return np.asarray(sigmoid(settings.slope * self.logits(rois, masks) + settings.intercept))

    def logits(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        """``(N,)`` raw outputs of the network, before calibration."""
        settings = self._settings
        size = settings.input_width, settings.input_height
        logits = np.zeros(len(rois))
        for start in range(0, len(rois), _BATCH):
            place = slice(start, start + _BATCH)
            pixels = np.stack([settings.contrast.apply(roi) for roi in rois.pixels[place]])
            inside = resized(masks.binary[place].astype(np.uint8) * 255, *size)[:, None] > 127
            inputs = {"roi": normalised(resized(pixels, *size), settings), "mask": inside.astype(np.float32)}
            (logits[place],) = self._session.run(None, inputs)
        return logits
