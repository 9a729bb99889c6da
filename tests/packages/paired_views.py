"""A step of another package: a mass seen in both views of a breast is surer than one seen in one.

CC and MLO view show a mass at about the same distance from the chest wall. The step has settings and no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mammoscope.candidates import Candidates
from mammoscope.stages.step import PreparedExam, Scope, StepSettings


class PairedViewsSettings(StepSettings):
    """How two views are compared."""

    tolerance: Annotated[float, Field(gt=0, le=1)] = Field(description="Of the depth, as a share of the breast's.")
    weight: Annotated[float, Field(ge=0, le=1)] = Field(description="Of the counterpart's detection score.")


class PairedViews:
    """Raises the detection score of each candidate towards that of its best counterpart."""

    scope: ClassVar[Scope] = "exam"
    row_by_row: ClassVar[bool] = False
    Settings: ClassVar[type[PairedViewsSettings]] = PairedViewsSettings

    def __init__(self, settings: PairedViewsSettings) -> None:
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: PairedViewsSettings) -> PairedViews:
        """There is nothing to load."""
        return cls(settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The same candidates, scored anew; those without a counterpart as they were."""
        sides = np.array([str(view.laterality) for view in exam.views])
        widths = np.array([view.breast.width if view.breast else 1 for view in exam.views])
        depth = found.boxes[:, [0, 2]].mean(axis=1) / widths[found.view]  # the chest wall is left
        counterpart = (
            (sides[found.view][:, None] == sides[found.view])
            & (found.view[:, None] != found.view)
            & (np.abs(depth[:, None] - depth) <= self._settings.tolerance)
        )
        best = np.where(counterpart, found.detection_score, 0).max(axis=1, initial=0)
        raised = found.detection_score + self._settings.weight * np.maximum(best - found.detection_score, 0)
        return replace(found, detection_score=raised)
