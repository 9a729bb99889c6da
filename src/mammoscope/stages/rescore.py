"""Look at each region again: a network that tells a mass from what only looks like one, run by ONNX Runtime.

A detector sees the whole breast at once, at the size of its input; this one sees a region and the tissue around it as
sharp as the film is. Their scores are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mammoscope.stages.onnx import load_session, normalised, sigmoid
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import cut_roi
from mammoscope.stages.step import Detector, Reducer, Regions

if TYPE_CHECKING:
    import onnxruntime

    from mammoscope.bundle import ReducerManifest

_BATCH = 16  # bounds the memory that many regions take
_SURE = 1e-6  # scores nearer to 0 or 1 count as this near


class OnnxReducer:
    """A false-positive reducer of the bundle. Its file turns ``regions (N, 1, S, S)`` into ``logit (N,)``."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: ReducerManifest) -> None:
        self._session = session
        self._manifest = manifest

    @classmethod
    def from_bundle(cls, path: Path, manifest: ReducerManifest) -> OnnxReducer:
        """Load a verified file of a bundle."""
        return cls(load_session(path), manifest)

    def reduce(self, image: Preprocessed, regions: Regions) -> Regions:
        """The same regions with scores that both networks agree on, highest first."""
        return rescored(regions, self.logits(image, regions.boxes), self._manifest.weight)

    def logits(self, image: Preprocessed, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(N,)`` raw outputs of the network for boxes ``(N, 4)`` of the frame ``preprocessed``."""
        settings = self._manifest
        logits = np.zeros(len(boxes))
        for start in range(0, len(boxes), _BATCH):
            place = slice(start, start + _BATCH)
            seen = region_views(image, boxes[place], settings.input_width, settings.mass_fraction)
            pixels = np.stack([settings.contrast.apply(view) for view in seen])
            (logits[place],) = self._session.run(None, {"regions": normalised(pixels, settings)})
        return logits


@dataclass(frozen=True)
class ReducedDetector:
    """A detector, and a reducer behind it."""

    detector: Detector
    reducer: Reducer

    def detect(self, image: Preprocessed) -> Regions:
        """All regions down to the detector's floor, scored by both, highest score first."""
        return self.reducer.reduce(image, self.detector.detect(image))


def region_views(
    image: Preprocessed, boxes: NDArray[np.number], size: int, mass_fraction: float
) -> Sequence[NDArray[np.uint8]]:
    """What a reducer sees of each box ``(N, 4)``: a square ``(size, size) uint8``, the same in training and analysis.

    Boxes are of the frame ``preprocessed``; see ``cut_roi`` for the rest.
    """
    return [
        cut_roi(image.pixels, box, image.pixel_aspect, size=size, mass_fraction=mass_fraction).pixels for box in boxes
    ]


def rescored(regions: Regions, logits: NDArray[np.float64], weight: float) -> Regions:
    """Regions with ``joined_scores``, highest first."""
    scores = joined_scores(regions.scores, logits, weight)
    order = np.argsort(-scores, kind="stable")
    return Regions(regions.boxes[order], scores[order])


def joined_scores(scores: NDArray[np.float64], logits: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """A detector's scores ``(N,)`` and a reducer's logits ``(N,)`` as one score: the weighted mean of both logits."""
    sure = np.clip(scores, _SURE, 1 - _SURE)
    return np.asarray(sigmoid((1 - weight) * np.log(sure / (1 - sure)) + weight * logits))
