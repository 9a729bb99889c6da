"""Outline the mass in each region: a residual U-Net with a transformer branch, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.stages.inference import load_session, normalised, resized, sigmoid
from mammoscope.stages.protocols import Masks
from mammoscope.stages.roi import RoiBatch

if TYPE_CHECKING:
    import onnxruntime

    from mammoscope.bundle import SegmenterManifest

_BATCH = 8  # bounds the memory that many regions take


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


def mass_outline(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.float64]:
    """The outline of the largest region at or above a threshold, finer than a pixel.

    Parameters
    ----------
    probabilities
        ``(S, S) float32``, frame ``roi``.

    Returns
    -------
    numpy.ndarray
        ``(N, 2)`` of (x, y), frame ``roi``, a closed polygon without its first point repeated; empty where no pixel
        reaches the threshold.
    """
    # The rim of zeros closes outlines that leave the ROI; they are then clipped to it.
    padded = np.pad(probabilities, 1)
    lines = contourpy.contour_generator(z=padded).lines(threshold)
    polygons = [np.asarray(line, dtype=np.float64) - 0.5 for line in lines if len(line) > 3]  # to pixel corners
    if not polygons:
        return np.zeros((0, 2))
    largest = max(polygons, key=polygon_area)
    height, width = probabilities.shape
    return np.clip(largest[:-1], 0, [width, height])


def polygon_area(points: NDArray[np.float64]) -> float:
    """Area of a polygon ``(N, 2)``, in squares of its unit."""
    return float(cv2.contourArea(points.astype(np.float32))) if len(points) > 2 else 0.0


def longest_diameter(points: NDArray[np.float64]) -> float:
    """Largest distance between two of the points ``(N, 2)``, in their unit."""
    if len(points) < 2:
        return 0.0
    hull = cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)
    return float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(axis=2).max()))
