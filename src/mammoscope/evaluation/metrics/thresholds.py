"""Thresholds for a wanted sensitivity or rate of false positives, and what they are worth on other patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mammoscope.evaluation.metrics.intervals import Bootstrap, Estimate, estimate_of, ratio
from mammoscope.geometry import FloatArray

NARROW = 0.1  # half of an interval that is wide enough to warn

Choice = Callable[[Sequence[str]], float | None]
"""The threshold for some patients, of whom some may stand several times; None: there is none."""


@dataclass(frozen=True, eq=False)
class PatientScores:
    """The scores of some patients, by patient id.

    Attributes
    ----------
    true
        ``(N,) float64`` of what should be from the threshold on; ``-inf``: is at none.
    false
        ``(K,) float64`` of what should not.
    units
        Of how many units (images, lesions) the false ones are.
    """

    true: Mapping[str, FloatArray]
    false: Mapping[str, FloatArray]
    units: Mapping[str, int]

    def for_share(self, share: float) -> Choice:
        """Chooses the highest threshold that at least this share of the true ones reaches."""
        return lambda patients: threshold_for_share(np.concatenate([self.true[name] for name in patients]), share)

    def for_rate(self, rate: float) -> Choice:
        """Chooses the lowest threshold that at most ``rate`` false ones a unit reach."""
        return lambda patients: threshold_for_rate(
            np.concatenate([self.false[name] for name in patients]), sum(self.units[name] for name in patients), rate
        )

    def figures(self, thresholds: Mapping[str, float], bootstrap: Bootstrap) -> tuple[Estimate, Estimate]:
        """Share of the true ones and rate of the false ones from each patient's threshold on, with intervals."""
        names = sorted(thresholds)
        found, false = (
            np.array([(scores[name] >= thresholds[name]).sum() for name in names]) for scores in (self.true, self.false)
        )
        total, units = (
            np.array([len(self.true[name]) for name in names]),
            np.array([self.units[name] for name in names]),
        )
        estimates = bootstrap.estimates(
            lambda weights: {
                "share": ratio(weights @ found, weights @ total),
                "rate": ratio(weights @ false, weights @ units),
            },
            names,
        )
        return estimates["share"], estimates["rate"]


def threshold_for_share(scores: FloatArray, share: float) -> float | None:
    """The highest score that at least this share reaches; None: even the lowest score is not reached by so many."""
    ranked = np.sort(scores)[::-1]
    needed = max(1, int(np.ceil(share * len(ranked) - 1e-9)))
    if needed > len(ranked) or not np.isfinite(ranked[needed - 1]):
        return None
    return float(ranked[needed - 1])


def threshold_for_rate(scores: FloatArray, units: int, rate: float) -> float:
    """The lowest threshold that at most ``rate`` scores a unit reach: just above the first that is too many, or 0."""
    allowed = int(np.floor(rate * units + 1e-9))
    ranked = np.sort(scores)[::-1]
    return 0.0 if allowed >= len(ranked) else float(np.nextafter(ranked[allowed], np.inf))


def held_out(folds: Mapping[str, int], choose: Choice) -> dict[str, float]:
    """For each patient of ``folds`` the threshold that was chosen on the patients of all other folds.

    Infinity where there is none.
    """
    chosen = {
        fold: choose([patient for patient, number in folds.items() if number != fold]) for fold in set(folds.values())
    }
    return {patient: np.inf if (found := chosen[fold]) is None else found for patient, fold in folds.items()}


def drawn_threshold(patients: Sequence[str], choose: Choice, bootstrap: Bootstrap) -> Estimate:
    """The threshold for all patients, with the interval of those for draws of them; draws without one are left out."""
    value = choose(patients)
    rng = np.random.default_rng(bootstrap.seed)
    drawn = rng.integers(len(patients), size=(bootstrap.draws, len(patients)))
    draws = [choose([patients[row] for row in rows]) for rows in drawn.tolist()]
    known = np.array([np.nan if one is None else one for one in draws], dtype=np.float64)
    return estimate_of(np.nan if value is None else value, known, "no threshold reaches what is wanted")


def cross_validated(
    scores: PatientScores, choose: Choice, folds: Mapping[str, int], bootstrap: Bootstrap
) -> tuple[float | None, list[Estimate]]:
    """The threshold for all patients of ``folds``; it with its interval, and share and rate at held-out thresholds."""
    drawn = drawn_threshold(sorted(folds), choose, bootstrap)
    return drawn.value, [drawn, *scores.figures(held_out(folds, choose), bootstrap)]


def too_vague(estimate: Estimate, cases: int) -> str | None:
    """What to say of a share that is known too vaguely, with about how many cases would do; None: it is precise."""
    if estimate.ci95 is None:
        return "the sample is too small for an interval"
    half = (estimate.ci95[1] - estimate.ci95[0]) / 2
    if half <= NARROW:
        return None
    needed = int(np.ceil(cases * (half / NARROW) ** 2 / 10) * 10)
    return f"known only to ± {half:.2f} with {cases} cases; about {needed} would give ± {NARROW:g}"
