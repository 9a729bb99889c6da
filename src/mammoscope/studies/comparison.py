"""The comparison of what is measured: figures, paired differences to the reference, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from mammoscope.evaluation.compare.cases import case_sets, read_cases
from mammoscope.evaluation.compare.paired import Drawn, difference, drawn, holm
from mammoscope.evaluation.metrics.intervals import Bootstrap, Estimate
from mammoscope.studies.plan import Item
from mammoscope.studies.records import (
    CASES,
    costs_of,
    is_measured,
    progress_of,
    sessions_of,
    training_cpu_seconds,
    training_seconds,
)
from mammoscope.studies.study import Entry, Study


@dataclass(frozen=True)
class Cell:
    """One figure of one entry.

    Attributes
    ----------
    value
        With its 95% interval.
    difference
        To the reference on the same cases, with its interval; None for the reference, and where it is not paired.
    p, p_holm
        Two-sided; adjusted over the entries of the study.
    patients, cases
        That it was measured on.
    """

    value: Estimate
    difference: Estimate | None
    p: float | None
    p_holm: float | None
    patients: int
    cases: int


@dataclass(frozen=True)
class Costs:
    """What an entry costs; None: not known.

    Attributes
    ----------
    training_hours, training_cpu_hours
        Of one training, mean over folds and seeds; by the clock on the wall, and of all threads.
    threads
        That trained, such as ``"1"`` or ``"1, 2"``.
    processors
        That the step was timed on, or that trained.
    """

    parameters: int | None = None
    gflops: float | None = None
    milliseconds: float | None = None
    training_hours: float | None = None
    training_cpu_hours: float | None = None
    threads: str = ""
    processors: str = ""


@dataclass(frozen=True, eq=False)
class Line:
    """An entry in the comparison.

    Attributes
    ----------
    folds
        Those that it is compared on: measured with all seeds.
    pending
        What is not measured yet, a line each.
    items
        Those measured, of these folds.
    cells
        By figure; empty if it is not measured yet.
    """

    entry: Entry
    folds: tuple[int, ...]
    pending: tuple[str, ...]
    items: tuple[Item, ...]
    cells: dict[str, Cell]
    costs: Costs


@dataclass(frozen=True, eq=False)
class Comparison:
    """All entries of a study, in its order."""

    study: Study
    lines: tuple[Line, ...]
    draws: int


def compare(study: Study, items: Sequence[Item], bootstrap: Bootstrap) -> Comparison:
    """Compare what is measured.

    Folds are pooled: each patient counts once, as measured by the network that has not seen it. Seeds are averaged.

    Raises
    ------
    MammoscopeError
        Two entries were measured on different cases of one fold; names some.
    """
    measured = {entry.name: _measured(study, entry, items) for entry in study.entries}
    draws = _Draws(study, measured, bootstrap)
    lines = []
    for entry in study.entries:
        of_entry = [item for item in items if item.entry.name == entry.name]
        folds = tuple(measured[entry.name])
        kept = tuple(item for fold in folds for item in measured[entry.name][fold])
        pending = tuple(
            f"{item.label}: {progress_of(item, study.role_of(entry)) if item.recipe else 'not measured yet'}"
            for item in of_entry
            if not is_measured(item, study.role_of(entry))
        )
        cells = _cells(study, entry, folds, measured, draws) if folds else {}
        lines.append(Line(entry, folds, pending, kept, cells, _costs(kept)))
    return Comparison(study, tuple(_adjusted(study, lines)), bootstrap.draws)


def _measured(study: Study, entry: Entry, items: Sequence[Item]) -> dict[int, list[Item]]:
    """By fold, the items of an entry where those of all seeds are measured."""
    found: dict[int, list[Item]] = {}
    for fold in study.folds:
        of_fold = [item for item in items if item.entry.name == entry.name and item.fold == fold]
        if of_fold and all(is_measured(item, study.role_of(entry)) for item in of_fold):
            found[fold] = of_fold
    return found


class _Draws:
    """The figures of entries on some folds, drawn once."""

    def __init__(self, study: Study, measured: dict[str, dict[int, list[Item]]], bootstrap: Bootstrap) -> None:
        self._study, self._measured, self._bootstrap = study, measured, bootstrap
        self._drawn: dict[tuple[str, tuple[int, ...]], list[Drawn]] = {}
        self._rows: dict[Item, list[dict[str, str]]] = {}

    def of(self, entry: Entry, folds: tuple[int, ...], figure: str) -> Drawn:
        """The set of cases that a figure is of."""
        key = entry.name, folds
        if key not in self._drawn:
            by_fold = [self._measured[entry.name][fold] for fold in folds]
            seeds = [
                case_sets(self._study.stage, [row for item in of_seed for row in self._cases(item)])
                for of_seed in zip(*by_fold, strict=True)
            ]
            self._drawn[key] = [drawn(sets, self._bootstrap) for sets in zip(*seeds, strict=True)]
        return next(one for one in self._drawn[key] if figure in one.values)

    def _cases(self, item: Item) -> list[dict[str, str]]:
        if item not in self._rows:
            self._rows[item] = read_cases(item.folder / CASES)
        return self._rows[item]


def _cells(
    study: Study, entry: Entry, folds: tuple[int, ...], measured: dict[str, dict[int, list[Item]]], draws: _Draws
) -> dict[str, Cell]:
    reference = study.entry(study.reference)
    shared = tuple(fold for fold in folds if fold in measured[reference.name])
    is_paired = entry.name != reference.name and entry.split == reference.split and bool(shared)
    cells = {}
    for figure in study.tabled:
        own = draws.of(entry, folds, figure)
        cell = Cell(own.estimate(figure), None, None, None, own.patients, len(own.keys))
        if is_paired:
            pair = draws.of(entry, shared, figure), draws.of(reference, shared, figure)
            found = difference(*pair, figure, f"{entry.name} and {reference.name}")
            cell = replace(cell, difference=found.difference, p=found.p)
        cells[figure] = cell
    return cells


def _adjusted(study: Study, lines: Sequence[Line]) -> list[Line]:
    """With p-values adjusted over the entries, for each figure."""
    cells = {line.entry.name: dict(line.cells) for line in lines}
    for figure in study.tabled:
        known = {
            name: of_entry[figure].p for name, of_entry in cells.items() if figure in of_entry and of_entry[figure].p
        }
        for name, p in holm({name: p for name, p in known.items() if p is not None}).items():
            cells[name][figure] = replace(cells[name][figure], p_holm=p)
    return [replace(line, cells=cells[line.entry.name]) for line in lines]


def _costs(items: Sequence[Item]) -> Costs:
    if not items:
        return Costs()
    found: dict[str, Any] = next((costs for item in items if (costs := costs_of(item))), {})
    trained = [item for item in items if item.recipe is not None]
    cpu = [training_cpu_seconds(item) for item in trained]
    sessions = [session for item in trained for session in sessions_of(item)]
    processors = {str(session["processor"]) for session in sessions} | (
        {str(found["processor"])} if "processor" in found else set()
    )
    return Costs(
        found.get("parameters"),
        found.get("gflops"),
        found.get("milliseconds"),
        mean(map(training_seconds, trained)) / 3600 if trained else None,
        mean(filter(None, cpu)) / 3600 if trained and all(cpu) else None,
        ", ".join(map(str, sorted({session["threads"] for session in sessions}))),
        "; ".join(sorted(processors)),
    )
