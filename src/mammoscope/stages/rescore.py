"""False-positive reduction: a network rescores each region from a closer cut, run by ONNX Runtime.

A detector sees the whole breast at the size of its input; this network sees a region and the tissue around it at the
full resolution of the image. Their scores are joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.candidates import Candidates
from mammoscope.stages.onnx import NetworkSettings, Session, load_session, logit, normalised, sigmoid
from mammoscope.stages.openvino import FastSession
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.roi import cut_roi
from mammoscope.stages.step import NETWORK, OfKindsSettings, PreparedExam, Scope

_BATCH = 2  # larger batches take more memory, and no less time on a CPU


class RescorerSettings(NetworkSettings, OfKindsSettings):
    """Of ``OnnxRescorer``. A region's score is the weighted mean of both logits, through the logistic function."""

    mass_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Share of the square's side that the region takes: the rest is tissue around it."
    )
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        description="Of this network's logit; 0 leaves the detection scores unchanged. Fitted on validation patients."
    )


class OnnxRescorer:
    """A rescorer: its network turns ``regions (N, 1, S, S)`` into ``logit (N,)``, above 0 for a mass."""

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = False
    Settings: ClassVar[type[RescorerSettings]] = RescorerSettings

    def __init__(self, session: Session, settings: RescorerSettings) -> None:
        self._session = session
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: RescorerSettings) -> OnnxRescorer:
        """Load the network."""
        return cls(load_session(files[NETWORK]), settings)

    @classmethod
    def open_fast(cls, files: Mapping[str, Path], settings: RescorerSettings) -> OnnxRescorer:
        """Load the network to be run in bfloat16."""
        return cls(FastSession(files[NETWORK]), settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The same candidates, those of its kinds with scores joined from both networks; highest first."""
        rows, scores = self._settings.rows(found), found.detection_score.copy()
        logits = self.logits(exam.breast(), found.boxes[rows])
        scores[rows] = joined_scores(scores[rows], logits, self._settings.weight)
        return replace(found, detection_score=scores).ranked()

    def own(self, found: Candidates) -> Candidates:
        """The candidates of the kinds that it rescores."""
        return found.take(self._settings.rows(found))

    def logits(self, image: Preprocessed, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(N,)`` raw outputs of the network for boxes ``(N, 4)`` of the frame ``preprocessed``."""
        settings = self._settings
        logits = np.zeros(len(boxes))
        for start in range(0, len(boxes), _BATCH):
            place = slice(start, start + _BATCH)
            seen = region_views(image, boxes[place], settings.input_width, settings.mass_fraction)
            pixels = np.stack([settings.contrast.apply(view) for view in seen])
            (logits[place],) = self._session.run(None, {"regions": normalised(pixels, settings)})
        return logits


def region_views(
    image: Preprocessed, boxes: NDArray[np.number], size: int, mass_fraction: float
) -> Sequence[NDArray[np.uint8]]:
    """What the network sees of each box ``(N, 4)``: a square ``(size, size) uint8``, in training and analysis alike.

    Boxes are of the frame ``preprocessed``; see ``cut_roi`` for the rest.
    """
    return [
        cut_roi(image.pixels, box, image.pixel_aspect, size=size, mass_fraction=mass_fraction).pixels for box in boxes
    ]


def rescored(found: Candidates, logits: NDArray[np.float64], weight: float) -> Candidates:
    """Candidates with ``joined_scores``, highest first."""
    return replace(found, detection_score=joined_scores(found.detection_score, logits, weight)).ranked()


def joined_scores(scores: NDArray[np.float64], logits: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Detection scores ``(N,)`` and the network's logits ``(N,)`` as one score: the weighted mean of both logits."""
    return np.asarray(sigmoid((1 - weight) * logit(scores) + weight * logits))
