"""Find regions that may hold a finding: a detector, run by ONNX Runtime on the whole breast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.candidates import Candidates
from mammoscope.errors import BundleError
from mammoscope.geometry import FloatArray, Frame, FrameChange, box_iou, clip_boxes, scale_boxes
from mammoscope.kinds import DEFAULT_KIND
from mammoscope.stages.onnx import NetworkSettings, Session, load_session, normalised
from mammoscope.stages.openvino import FastSession
from mammoscope.stages.preprocess import ContrastSettings, Preprocessed
from mammoscope.stages.step import NETWORK, KindNames, PreparedExam, Scope
from mammoscope.stages.tiles import TileGrid, TileSettings, stitched


class RegionSettings(NetworkSettings):
    """How the regions that a network finds on a whole breast are thinned out: see ``suppress_overlaps``."""

    floor: Annotated[float, Field(ge=0, le=1)] = 0.03
    nms_iou: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.3, description="Of suppress_overlaps.")
    max_regions: Annotated[int, Field(ge=1, le=1000)] = 100


class DetectorSettings(RegionSettings):
    """Of ``OnnxDetector``."""

    kinds: KindNames = Field(
        default=(DEFAULT_KIND,),
        description="What the network finds: the classes that its scores are of, in their order.",
    )

    vote_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Of vote_boxes; 1 leaves boxes unchanged."
    )
    box_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=1.0, description="Of each box's sides about its middle: boxes tend to be short. Fitted on validation."
    )
    tiles: TileSettings = Field(
        default=TileSettings(), description="In which the network, whose input is one tile, sees the breast."
    )


def detector_input(
    image: Preprocessed, height: int, width: int, contrast: ContrastSettings
) -> tuple[NDArray[np.uint8], FrameChange]:
    """The whole breast as the detector sees it: the same in training, evaluation and analysis.

    The breast is stretched to the input's size, so that the whole input shows breast; its contrast is equalised there,
    so that an image of higher resolution looks the same.

    Returns
    -------
    pixels
        ``(height, width) uint8``, frame ``model_input``, black outside the breast.
    change
        From ``preprocessed`` to ``model_input``.
    """
    small = np.asarray(cv2.resize(image.pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    pixels = contrast.apply(small)
    pixels[small == 0] = 0
    change = FrameChange(Frame.PREPROCESSED, Frame.MODEL_INPUT).scaled(width / image.width, height / image.height)
    return pixels, change


class OnnxDetector:
    """A detector whose network turns ``image (1, 1, H, W)`` into input-pixel ``boxes (A, 4)`` and ``scores (A,)``.

    Of a network that finds several kinds the scores are ``(A, K)``, a column for each of its ``kinds``.
    """

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = False
    Settings: ClassVar[type[DetectorSettings]] = DetectorSettings

    def __init__(self, session: Session, settings: DetectorSettings) -> None:
        self._session = session
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: DetectorSettings) -> OnnxDetector:
        """Load the network."""
        return cls(load_session(files[NETWORK]), settings)

    @classmethod
    def open_fast(cls, files: Mapping[str, Path], settings: DetectorSettings) -> OnnxDetector:
        """Load the network to be run in bfloat16."""
        return cls(FastSession(files[NETWORK]), settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The candidates so far, and those that this detector finds."""
        return Candidates.joined([found, self.detect(exam.breast())])

    def detect(self, image: Preprocessed) -> Candidates:
        """All regions down to the floor that do not overlap a better one of their kind, highest score first."""
        settings = self._settings
        grid = TileGrid(settings.tiles, settings.input_height, settings.input_width)
        pixels, change = detector_input(image, *grid.size, settings.contrast)
        seen = [self._seen(tile.cut(pixels)) for tile in grid.tiles]
        found = []
        for number, kind in enumerate(settings.kinds):
            of_tiles = [self._thinned(boxes, scores[:, number]) for boxes, scores in seen]
            (boxes, scores), *others = of_tiles
            if others:
                apart = [boxes for boxes, _ in of_tiles], [scores for _, scores in of_tiles]
                boxes, scores = self._thinned(*stitched(grid.tiles, *apart))
            placed = scale_boxes(change.inverse().boxes(boxes), settings.box_scale)
            found.append(Candidates.on_view(clip_boxes(placed, image.width, image.height), scores, kind=kind))
        return found[0] if len(found) == 1 else Candidates.joined(found).ranked()

    def _seen(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Boxes ``(A, 4)`` in ``pixels``, which are of the input's size, and their scores ``(A, K)``."""
        boxes, scores = self._session.run(None, {"image": normalised(pixels[None], self._settings)})
        scores, kinds = scores.reshape(len(boxes), -1), self._settings.kinds
        if scores.shape[1] != len(kinds):
            raise BundleError(f"the network scores {scores.shape[1]} kinds, its settings name {', '.join(kinds)}")
        return boxes, scores

    def _thinned(
        self, boxes: NDArray[np.floating], scores: NDArray[np.floating]
    ) -> tuple[FloatArray, NDArray[np.floating]]:
        """Without boxes that overlap a better one, highest score first."""
        settings = self._settings
        kept = suppress_overlaps(boxes, scores, floor=settings.floor, iou=settings.nms_iou, limit=settings.max_regions)
        return vote_boxes(boxes, scores, kept, floor=settings.floor, iou=settings.vote_iou), scores[kept]


def suppress_overlaps(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], *, floor: float, iou: float, limit: int
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Parameters
    ----------
    boxes, scores
        ``(N, 4)`` and ``(N,)``.
    floor
        Lower scores are left out.
    iou
        A box that overlaps a better one by more than this is left out.
    limit
        Most boxes kept.

    Returns
    -------
    numpy.ndarray
        Places of the kept boxes, highest score first.
    """
    candidates = np.flatnonzero(scores >= floor)
    order = candidates[np.argsort(-scores[candidates], kind="stable")][:1000]
    kept: list[int] = []
    while order.size and len(kept) < limit:
        best, order = order[0], order[1:]
        kept.append(int(best))
        order = order[box_iou(boxes[best][None], boxes[order])[0] <= iou]
    return np.array(kept, dtype=np.intp)


def vote_boxes(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], kept: NDArray[np.intp], *, floor: float, iou: float
) -> NDArray[np.float64]:
    """Place each kept box by a vote of the boxes that it suppressed (Gidaris and Komodakis 2015).

    The box with the best score is not always the best placed; the mean of overlapping boxes, weighted by score, is
    better.

    Parameters
    ----------
    boxes, scores
        ``(N, 4)`` and ``(N,)``.
    kept
        ``(K,)`` places of the boxes kept, see ``suppress_overlaps``.
    floor
        Boxes with lower scores have no vote.
    iou
        Boxes that overlap a kept one by at least this have a vote on it; the kept one always has.

    Returns
    -------
    numpy.ndarray
        ``(K, 4)``, in the order of ``kept``.
    """
    voters = np.flatnonzero(scores >= floor)
    weights = np.where(box_iou(boxes[kept], boxes[voters]) >= iou, scores[voters], 0.0)
    weights[voters[None] == kept[:, None]] = scores[kept]
    return np.asarray(weights @ boxes[voters] / weights.sum(axis=1, keepdims=True), dtype=np.float64)
