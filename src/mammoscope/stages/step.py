"""The protocol of a step of the chain: it takes the prepared exam and the candidates so far, and gives candidates.

A step of another package is a class that meets ``StepImplementation``, registered as an entry point of the group
``mammoscope.steps``; a bundle's manifest names it, with settings and files of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mammoscope.candidates import Candidates
from mammoscope.errors import BundleError
from mammoscope.extensions import Extensions
from mammoscope.findings import KindName
from mammoscope.kinds import DEFAULT_KIND
from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing
from mammoscope.stages.preprocess import Preprocessed, PreprocessSettings, preprocess

GROUP = "mammoscope.steps"
SELECT = "select"
OPEN_FAST = "open_fast"  # of an implementation that has a faster way to ``open`` its files, with other scores
NETWORK = "network"  # label of the ONNX file among the files of a built-in step
BUILT_IN = {
    "onnx-detector": "mammoscope.stages.detect:OnnxDetector",
    "onnx-rescorer": "mammoscope.stages.rescore:OnnxRescorer",
    "onnx-segmenter": "mammoscope.stages.segment:OnnxSegmenter",
    "onnx-classifier": "mammoscope.stages.classify:OnnxClassifier",
    "onnx-joint": "mammoscope.stages.joint:OnnxJoint",
    "two-views": "mammoscope.stages.two_views:TwoViews",
    "average-mask": "mammoscope.stages.average_mask:AverageMask",
}

Scope = Literal["view", "exam"]


KindNames = Annotated[tuple[KindName, ...], Field(min_length=1)]


class StepSettings(BaseModel):
    """Settings of a step; a step of another package derives its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OfKindsSettings(StepSettings):
    """Of a step that was trained on lesions of some kinds, and leaves candidates of others as they are."""

    of_kinds: KindNames = (DEFAULT_KIND,)

    def rows(self, found: Candidates) -> NDArray[np.intp]:
        """The places of the candidates that the step is for."""
        return np.flatnonzero(np.isin(found.kind, self.of_kinds))


@dataclass(frozen=True, eq=False)
class PreparedView:
    """One view as steps see it.

    Attributes
    ----------
    breast
        The breast, ready for the models; None where none was found.
    laterality, view, spacing
        As in the mammogram; None: not known.
    """

    breast: Preprocessed | None
    laterality: Laterality | None = None
    view: str | None = None
    spacing: PixelSpacing | None = None

    @classmethod
    def of(cls, mammogram: Mammogram, settings: PreprocessSettings) -> PreparedView:
        """Flip, crop and mask a mammogram."""
        return cls(preprocess(mammogram, settings), mammogram.laterality, mammogram.view, mammogram.spacing)


@dataclass(frozen=True, eq=False)
class PreparedExam:
    """One to n views of one woman at one time."""

    views: tuple[PreparedView, ...]

    def alone(self, view: int) -> PreparedExam:
        """An exam of this one view."""
        return PreparedExam((self.views[view],))

    def breast(self, view: int = 0) -> Preprocessed:
        """The breast of a view, which must have one: steps of scope ``view`` only get such views."""
        breast = self.views[view].breast
        if breast is None:
            raise ValueError(f"no breast was found on view {view}")
        return breast


class Step(Protocol):
    """A step, loaded and ready."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The candidates after this step: rows added or dropped, fields filled in, or new scores.

        Parameters
        ----------
        exam
            With scope ``view`` an exam of one view, on which a breast was found; with scope ``exam`` the whole.
        found
            The candidates of the steps before, on the views of ``exam``.
        """
        ...


class StepImplementation(Protocol):
    """The implementation of a step: how it is made from settings and files.

    Attributes
    ----------
    scope
        Whether the step sees one view at a time, or the whole exam at once.
    row_by_row
        Whether it only fills in fields, each candidate's without regard to the others: it drops none and leaves the
        detection scores. After the selection, evaluation then runs it only on the candidates that its figures need.
    Settings
        Checked as the bundle is opened.
    """

    scope: ClassVar[Scope]
    row_by_row: ClassVar[bool]
    Settings: ClassVar[type[BaseModel]]

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: Any) -> Step:
        """Load the step: its files by their labels in the manifest, verified, and its ``Settings``."""
        ...


def implementation_named(name: str) -> type[StepImplementation] | None:
    """The implementation of that name, built in or of an installed package; None if there is none.

    Raises
    ------
    BundleError
        That of another package cannot be imported, or lacks what an implementation has; names the package's object.
    """
    found = Extensions(GROUP, BUILT_IN, ("scope", "row_by_row", "Settings", "open")).load(name, BundleError)
    return cast("type[StepImplementation] | None", found)
