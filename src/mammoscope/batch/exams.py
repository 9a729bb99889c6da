"""The exams of a batch: which files belong together, the exam's name, and its report when its files are done."""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.batch.exam_objects import write_exam_sr
from mammoscope.errors import MammoscopeError
from mammoscope.exam_report import report_on
from mammoscope.readers import IsolatedReader
from mammoscope.readers.source import MAGIC_BYTES, detect_format
from mammoscope.writers.exam_json import EXAM_SUFFIX, reported_in, write_exam_report
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
        What each exam's report may be called, without ``.exam.json``, the best first; several exams may want one name.
    sizes
        How many files each exam has, two or more.
    taken
        Names that no report may have, in lower case: they are those of analyses.
    """

    exam: NDArray[np.int32]
    names: tuple[tuple[str, ...], ...]
    sizes: tuple[int, ...]
    taken: frozenset[str]

    def members(self) -> Iterator[list[int]]:
        """Places of the files of each exam, in the order of each exam's first; a file alone is a list of one."""
        places = np.argsort(self.exam, kind="stable")
        starts = np.searchsorted(self.exam[places], np.arange(len(self.sizes)))
        for place, exam in enumerate(self.exam):
            if exam == ALONE:
                yield [place]
            elif place == places[starts[exam]]:
                yield places[starts[exam] : starts[exam] + self.sizes[exam]].tolist()


def plan_exams(keys: Iterable[str | None], names: Iterable[str]) -> ExamPlan:
    """Group the files of a batch by their exam keys, in the order of each exam's first file.

    The name of an exam is the common start of its files' names, up to a hyphen, underscore, dot or space, else the
    first of their names: it is the same in every run, and tells no more of a patient than those names.

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
    wanted, taken = _names_of(exam, names, int(several.sum()))
    return ExamPlan(exam, wanted, tuple(counts[several].tolist()), taken)


@dataclass
class _Common:
    """The common start of names, the length of the shortest, and the first in the alphabet."""

    start: str | None = None
    shortest: int = 0
    first: str = ""

    def add(self, name: str) -> None:
        self.first = min(self.first or name, name)
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


def _names_of(
    exam: NDArray[np.int32], names: Iterable[str], exams: int
) -> tuple[tuple[tuple[str, ...], ...], frozenset[str]]:
    """``names`` and ``taken`` of the plan."""
    common = [_Common() for _ in range(exams)]
    taken = set()
    for number, name in zip(exam.tolist(), names, strict=True):
        if number != ALONE:
            common[number].add(name)
        if name.casefold().endswith(".exam"):
            taken.add(name.casefold().removesuffix(".exam"))  # its analysis is NAME.json, which no report may overwrite
    found: list[tuple[str, ...]] = []
    spelling: dict[str, str] = {}
    for one in common:
        name = one.name()
        # Names that differ only in case may be one file.
        is_common = bool(name) and spelling.setdefault(name.casefold(), name) == name
        found.append((name, one.first) if is_common and name != one.first else (one.first,))
    return tuple(found), frozenset(taken)


@dataclass
class _Open:
    """An exam whose files are not all done: the JSON files of those that are, with the images that were analysed.

    Of those that failed there is the image alone.
    """

    done: list[str] = field(default_factory=list)
    analysed: dict[str, Path] = field(default_factory=dict)
    failed: list[Path] = field(default_factory=list)


class ExamReports:
    """Writes the report on each exam when the last of its files is done; keeps names, and no analysis.

    Parameters
    ----------
    out
        Folder of the results.
    plan
        The exams.
    exam_sr
        Whether a DICOM structured report is written beside each.
    """

    def __init__(self, out: Path, plan: ExamPlan, *, exam_sr: bool = False) -> None:
        self._out, self._plan, self._exam_sr = out, plan, exam_sr
        self._open: dict[int, _Open] = {}

    def path(self, exam: int, members: Collection[str]) -> Path | None:
        """Path of the report on an exam: never that of a report on files that are not in it.

        A report on these files, or on some of them, is replaced.

        Parameters
        ----------
        exam, members
            The number of the exam, and the names of the JSON files of its analyses.

        Returns
        -------
        Path or None
            None for a single file, which has no report.
        """
        if exam == ALONE:
            return None
        names = self._plan.names[exam]
        free = (name for name in chain(names, _numbered(names[-1])) if name.casefold() not in self._plan.taken)
        paths = (self._out / f"{name}{EXAM_SUFFIX}" for name in free)
        return next(path for path in paths if _may_be_written(path, members))

    def add(self, exam: int, name: str, image: Path, *, is_analysed: bool) -> Path | None:
        """Note that a file is done.

        Parameters
        ----------
        exam, name, image
            The number of its exam, the name of its results, and the file.

        Returns
        -------
        Path or None
            The report on its exam, if this was the exam's last file and one of them was analysed.

        Raises
        ------
        MammoscopeError
            A report cannot be written, or an analysis that it is about cannot be read any more.
        """
        if exam == ALONE:
            return None
        known = self._open.setdefault(exam, _Open())
        known.done.append(f"{name}.json")
        if is_analysed:
            known.analysed[f"{name}.json"] = image
        else:
            known.failed.append(image)
        if len(known.done) < self._plan.sizes[exam]:
            return None
        del self._open[exam]
        path = self.path(exam, known.done)
        if path is None or not known.analysed:
            return None
        analyses = [(report, read_analysis(self._out / report)) for report in sorted(known.analysed)]
        write_exam_report(report_on(analyses, not_analysed=len(known.failed)), path)
        if self._exam_sr:
            write_exam_sr(path, known.analysed, known.failed)
        return path


def _numbered(name: str) -> Iterator[str]:
    return (f"{name}-{number}" for number in count(2))


def _may_be_written(path: Path, members: Collection[str]) -> bool:
    reported = reported_in(path)
    if reported is None:  # another file, such as an analysis, stays; what is no file is said when it cannot be written
        return not os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises where a network share is gone)
    return reported <= set(members)


def stated_exam_key(path: Path, reader: IsolatedReader) -> str | None:
    """The exam key of a file; None, so that it is alone, where it cannot be told. Only DICOM starts the reader."""
    try:
        if not path.is_file():  # opening a pipe would wait
            return None
        with path.open("rb") as stream:
            is_dicom = detect_format(stream.read(MAGIC_BYTES)) == "DICOM"
        return reader.exam_key(path) if is_dicom else None
    except (MammoscopeError, OSError, ValueError):  # said when the file is analysed
        return None
