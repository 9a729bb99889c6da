"""Outline the mass in each region: a residual U-Net with a transformer branch, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammoscope.stages.inference import load_session, normalised, resized, sigmoid
from mammoscope.stages.protocols import Masks
from mammoscope.stages.roi import RoiBatch

if TYPE_CHECKING:
    import onnxruntime

    from mammoscope.bundle import SegmenterManifest

_BATCH = 2  # more take no less time on a processor, and 0.2 GB each


class OnnxSegmenter:
    """A segmenter of the bundle. Its file turns ``roi (N, 1, H, W)`` into ``logits`` of the same shape."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: SegmenterManifest) -> None:
        self._session = session
        self._manifest = manifest

    @classmethod
    def from_bundle(cls, path: Path, manifest: SegmenterManifest) -> OnnxSegmenter:
        """Load a verified file of a bundle."""
        return cls(load_session(path), manifest)

    def segment(self, rois: RoiBatch) -> Masks:
        """A mask for each ROI."""
        settings = self._manifest
        probabilities = np.zeros(rois.pixels.shape, dtype=np.float32)
        for start in range(0, len(rois), _BATCH):
            part = rois.pixels[start : start + _BATCH]
            pixels = np.stack([settings.contrast.apply(roi) for roi in part])
            pixels = resized(pixels, settings.input_width, settings.input_height)
            (logits,) = self._session.run(None, {"roi": normalised(pixels, settings)})
            chances = sigmoid(logits[:, 0])
            probabilities[start : start + _BATCH] = resized(chances, rois.pixels.shape[2], rois.pixels.shape[1])
        return Masks(probabilities, settings.threshold)
