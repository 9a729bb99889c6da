"""The input for a step of another package that fits its own settings when a bundle is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from mammoscope.candidates import Candidates
from mammoscope.stages.step import PreparedExam


@dataclass(frozen=True, eq=False)
class FittingCase:
    """An exam of a validation patient.

    Attributes
    ----------
    exam
        Its views, prepared.
    found
        The output of the steps before this one: for steps before the selection their candidates, for steps after it the
        true lesions as the steps before have processed them.
    truth
        The true lesions, view by view, with detection scores of 1.
    malignant
        Whether each of them is; None: not known.
    lesions
        A name of each: those with the same name are one lesion in several views.
    """

    exam: PreparedExam
    found: Candidates
    truth: Candidates
    malignant: tuple[bool | None, ...]
    lesions: tuple[str, ...]


@runtime_checkable
class FittableStep(Protocol):
    """A step that fits its own settings on validation patients."""

    def fitted(self, cases: Iterable[FittingCase]) -> Mapping[str, Any]:
        """The settings that change, by name; all that the implementation says of exams comes from ``cases``."""
        ...
