"""Figures with their 95% intervals: a bootstrap over patients, whose lesions are not independent of each other.

A *statistic* is a function of case weights ``(D, N)``: how often each of N cases counts in each of D draws. It gives
``(D,)`` values a figure, NaN where a draw has no denominator. One row of ones gives the figure itself, so a figure and
its interval always come from the same lines of code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mammoscope.geometry import FloatArray

Json = dict[str, object]
Statistic = Callable[[FloatArray], Mapping[str, FloatArray]]

_PERCENTILES = (2.5, 97.5)
_PART_ELEMENTS = 20_000_000
_NO_CASE = "there is no case to measure"


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval, or the reason why it has none."""

    value: float | None
    ci95: tuple[float, float] | None
    reason: str | None = None

    def as_json(self) -> Json:
        """As in ``report.json``."""
        figure: Json = {"value": self.value, "ci95": None if self.ci95 is None else list(self.ci95)}
        return figure if self.reason is None else figure | {"reason": self.reason}


@dataclass(frozen=True)
class Bootstrap:
    """Percentile bootstrap over patients (Efron and Tibshirani 1993): patients are drawn with replacement.

    Attributes
    ----------
    draws
        Number of draws, 1 or more.
    seed
        Seed of the draws; the same seed and patients give the same intervals.
    """

    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws is {self.draws}, it must be 1 or more")

    def weights(self, patients: Sequence[str]) -> FloatArray:
        """How often each case counts in each draw, ``(draws, N)``, for the N cases of ``patients``."""
        if not patients:
            return np.zeros((self.draws, 0))
        names, patient_of_case = np.unique(np.asarray(patients), return_inverse=True)
        drawn = np.random.default_rng(self.seed).integers(len(names), size=(self.draws, len(names)))
        drawn += np.arange(self.draws)[:, None] * len(names)
        counts = np.bincount(drawn.ravel(), minlength=self.draws * len(names)).reshape(self.draws, len(names))
        return counts[:, patient_of_case].astype(np.float64)

    def estimates(
        self, statistic: Statistic, patients: Sequence[str], reasons: Mapping[str, str] | None = None
    ) -> dict[str, Estimate]:
        """Every figure of a statistic with its interval.

        Parameters
        ----------
        statistic
            Gives ``(D,)`` values a figure for case weights ``(D, N)``.
        patients
            The patient of each of the N cases.
        reasons
            The reason for each figure, used if it has no value. Draws without a value are left out of the interval.
        """
        values = statistic(np.ones((1, len(patients))))
        draws = in_parts(statistic, self.weights(patients))
        return {
            name: estimate_of(float(value[0]), draws[name], (reasons or {}).get(name, _NO_CASE))
            for name, value in values.items()
        }


def in_parts(statistic: Statistic, weights: FloatArray) -> dict[str, FloatArray]:
    """The figures for all weights ``(D, N)``, some draws at a time, so that many cases need no more memory."""
    step = max(1, _PART_ELEMENTS // max(1, weights.shape[1]))
    parts = [statistic(weights[start : start + step]) for start in range(0, len(weights), step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """Quotient of arrays that broadcast, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    quotient = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom > 0)
    return quotient


def area_under_roc(positive: FloatArray, negative: FloatArray) -> FloatArray:
    """Area under the ROC curve from counts at G ascending scores, ``(D, G)`` each; ties count half.

    It is the probability that a random positive scores higher than a random negative (Hanley and McNeil 1982).

    Returns
    -------
    FloatArray
        ``(D,)``, NaN where a draw holds one class only.
    """
    negatives_below = np.cumsum(negative, axis=1) - negative
    ordered_pairs = (positive * (negatives_below + negative / 2)).sum(axis=1)
    return ratio(ordered_pairs, positive.sum(axis=1) * negative.sum(axis=1))


def estimate_of(value: float, draws: FloatArray, reason: str) -> Estimate:
    """A value with the percentile interval of its draws ``(D,)``; ``reason`` is why it has none, if it is NaN."""
    if np.isnan(value):
        return Estimate(None, None, reason)
    known = draws[~np.isnan(draws)]
    if known.size == 0:
        return Estimate(value, None, "no bootstrap draw has a denominator")
    low, high = np.percentile(known, _PERCENTILES)
    return Estimate(value, (float(low), float(high)))
