"""The exams of a batch: which files belong together, the exam's name, and its report when its files are done."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.exam_report import report_on
from mammoscope.writers.exam_json import EXAM_SUFFIX, write_exam_report
from mammoscope.writers.json import read_analysis

ALONE = -1
_SEPARATORS = "-_. "
_SHORTEST_NAME = 2


@dataclass(frozen=True, eq=False)
class ExamPlan:
    """Which files of a batch are one exam. Holds a number for each file, and names only of exams of several files.

    Attributes
    ----------
    exam
        ``(N,) int32``: for each file the number of its exam; ``ALONE``: it shares one with no other file.
    names
        Of each exam's report, without ``.exam.json``, unique.
    sizes
        How many files each exam has, two or more.
    """

    exam: NDArray[np.int32]
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def members(self) -> list[list[int]]:
        """Places of the files of each exam, in the order of each exam's first; a file alone is a list of one."""
        groups: list[list[int]] = []
        place_of: dict[int, int] = {}
        for place, exam in enumerate(self.exam.tolist()):
            if exam == ALONE or exam not in place_of:
                place_of[exam] = len(groups)
                groups.append([place])
            else:
                groups[place_of[exam]].append(place)
        return groups


def plan_exams(keys: Iterable[str | None], names: Iterable[str]) -> ExamPlan:
    """Group the files of a batch by their exam keys, in the order of each exam's first file.

    The name of an exam is the common start of its files' names, up to a hyphen, underscore, dot or space, or
    ``exam-N`` if there is none: it tells no more of a patient than those names, and nothing of a header.

    Parameters
    ----------
    keys, names
        Of each file: its exam key, and the unique name of its results. Both are iterated once.
    """
    numbers: dict[str, int] = {}
    found = np.fromiter((ALONE if key is None else numbers.setdefault(key, len(numbers)) for key in keys), np.int32)
    counts = np.bincount(found[found >= 0], minlength=1)
    several = counts > 1
    renumbered = np.where(several, np.cumsum(several) - 1, ALONE).astype(np.int32)
    exam = np.where(found >= 0, renumbered[found], ALONE).astype(np.int32)
    return ExamPlan(exam, _names_of(exam, names, int(several.sum())), tuple(counts[several].tolist()))


@dataclass
class _Common:
    """The common start of names, and the length of the shortest."""

    start: str | None = None
    shortest: int = 0

    def add(self, name: str) -> None:
        if self.start is None:
            self.start, self.shortest = name, len(name)
            return
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(self.start, name, strict=False))
        self.start, self.shortest = "".join(sign for sign, _ in pairs), min(self.shortest, len(name))

    def name(self) -> str:
        """Up to the last separator, unless it is a whole name; empty if that is too short."""
        start = self.start or ""
        if len(start) < self.shortest:
            start = re.sub(rf"[^{re.escape(_SEPARATORS)}]*$", "", start)
        start = start.strip(_SEPARATORS)
        return start if len(start) >= _SHORTEST_NAME else ""


def _names_of(exam: NDArray[np.int32], names: Iterable[str], count: int) -> tuple[str, ...]:
    common = [_Common() for _ in range(count)]
    used = set()
    for number, name in zip(exam.tolist(), names, strict=True):
        if number != ALONE:
            common[number].add(name)
        if name.casefold().endswith(".exam"):
            used.add(name.casefold())  # its analysis is NAME.json, which no report may overwrite
    found = []
    for number, one in enumerate(common, 1):
        wanted = name = one.name() or f"exam-{number}"
        turn = 1
        while f"{name}.exam".casefold() in used:
            turn += 1
            name = f"{wanted}-{turn}"
        used.add(f"{name}.exam".casefold())
        found.append(name)
    return tuple(found)


@dataclass
class _Open:
    """An exam whose files are not all done: how many are missing, and the names of those that were analysed."""

    missing: int
    analysed: list[str] = field(default_factory=list)


class ExamReports:
    """Writes the report on each exam when the last of its files is done; keeps names, and no analysis.

    Parameters
    ----------
    out
        Folder of the results.
    plan
        The exams.
    """

    def __init__(self, out: Path, plan: ExamPlan) -> None:
        self._out, self._plan = out, plan
        self._open: dict[int, _Open] = {}

    def path(self, exam: int) -> Path | None:
        """Path of the report on an exam; None for a single file, which has none."""
        return None if exam == ALONE else self._out / f"{self._plan.names[exam]}{EXAM_SUFFIX}"

    def add(self, exam: int, name: str, *, is_analysed: bool) -> Path | None:
        """Note that a file is done.

        Parameters
        ----------
        exam, name
            The number of its exam, and the name of its results.

        Returns
        -------
        Path or None
            The report on its exam, if this was the exam's last file and one of them was analysed.

        Raises
        ------
        MammoscopeError
            The report cannot be written, or an analysis that it is about cannot be read any more.
        """
        path = self.path(exam)
        if path is None:
            return None
        size = self._plan.sizes[exam]
        known = self._open.setdefault(exam, _Open(size))
        known.missing -= 1
        known.analysed += [name] if is_analysed else []
        if known.missing:
            return None
        del self._open[exam]
        if not known.analysed:
            return None
        reports = [f"{one}.json" for one in sorted(known.analysed)]
        analyses = [(report, read_analysis(self._out / report)) for report in reports]
        write_exam_report(report_on(analyses, not_analysed=size - len(reports)), path)
        return path
