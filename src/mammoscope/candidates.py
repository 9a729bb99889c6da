"""The table that the steps of a chain pass on: one row for each region that may be a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mammoscope.geometry import FloatArray, FrameChange
from mammoscope.kinds import DEFAULT_KIND, SOUGHT, is_kind

IntArray = NDArray[np.int64]
UNLINKED = -1
_GRADED = [kind.name for kind in SOUGHT]  # these must have a malignancy score once a step has classified
_SUM_TOLERANCE = 1e-3  # of probabilities that other packages may give in 16 bits


@dataclass(frozen=True, eq=False)
class RoiBatch:
    """The square neighbourhood of each of N candidates.

    Attributes
    ----------
    pixels
        ``(N, S, S) uint8``, frame ``roi``.
    from_preprocessed
        N changes from the ``preprocessed`` frame to each ROI.
    """

    pixels: NDArray[np.uint8]
    from_preprocessed: tuple[FrameChange, ...]

    def __len__(self) -> int:
        return len(self.from_preprocessed)

    @classmethod
    def joined(cls, parts: Sequence[RoiBatch]) -> RoiBatch:
        """The ROIs of all parts, which are of one size."""
        return cls(
            np.concatenate([part.pixels for part in parts]),
            tuple(change for part in parts for change in part.from_preprocessed),
        )

    def take(self, rows: NDArray[np.intp]) -> RoiBatch:
        """Some of the ROIs, in the order of ``rows``."""
        return RoiBatch(self.pixels[rows], tuple(self.from_preprocessed[row] for row in rows))


@dataclass(frozen=True, eq=False)
class Masks:
    """Where in each ROI the finding is.

    Attributes
    ----------
    probabilities
        ``(N, S, S) float32`` in [0, 1], frame ``roi``.
    threshold
        Pixels at or above it belong to the finding.
    """

    probabilities: NDArray[np.float32]
    threshold: float

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def binary(self) -> NDArray[np.bool_]:
        """``(N, S, S) bool``: True on the finding."""
        return np.asarray(self.probabilities >= self.threshold)

    @classmethod
    def joined(cls, parts: Sequence[Masks]) -> Masks:
        """The masks of all parts, which have one threshold."""
        return cls(np.concatenate([part.probabilities for part in parts]), parts[0].threshold)

    def take(self, rows: NDArray[np.intp]) -> Masks:
        """Some of the masks, in the order of ``rows``."""
        return Masks(self.probabilities[rows], self.threshold)


@dataclass(frozen=True, eq=False)
class Candidates:
    """N regions of an exam that may be findings. A step adds or drops rows, fills fields in, or changes scores.

    Attributes
    ----------
    view
        ``(N,) int64``: which view of the exam each lies on.
    boxes
        ``(N, 4) float64`` of (x0, y0, x1, y1), frame ``preprocessed`` of that view.
    kind
        ``(N,)`` names of kinds, see ``mammoscope.kinds``.
    detection_score
        ``(N,) float64`` in [0, 1]: how sure the models are that there is a finding.
    rois
        The square around each; None until a step has cut them.
    masks
        The outline in each ROI; None until a step has drawn them. They go with ``rois``.
    malignancy_score
        ``(N,) float64`` calibrated probabilities in [0, 1]; None until a step has classified. NaN where none grades
        candidates of that kind.
    lesion
        ``(N,) int64``: rows of different views with the same number show one lesion; ``UNLINKED`` where a row has no
        counterpart. None until a step has linked views.
    attributes
        What else a step says of each, by name (``"birads"``, ``"shape"``): ``(N, K) float64`` probabilities of K words,
        which the settings of that step list. Rows of NaN where no step has said it.
    """

    view: IntArray
    boxes: FloatArray
    kind: NDArray[np.str_]
    detection_score: FloatArray
    rois: RoiBatch | None = None
    masks: Masks | None = None
    malignancy_score: FloatArray | None = None
    lesion: IntArray | None = None
    attributes: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.detection_score)
        shapes = {"view": self.view.shape, "kind": self.kind.shape, "detection_score": self.detection_score.shape}
        if any(shape != (count,) for shape in shapes.values()) or self.boxes.shape != (count, 4):
            raise ValueError(f"the columns do not fit: boxes {self.boxes.shape}, {shapes}")
        for name in ("rois", "masks", "malignancy_score", "lesion"):
            column = getattr(self, name)
            if column is not None and len(column) != count:
                raise ValueError(f"{name} has {len(column)} rows, there are {count} candidates")
        for name, said in self.attributes.items():
            if said.ndim != 2 or len(said) != count:
                raise ValueError(f"attributes {name!r} are {said.shape}, there are {count} candidates")

    def __len__(self) -> int:
        return len(self.detection_score)

    @classmethod
    def none(cls) -> Candidates:
        """No candidates, as a chain begins."""
        return cls.on_view(np.zeros((0, 4)), np.zeros(0))

    @classmethod
    def on_view(
        cls, boxes: NDArray[np.number], scores: NDArray[np.number], *, view: int = 0, kind: str = DEFAULT_KIND
    ) -> Candidates:
        """Candidates of one view and one kind, from boxes ``(N, 4)`` and detection scores ``(N,)``."""
        count = len(scores)
        return cls(
            view=np.full(count, view, dtype=np.int64),
            boxes=np.asarray(boxes, dtype=np.float64).reshape(-1, 4),
            kind=np.full(count, kind),
            detection_score=np.asarray(scores, dtype=np.float64),
        )

    @classmethod
    def joined(cls, parts: Iterable[Candidates]) -> Candidates:
        """The rows of all parts, which have been through the same steps."""
        every = list(parts)
        filled = [part for part in every if len(part)]
        if not filled:
            return every[-1] if every else cls.none()  # with the columns that its steps have filled in, without rows
        rois, masks = _all([part.rois for part in filled]), _all([part.masks for part in filled])
        malignancy = _all([part.malignancy_score for part in filled])
        lesion = _all([part.lesion for part in filled])
        return cls(
            view=np.concatenate([part.view for part in filled]),
            boxes=np.concatenate([part.boxes for part in filled]),
            kind=np.concatenate([part.kind for part in filled]),
            detection_score=np.concatenate([part.detection_score for part in filled]),
            rois=None if rois is None else RoiBatch.joined(rois),
            masks=None if masks is None else Masks.joined(masks),
            malignancy_score=None if malignancy is None else np.concatenate(malignancy),
            lesion=None if lesion is None else np.concatenate(lesion),
            attributes=_attributes(filled),
        )

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Candidates:
        """Some rows: by their places, in that order, or by a mask."""
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else np.asarray(rows, dtype=np.intp)
        return Candidates(
            view=self.view[places],
            boxes=self.boxes[places],
            kind=self.kind[places],
            detection_score=self.detection_score[places],
            rois=None if self.rois is None else self.rois.take(places),
            masks=None if self.masks is None else self.masks.take(places),
            malignancy_score=None if self.malignancy_score is None else self.malignancy_score[places],
            lesion=None if self.lesion is None else self.lesion[places],
            attributes={name: said[places] for name, said in self.attributes.items()},
        )

    def of_view(self, view: int) -> Candidates:
        """The rows on one view."""
        return self.take(self.view == view)

    def moved_to(self, view: int) -> Candidates:
        """The same rows with another view number: a view of an exam has another number than the same view alone."""
        return replace(self, view=np.full(len(self), view, dtype=np.int64))

    def above(self, threshold: float) -> Candidates:
        """The rows with a detection score of ``threshold`` or more."""
        return self.take(self.detection_score >= threshold)

    def ranked(self) -> Candidates:
        """The same rows, highest detection score first; equal ones keep their order."""
        return self.take(np.argsort(-self.detection_score, kind="stable"))

    def problem(self, has_breast: Sequence[bool]) -> str | None:
        """What is wrong with the values of these candidates of an exam of so many views; None: nothing."""
        views = len(has_breast)
        if ((self.view < 0) | (self.view >= views)).any():
            return f"a view that the exam of {views} does not have"
        if not np.array(has_breast, dtype=bool)[self.view].all():
            return "a candidate on a view without a breast"
        if self.masks is not None and self.rois is None:
            return "masks without the ROIs that they are drawn in"
        if not np.isfinite(self.boxes).all() or (self.boxes[:, :2] > self.boxes[:, 2:]).any():
            return "a box that is not x0 <= x1, y0 <= y1"
        for kind in np.unique(self.kind):
            if not is_kind(str(kind)):
                return f"the kind {str(kind)!r}, which is not in the table of kinds"
        if not _shares(self.detection_score).all():
            return "a detection_score that is not a number from 0 to 1"
        if self.malignancy_score is not None and not (_shares(self.malignancy_score) | self._not_graded()).all():
            return "a malignancy_score that is not a number from 0 to 1"
        if self.lesion is not None and self._doubled():
            return "two candidates of one view that are one lesion"
        if self.masks is not None and not np.isfinite(self.masks.probabilities).all():
            return "a mask that is not finite"
        for name, said in self.attributes.items():
            if not _probabilities(said[~np.isnan(said).all(axis=1)]):
                return f"attributes {name!r} that are not probabilities whose sum is 1"
        return None

    def _not_graded(self) -> NDArray[np.bool_]:
        """``(N,)``: without a malignancy score, and of a kind that may lack it."""
        assert self.malignancy_score is not None
        return np.isnan(self.malignancy_score) & ~np.isin(self.kind, _GRADED)

    def _doubled(self) -> bool:
        assert self.lesion is not None
        linked = self.lesion != UNLINKED
        places = np.stack([self.view[linked], self.lesion[linked]])
        return bool(np.unique(places, axis=1).shape[1] < places.shape[1])


Column = TypeVar("Column")


def _all(columns: Sequence[Column | None]) -> list[Column] | None:
    """The columns, or None unless every part has one."""
    there = [column for column in columns if column is not None]
    return there if len(there) == len(columns) else None


def _attributes(parts: Sequence[Candidates]) -> dict[str, FloatArray]:
    """The attributes of all parts, with rows of NaN for parts of which no step has said one."""
    words = {name: said.shape[1] for part in parts for name, said in part.attributes.items()}
    return {
        name: np.concatenate([part.attributes.get(name, np.full((len(part), count), np.nan)) for part in parts])
        for name, count in words.items()
    }


def _probabilities(said: FloatArray) -> bool:
    """Whether each row of ``(N, K)`` is a distribution."""
    return bool((said >= 0).all() and (np.abs(said.sum(axis=1) - 1) <= _SUM_TOLERANCE).all())


def _shares(scores: FloatArray) -> NDArray[np.bool_]:
    """``(N,)``: whether each is a number from 0 to 1."""
    return np.asarray((scores >= 0) & (scores <= 1))
