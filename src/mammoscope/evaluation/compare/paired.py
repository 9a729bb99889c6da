"""Differences between networks on the same cases, with intervals and p-values from one bootstrap over patients.

In each draw the same patients are drawn for both networks, so what makes a patient hard for both cancels: a difference
is far more certain than two overlapping intervals suggest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.compare.cases import CaseSet, Key
from mammoscope.evaluation.metrics.intervals import Bootstrap, Estimate, estimate_of, in_parts
from mammoscope.geometry import FloatArray

_SHOWN = 3  # cases that an error names


@dataclass(frozen=True, eq=False)
class Drawn:
    """Figures on some cases, with their values in each draw of patients.

    Attributes
    ----------
    keys
        Which cases, sorted.
    patients
        How many.
    values, draws
        By the name of the figure: the value, and ``(D,)``; NaN where there is none.
    """

    keys: tuple[Key, ...]
    patients: int
    values: Mapping[str, float]
    draws: Mapping[str, FloatArray]

    def estimate(self, figure: str) -> Estimate:
        """The figure with its 95% interval."""
        return estimate_of(self.values[figure], self.draws[figure], "it cannot be computed on these cases")


@dataclass(frozen=True)
class Difference:
    """A figure of one network minus that of another, on the same cases.

    Attributes
    ----------
    difference
        With its 95% interval.
    p
        Two-sided, see ``p_value``; None where no draw has a value.
    """

    difference: Estimate
    p: float | None


def drawn(seeds: Sequence[CaseSet], bootstrap: Bootstrap) -> Drawn:
    """The figures of one network, trained once or with several seeds, whose figures are averaged.

    Raises
    ------
    MammoscopeError
        The seeds were measured on different cases; names some.
    """
    first = seeds[0]
    weights = bootstrap.weights(first.patients)
    ones = np.ones((1, len(first.patients)))
    values: list[dict[str, float]] = []
    draws: list[Mapping[str, FloatArray]] = []
    for one in seeds:
        same_cases(first.keys, one.keys, "two seeds")
        # Cases in another order have their weights in another order too.
        own = weights if one.keys == first.keys else bootstrap.weights(one.patients)
        values.append({name: float(value[0]) for name, value in one.statistic(ones).items()})
        draws.append(in_parts(one.statistic, own))
    return Drawn(
        tuple(sorted(first.keys)),
        len(set(first.patients)),
        {name: float(np.mean([of_seed[name] for of_seed in values])) for name in values[0]},
        {name: np.mean([of_seed[name] for of_seed in draws], axis=0) for name in values[0]},
    )


def difference(network: Drawn, reference: Drawn, figure: str, names: str = "the two") -> Difference:
    """How much higher a figure of one network is than that of another.

    Parameters
    ----------
    network, reference
        Drawn by one ``Bootstrap`` on the same cases.
    names
        Of the two, for an error.

    Raises
    ------
    MammoscopeError
        They were measured on different cases; names some.
    """
    same_cases(network.keys, reference.keys, names)
    value = network.values[figure] - reference.values[figure]
    draws = network.draws[figure] - reference.draws[figure]
    estimate = estimate_of(value, draws, "one of the two has no value")
    return Difference(estimate, None if estimate.value is None else p_value(draws))


def p_value(draws: FloatArray) -> float | None:
    """Two-sided p-value ``[0, 1]`` of a difference being 0, of its values in the draws of a bootstrap ``(D,)``.

    Twice the smaller share of draws that are not above, or not below, 0. One is added to both counts, so that it is
    never 0 (Davison and Hinkley 1997, 4.2). None: no draw has a value.
    """
    known = draws[~np.isnan(draws)]
    if known.size == 0:
        return None
    tail = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (known.size + 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values of several comparisons, adjusted so that the chance of any false one is held (Holm 1979)."""
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return adjusted


def same_cases(first: Sequence[Key], second: Sequence[Key], names: str) -> None:
    """Check that two networks were measured on the same cases.

    Raises
    ------
    MammoscopeError
        They were not; names some of the cases that one lacks.
    """
    only = set(first) ^ set(second)
    if only:
        shown = "; ".join(" ".join(part for part in key if part) for key in sorted(only)[:_SHOWN])
        more = f" and {len(only) - _SHOWN} more" if len(only) > _SHOWN else ""
        raise MammoscopeError(f"{names} were not measured on the same cases: only one has {shown}{more}")
