"""A step of another package that finds, outlines and grades what is bright, of the kinds that its settings name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from mammoscope.candidates import Candidates, Masks
from mammoscope.stages.roi import rois_of
from mammoscope.stages.step import PreparedExam, Scope, StepSettings


class BrightSpecksSettings(StepSettings):
    """What a bright speck is called."""

    kinds: tuple[str, ...] = ("calcification",)
    brighter_than: int = 190


class BrightSpecks:
    """The larger, the surer; its malignancy is its detection score."""

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = False
    Settings: ClassVar[type[BrightSpecksSettings]] = BrightSpecksSettings

    def __init__(self, settings: BrightSpecksSettings) -> None:
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: BrightSpecksSettings) -> BrightSpecks:
        return cls(settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        bright = (exam.breast().pixels > self._settings.brighter_than).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        boxes = np.array([(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:count]], dtype=np.float64).reshape(-1, 4)
        scores = np.clip(stats[1:count, cv2.CC_STAT_AREA] / 2000, 0, 1)
        specks = replace(Candidates.on_view(boxes, scores), kind=np.array([self._settings.kinds[0]] * len(boxes)))
        every = Candidates.joined([found, specks])
        rois = rois_of(exam, every)
        masks = Masks(rois.pixels.astype(np.float32) / 255, 0.5)
        return replace(every, rois=rois, masks=masks, malignancy_score=every.detection_score)
