"""Outline the mass in each region: a residual U-Net with a transformer branch, run by ONNX Runtime."""

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
        shifts = (settings.enlarged_shift * enlargement(rois)).astype(np.float32)[:, None, None]
        probabilities = np.zeros(rois.pixels.shape, dtype=np.float32)
        for start in range(0, len(rois), _BATCH):
            part = rois.pixels[start : start + _BATCH]
            pixels = np.stack([settings.contrast.apply(roi) for roi in part])
            pixels = resized(pixels, settings.input_width, settings.input_height)
            (logits,) = self._session.run(None, {"roi": normalised(pixels, settings)})
            chances = sigmoid(logits[:, 0] + shifts[start : start + _BATCH])
            probabilities[start : start + _BATCH] = resized(chances, rois.pixels.shape[2], rois.pixels.shape[1])
        return Masks(probabilities, settings.threshold)


def enlargement(rois: RoiBatch) -> NDArray[np.float64]:
    """How much each ROI was enlarged, ``(N,)``: 0 where it was not, 1 from fourfold on, by the logarithm between."""
    scales = np.array([abs(change.scale_x * change.scale_y) ** 0.5 for change in rois.from_preprocessed])
    return np.asarray(np.clip(np.log2(np.maximum(scales, 1.0)) / 2, 0, 1))
