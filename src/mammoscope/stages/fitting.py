"""What a step of another package is given to fit settings of its own on, when a bundle is built."""

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
        What the steps before this one give: for steps before the selection what they find, for those after it the true
        lesions as they have graded them.
    truth
        The true lesions, view by view, with detection scores of 1.
    malignant
        Whether each of them is; None: not known.
    """

    exam: PreparedExam
    found: Candidates
    truth: Candidates
    malignant: tuple[bool | None, ...]


@runtime_checkable
class FittableStep(Protocol):
    """A step that fits settings of its own on validation patients."""

    def fitted(self, cases: Iterable[FittingCase]) -> Mapping[str, Any]:
        """The settings that change, by name; all that the implementation says of exams comes from ``cases``."""
        ...
