"""A step of another package: a mass seen in both views of a breast is surer than one seen in one.

CC and MLO view show a mass at about the same distance from the chest wall. The step has settings and no file; its
weight is fitted when a bundle is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.candidates import Candidates
from mammoscope.geometry import FloatArray, box_iou
from mammoscope.stages.fitting import FittingCase
from mammoscope.stages.step import PreparedExam, Scope, StepSettings

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
ON_A_MASS = 0.2  # IoU


class PairedViewsSettings(StepSettings):
    """How two views are compared."""

    tolerance: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1, description="Of the depth, as a share of the breast's."
    )
    weight: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.3, description="Of the counterpart's detection score, if nothing was fitted."
    )


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

    def fitted(self, cases: Iterable[FittingCase]) -> dict[str, float]:
        """The weight with which masses most often outscore what is none; of equal ones the least.

        Without pairs that help this is 0: all stays as the steps before left it.
        """
        settings = {weight: self._settings.model_copy(update={"weight": weight}) for weight in WEIGHTS}
        scores: dict[float, list[FloatArray]] = {weight: [] for weight in WEIGHTS}
        on_mass = []
        for case in cases:
            same_view = case.found.view[:, None] == case.truth.view
            on_mass.append(((box_iou(case.found.boxes, case.truth.boxes) >= ON_A_MASS) & same_view).any(axis=1))
            for weight in WEIGHTS:
                scores[weight].append(PairedViews(settings[weight])(case.exam, case.found).detection_score)
        masses = np.concatenate([np.zeros(0, dtype=bool), *on_mass])
        shares = {weight: outscoring(np.concatenate([np.zeros(0), *scores[weight]]), masses) for weight in WEIGHTS}
        return {"weight": max(WEIGHTS, key=lambda weight: shares[weight])}


def outscoring(scores: FloatArray, masses: NDArray[np.bool_]) -> float:
    """Share of pairs of a mass and another region in which the mass has the higher score; equal ones count half."""
    others = np.sort(scores[~masses])
    if not masses.any() or not len(others):
        return 0.0
    below, not_above = (np.searchsorted(others, scores[masses], side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / len(others))
