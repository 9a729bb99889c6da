"""A step of another package whose library takes the process with it, on left breasts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from mammoscope.candidates import Candidates
from mammoscope.mammogram import Laterality
from mammoscope.stages.step import PreparedExam, Scope, StepSettings


class DeadlyLeft:
    """Changes nothing, and ends the process where a view is of the left breast."""

    scope: ClassVar[Scope] = "view"
    row_by_row: ClassVar[bool] = False
    Settings: ClassVar[type[StepSettings]] = StepSettings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: StepSettings) -> DeadlyLeft:
        return cls()

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        if any(view.laterality is Laterality.LEFT for view in exam.views):
            os._exit(9)
        return found
