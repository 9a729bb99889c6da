"""Find, outline and classify at once: a joint network, run by ONNX Runtime on the whole breast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.candidates import Candidates, Masks, RoiBatch
from mammoscope.geometry import FloatArray, Frame, FrameChange, clip_boxes
from mammoscope.stages.detect import RegionSettings, detector_input, suppress_overlaps
from mammoscope.stages.onnx import load_session, normalised, sigmoid
from mammoscope.stages.roi import moved_image, rois_of
from mammoscope.stages.step import NETWORK, PreparedExam, Scope

if TYPE_CHECKING:
    import onnxruntime

OUTPUTS = ("boxes", "scores", "masks", "malignancy")
_SHORTEST = 1.0  # pixel; a box without sides has a mask all the same

_Number = Annotated[float, Field(allow_inf_nan=False)]


class JointSettings(RegionSettings):
    """Of ``OnnxJoint``: the probability of malignancy is ``sigmoid(slope * logit + intercept)`` (Platt 1999)."""

    mask_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(description="Fitted on validation patients.")
    slope: _Number = Field(description="Fitted on validation patients, as the intercept.")
    intercept: _Number


class OnnxJoint:
    """A joint network, which turns ``image (1, 1, H, W)`` into A regions.

    ``boxes (A, 4)`` are in pixels of the input and ``scores (A,)`` in [0, 1]. ``masks (A, h, w)``, probabilities, are
    each stretched over its box, as in Mask R-CNN (He et al. 2017); outside the box there is nothing. ``malignancy
    (A,)`` are logits, above 0 for malignant. Of boxes that overlap the best scored is kept, with its mask as it is.
    """

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = False
    Settings: ClassVar[type[JointSettings]] = JointSettings

    def __init__(self, session: onnxruntime.InferenceSession, settings: JointSettings) -> None:
        self._session = session
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: JointSettings) -> OnnxJoint:
        """Load the network."""
        return cls(load_session(files[NETWORK]), settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """What was found so far, and what this network finds, outlined and classified.

        Where an earlier step found regions without outlines, later steps have to outline and classify all of them.
        """
        return Candidates.joined([found, self.find(exam)])

    def find(self, exam: PreparedExam) -> Candidates:
        """All regions down to the floor that no better one overlaps, highest score first, with every column."""
        settings, breast = self._settings, exam.breast()
        pixels, change = detector_input(breast, settings.input_height, settings.input_width, settings.contrast)
        inputs = {"image": normalised(pixels[None], settings)}
        boxes, scores, masks, logits = self._session.run(OUTPUTS, inputs)
        kept = suppress_overlaps(boxes, scores, floor=settings.floor, iou=settings.nms_iou, limit=settings.max_regions)
        placed = change.inverse().boxes(boxes[kept])
        found = Candidates.on_view(clip_boxes(placed, breast.width, breast.height), scores[kept])
        rois = rois_of(exam, found)
        malignancy = np.asarray(sigmoid(settings.slope * logits[kept].astype(np.float64) + settings.intercept))
        drawn = Masks(in_rois(masks[kept], placed, rois), settings.mask_threshold)
        return replace(found, rois=rois, masks=drawn, malignancy_score=malignancy)


def in_rois(masks: NDArray[np.float32], boxes: FloatArray, rois: RoiBatch) -> NDArray[np.float32]:
    """Masks ``(N, h, w)``, each stretched over its box ``(N, 4)`` of the frame ``preprocessed``, drawn in their ROIs.

    Returns
    -------
    numpy.ndarray
        ``(N, S, S) float32`` in [0, 1], 0 outside the boxes.
    """
    drawn = np.zeros(rois.pixels.shape, dtype=np.float32)
    height, width = rois.pixels.shape[1:]
    for place, (mask, (x0, y0, x1, y1), change) in enumerate(zip(masks, boxes, rois.from_preprocessed, strict=True)):
        rows, columns = mask.shape
        cell_x, cell_y = max(x1 - x0, _SHORTEST) / columns, max(y1 - y0, _SHORTEST) / rows
        on_breast = FrameChange(Frame.ROI, Frame.PREPROCESSED, cell_x, x0, cell_y, y0)
        drawn[place] = moved_image(mask, on_breast.then(change), width, height)
    return np.clip(drawn, 0, 1)
