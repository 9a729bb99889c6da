"""Tell malignant from benign: three networks that see the region, its shape and its margin, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mammoscope.stages.onnx import load_session, normalised, resized, sigmoid
from mammoscope.stages.roi import RoiBatch
from mammoscope.stages.step import Masks

if TYPE_CHECKING:
    import onnxruntime

    from mammoscope.bundle import ClassifierManifest

_BATCH = 16  # bounds the memory that many regions take


class OnnxClassifier:
    """A classifier of the bundle. Its file turns ``roi`` and ``mask``, ``(N, 1, H, W)`` each, into ``logit (N,)``."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: ClassifierManifest) -> None:
        self._session = session
        self._manifest = manifest

    @classmethod
    def from_bundle(cls, path: Path, manifest: ClassifierManifest) -> OnnxClassifier:
        """Load a verified file of a bundle."""
        return cls(load_session(path), manifest)

    def classify(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        """``(N,)`` calibrated probabilities that each mass is malignant (Platt 1999)."""
        settings = self._manifest
        return np.asarray(sigmoid(settings.slope * self.logits(rois, masks) + settings.intercept))

    def logits(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        """``(N,)`` raw outputs of the network, before calibration."""
        settings = self._manifest
        size = settings.input_width, settings.input_height
        logits = np.zeros(len(rois))
        for start in range(0, len(rois), _BATCH):
            place = slice(start, start + _BATCH)
            pixels = np.stack([settings.contrast.apply(roi) for roi in rois.pixels[place]])
            inside = resized(masks.binary[place].astype(np.uint8) * 255, *size)[:, None] > 127
            inputs = {"roi": normalised(resized(pixels, *size), settings), "mask": inside.astype(np.float32)}
            (logits[place],) = self._session.run(None, inputs)
        return logits
