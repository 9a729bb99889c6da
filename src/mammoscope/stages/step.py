"""What a stage takes and gives. A replacement from another package meets one of these and is found by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import RoiBatch


@dataclass(frozen=True, eq=False)
class Regions:
    """Where masses may be.

    Attributes
    ----------
    boxes
        ``(N, 4) float64`` of (x0, y0, x1, y1), frame ``preprocessed``, inside the image.
    scores
        ``(N,) float64`` detection scores in [0, 1], highest first.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4):
            raise ValueError(f"boxes {self.boxes.shape} do not fit scores {self.scores.shape}")

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, threshold: float) -> Regions:
        """The regions with a score of ``threshold`` or more."""
        keep = self.scores >= threshold
        return Regions(self.boxes[keep], self.scores[keep])


@dataclass(frozen=True, eq=False)
class Masks:
    """Where in each ROI the mass is.

    Attributes
    ----------
    probabilities
        ``(N, S, S) float32`` in [0, 1], frame ``roi``.
    threshold
        Pixels at or above it belong to the mass.
    """

    probabilities: NDArray[np.float32]
    threshold: float

    @property
    def binary(self) -> NDArray[np.bool_]:
        """``(N, S, S) bool``: True on the mass."""
        return np.asarray(self.probabilities >= self.threshold)


class Detector(Protocol):
    """Finds regions that may hold a mass."""

    def detect(self, image: Preprocessed) -> Regions:
        """All regions down to the detector's own low floor, highest score first."""
        ...


class Reducer(Protocol):
    """Tells masses from what only looks like one."""

    def reduce(self, image: Preprocessed, regions: Regions) -> Regions:
        """The same regions, scored anew, highest score first."""
        ...


class Segmenter(Protocol):
    """Outlines the mass in each ROI."""

    def segment(self, rois: RoiBatch) -> Masks:
        """A mask for each ROI; an empty batch gives empty masks."""
        ...


class Classifier(Protocol):
    """Tells malignant from benign."""

    def classify(self, rois: RoiBatch, masks: Masks) -> NDArray[np.float64]:
        """``(N,)`` calibrated probabilities that each mass is malignant."""
        ...
