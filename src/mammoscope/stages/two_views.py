"""One lesion in two views of a breast: link its findings by where they lie and how large they are, and grade it once.

Both views show a lesion at about the same depth from the chest wall and about as large (Paquerault et al., Med Phys
2002;29:238). The mean of what is said of its malignancy in each is worth more than either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mammoscope.candidates import UNLINKED, Candidates, IntArray
from mammoscope.geometry import FloatArray
from mammoscope.stages.fitting import FittingCase
from mammoscope.stages.logistic import fit_logistic
from mammoscope.stages.onnx import logit, sigmoid
from mammoscope.stages.step import PreparedExam, PreparedView, Scope, StepSettings

_PENALTY = 1e-3  # of squared weights: a fit stays finite where few pairs can be told apart wholly

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class TwoViewSettings(StepSettings):
    """Of ``TwoViews``; all but ``least`` and ``least_detection`` are fitted on validation patients.

    Two findings are one lesion with the probability ``sigmoid(intercept - depth * |difference of their depths| - size *
    |difference of the logarithms of their sizes|)``, if it was as likely beforehand that they are as that they are not.
    """

    intercept: _Number = 1.4
    depth: _Weight = Field(default=6.0, description="Depth: distance from the chest wall as a share of the breast's.")
    size: _Weight = Field(default=3.0, description="Size: root of the box's area as a share of the breast's.")
    least: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25, description="Probability from which two findings are linked."
    )
    least_detection: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Detection score from which a finding is linked; None: from that which is asked for."
    )
    joined_slope: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=1.0, description="Of the mean logit of linked findings' malignancy scores."
    )
    joined_intercept: _Number = Field(default=0.0, description="Added to it.")


class TwoViews:
    """Links findings on different views of one breast, and gives linked ones one malignancy score.

    A finding without a counterpart stays as it is, as does one on a view whose side or projection is not known, or one
    below ``least_detection``: what is said of a finding then does not depend on how doubtful ones are looked at.
    """

    scope: ClassVar[Scope] = "exam"
    row_by_row: ClassVar[bool] = False
    Settings: ClassVar[type[TwoViewSettings]] = TwoViewSettings

    def __init__(self, settings: TwoViewSettings) -> None:
        self._settings = settings

    @classmethod
    def open(cls, files: Mapping[str, Path], settings: TwoViewSettings) -> TwoViews:
        """There is nothing to load."""
        return cls(settings)

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        """The same candidates, linked; what is said of linked ones' malignancy is joined."""
        lesion = self._linked(exam, found)
        linked = replace(found, lesion=lesion)
        if found.malignancy_score is None:
            return linked
        malignancy = found.malignancy_score.copy()
        for rows, mean in _joined(malignancy, lesion):
            joined = self._settings.joined_slope * mean + self._settings.joined_intercept
            malignancy[rows] = sigmoid(np.array(joined))
        return replace(linked, malignancy_score=malignancy)

    def _linked(self, exam: PreparedExam, found: Candidates) -> IntArray:
        """``(N,)`` numbers of lesions: the surest pairs are linked first, no two candidates of one view."""
        places, shapes = [_place(view) for view in exam.views], _shapes(exam, found)
        sure = np.flatnonzero(found.detection_score >= (self._settings.least_detection or 0)).tolist()
        possible = [
            pair
            for pair in combinations(sure, 2)
            if found.kind[pair[0]] == found.kind[pair[1]]
            and _are_two_views(*(places[view] for view in found.view[list(pair)]))
        ]
        pairs = np.array(possible, dtype=np.intp).reshape(-1, 2)
        probability = self._probability(shapes[pairs[:, 0]], shapes[pairs[:, 1]])
        lesion = np.arange(len(found))
        for place in np.argsort(-probability, kind="stable"):
            one, other = (lesion == lesion[row] for row in pairs[place])
            if probability[place] >= self._settings.least and not set(found.view[one]) & set(found.view[other]):
                lesion[other] = lesion[pairs[place][0]]
        numbers, inverse, counts = np.unique(lesion, return_inverse=True, return_counts=True)
        several = np.flatnonzero(counts > 1)
        renumbered = np.full(len(numbers), UNLINKED)
        renumbered[several] = np.arange(len(several))
        return np.asarray(renumbered[inverse], dtype=np.int64)

    def _probability(self, ones: FloatArray, others: FloatArray) -> FloatArray:
        weights = np.array([self._settings.depth, self._settings.size])
        return np.asarray(sigmoid(self._settings.intercept - np.abs(ones - others) @ weights))

    def fitted(self, cases: Iterable[FittingCase]) -> dict[str, float]:
        """How differences and joined scores are weighted, by true lesions.

        Pairs of one lesion are told from pairs of two women's lesions, which stand for whatever else is found. Settings
        for which there is nothing to learn from stay as they are.
        """
        seen = list(cases)
        found = _fit_linking(seen)
        linking = TwoViews(self._settings.model_copy(update=found))
        means, malignant = [], []
        for case in seen:
            if case.found.malignancy_score is None:
                continue
            for rows, mean in _joined(case.found.malignancy_score, linking._linked(case.exam, case.found)):
                known = {case.malignant[row] for row in rows} - {None}
                if len(known) == 1:
                    means.append(mean)
                    malignant.append(known.pop())
        return found | _fit_joining(np.array(means), np.array(malignant, dtype=np.float64))


