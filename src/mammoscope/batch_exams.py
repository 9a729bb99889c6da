"""The exams of a batch: which files belong together, how an exam is called, and its report once its files are done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from mammoscope.exam import grouped
from mammoscope.exam_report import report_on
from mammoscope.writers.exam_json import EXAM_SUFFIX, write_exam_report
from mammoscope.writers.json import read_analysis

_SEPARATORS = "-_. "
_SHORTEST_NAME = 2


@dataclass(frozen=True)
class PlannedExam:
    """Files of a batch that are one exam.

    Attributes
    ----------
    name
        Of its report, without ``.exam.json``; None: a file alone, which has none.
    members
        Places of its files in the batch.
    """

    name: str | None
    members: tuple[int, ...]


def plan_exams(keys: Sequence[str | None], names: Sequence[str]) -> list[PlannedExam]:
    """Group the files of a batch by their exam keys, in the order of each exam's first file.

    Parameters
    ----------
    keys, names
        Of each file: its exam key, and the name of its results, no two alike.
    """
    groups = grouped(enumerate(keys))
    together = [group for group in groups if len(group) > 1]
    called = dict(zip(together, exam_names([[names[one] for one in group] for group in together], names), strict=True))
    return [PlannedExam(called.get(group), group) for group in groups]


def exam_names(exams: Sequence[Sequence[str]], taken: Sequence[str]) -> list[str]:
    """A name for each exam, no two alike, also where a file system ignores case.

    It is what the names of the exam's files begin with alike, up to a hyphen, underscore, dot or space, or ``exam-N``
    where that is nothing: never more of a patient than those names say, and nothing that a header says.

    Parameters
    ----------
    exams
        The names of each exam's files.
    taken
        Names of the results of all files: ``NAME.json`` must not be an exam's report.
    """
    used = {name.casefold() for name in taken if name.casefold().endswith(".exam")}
    found = []
    for number, members in enumerate(exams, 1):
        common = _common_start(members)
        name, count = common or f"exam-{number}", 1
        while f"{name}.exam".casefold() in used:
            count += 1
            name = f"{common or f'exam-{number}'}-{count}"
        used.add(f"{name}.exam".casefold())
        found.append(name)
    return found


def _common_start(names: Sequence[str]) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    common = "".join(sign for sign, _ in pairs)
    if common not in names and not common.endswith(tuple(_SEPARATORS)):
        common = re.sub(rf"[^{re.escape(_SEPARATORS)}]*$", "", common)
    common = common.strip(_SEPARATORS)
    return common if len(common) >= _SHORTEST_NAME else ""


class ExamReports:
    """Writes the report of each exam when the last of its files is done; keeps a number a file, and no analysis.

    Parameters
    ----------
    out
        Folder of the results.
    exams, names
        As they were planned, and the name of each file's results.
    """

    def __init__(self, out: Path, exams: Sequence[PlannedExam], names: Sequence[str]) -> None:
        self._out, self._names = out, names
        self._exam_of = {place: exam for exam in exams if exam.name is not None for place in exam.members}
        self._done: dict[str, list[int]] = {}
        self._missing: dict[str, int] = {exam.name: len(exam.members) for exam in exams if exam.name is not None}

    def add(self, place: int, *, is_analysed: bool) -> Path | None:
        """Note that a file is done.

        Returns
        -------
        Path or None
            The report on its exam, where this was the exam's last file and one of them was analysed.

        Raises
        ------
        MammoscopeError
            The report cannot be written, or an analysis that it is about cannot be read any more.
        """
        exam = self._exam_of.get(place)
        if exam is None or exam.name is None:
            return None
        done = self._done.setdefault(exam.name, [])
        if is_analysed:
            done.append(place)
        self._missing[exam.name] -= 1
        if self._missing[exam.name]:
            return None
        del self._missing[exam.name], self._done[exam.name]
        if not done:
            return None
        reports = [f"{self._names[one]}.json" for one in sorted(done)]
        analyses = [(report, read_analysis(self._out / report)) for report in reports]
        path = self._out / f"{exam.name}{EXAM_SUFFIX}"
        write_exam_report(report_on(analyses, not_analysed=len(exam.members) - len(done)), path)
        return path