@dataclass(frozen=True)
class _Place:
    """Which breast a view shows, and from where."""

    side: str
    view: str


def _place(view: PreparedView) -> _Place | None:
    return _Place(view.laterality.value, view.view) if view.laterality and view.view else None


def _are_two_views(one: _Place | None, other: _Place | None) -> bool:
    return one is not None and other is not None and one.side == other.side and one.view != other.view


def _shapes(exam: PreparedExam, found: Candidates) -> FloatArray:
    """``(N, 2)``: depth and logarithm of the size of each candidate, relative to the breast of its view.

    Both hold in pixels that are not square, for a breast's are stretched like its candidates'.
    """
    breasts = {int(view): exam.breast(view) for view in np.unique(found.view)}
    widths = np.array([breasts[view].width for view in found.view.tolist()])
    areas = np.array([max(1, np.count_nonzero(breasts[view].mask)) for view in found.view.tolist()])
    x0, y0, x1, y1 = found.boxes.T
    sides = np.maximum((x1 - x0) * (y1 - y0), 1) / areas
    return np.stack([(x0 + x1) / 2 / widths, np.log(sides) / 2], axis=1).reshape(-1, 2)  # the chest wall is left


def _joined(malignancy: FloatArray, lesion: IntArray) -> Iterator[tuple[NDArray[np.intp], float]]:
    """The rows of each lesion seen in several views, and the mean logit of their malignancy scores."""
    logits = logit(malignancy)
    for number in range(lesion.max(initial=UNLINKED) + 1):
        rows = np.flatnonzero(lesion == number)
        yield rows, float(logits[rows].mean())


def _fit_linking(cases: Sequence[FittingCase]) -> dict[str, float]:
    shapes = np.concatenate([np.zeros((0, 2)), *(_shapes(case.exam, case.truth) for case in cases)])
    places = [_place(case.exam.views[view]) for case in cases for view in case.truth.view]
    women = np.repeat(np.arange(len(cases)), [len(case.truth) for case in cases])
    lesions = _codes([(woman, lesion) for woman, case in enumerate(cases) for lesion in case.lesions])
    views = _codes([None if place is None else place.view for place in places])
    known = np.array([place is not None for place in places], dtype=bool)
    one, other = np.triu_indices(len(shapes), 1)
    same = lesions[one] == lesions[other]
    used = known[one] & known[other] & (views[one] != views[other]) & (same | (women[one] != women[other]))
    differences, label = np.abs(shapes[one] - shapes[other])[used], same[used].astype(np.float64)
    if len(set(label)) < 2:
        return {}
    evenly = len(label) / 2 * (label / label.sum() + (1 - label) / (1 - label).sum())
    columns = np.column_stack([np.ones(len(label)), -differences])
    intercept, depth, size = fit_logistic(columns, label, np.zeros(3), case_weights=evenly, penalty=_PENALTY)
    return _rounded(intercept=intercept, depth=max(0.0, depth), size=max(0.0, size))


def _codes(keys: Sequence[object]) -> IntArray:
    """``(N,)``: equal numbers for equal keys."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _fit_joining(means: FloatArray, malignant: FloatArray) -> dict[str, float]:
    if len(set(malignant)) < 2:
        return {}
    columns = np.column_stack([means, np.ones(len(means))])
    slope, intercept = fit_logistic(columns, malignant, np.array([1.0, 0.0]), penalty=_PENALTY)
    # Scores that would turn round teach nothing: the mean is then taken as it is.
    return _rounded(joined_slope=slope, joined_intercept=intercept) if slope > 0 else {}


def _rounded(**values: float) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in values.items()}
