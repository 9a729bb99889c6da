"""Write an archive: each image once, whatever is killed.

Rows are collected and written as a *part*, one file in each table. The file in ``images`` is written last and is the
commit: others of its name count only with it. What was not committed is not known to the next run, which does it again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from mammoscope.archive.ledger import Ledger
from mammoscope.archive.parts import (
    Partition,
    begin,
    encoded,
    next_number,
    part_name,
    parts_of,
    read_part,
    remove_unfinished,
)
from mammoscope.archive.places import shown
from mammoscope.archive.rows import Row, error_row, exam_id, exam_row, finding_rows, image_row
from mammoscope.archive.schema import ERRORS, EXAMS, FINDINGS, IMAGES, RETRIED, TABLES, schema_of
from mammoscope.archive.sources.file import SourceFile
from mammoscope.archive.store import Store
from mammoscope.findings import Analysis

Kind = Literal["analysed", "refused", "failed", "crashed", "duplicate"]


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    file
        The file.
    exam
        The number of its exam among those that were analysed with it.
    analysis
        None: it failed.
    kind, problem
        How it failed, and why, without the file's name; of one that was analysed, why its DICOM results failed.
    """

    file: SourceFile
    exam: int = 0
    analysis: Analysis | None = None
    kind: Kind = "analysed"
    problem: str | None = None


class ArchiveWriter:
    """Writes one partition of an archive; a context manager that holds the archive for this run.

    Parameters
    ----------
    store, partition
        The archive, and the models and threshold.
    images_a_part, seconds_a_part
        A part is written when it has so many images, or so much time has passed.
    keep_sources
        Whether rows hold the paths of files.
    retry_failed
        Forget failures that another try may mend.

    Raises
    ------
    MammoscopeError
        By its methods too: something cannot be read or written, or another run writes to the archive.
    """

    def __init__(
        self,
        store: Store,
        partition: Partition,
        *,
        images_a_part: int = 1000,
        seconds_a_part: float = 60.0,
        keep_sources: bool = False,
        retry_failed: bool = False,
    ) -> None:
        self._store, self._partition = store, partition
        self._images_a_part, self._seconds_a_part = images_a_part, seconds_a_part
        self._keep_sources, self._retry_failed = keep_sources, retry_failed
        self._rows: dict[str, list[Row]] = {table: [] for table in TABLES}
        self._held = ExitStack()
        self._run = secrets.token_hex(4)
        self._is_failed = False

    def __enter__(self) -> ArchiveWriter:
        with ExitStack() as held:
            self._check = held.enter_context(self._store.writing())
            begin(self._store)
            remove_unfinished(self._store, self._partition)
            self._ledger = Ledger()
            held.callback(self._ledger.close)
            self._number = next_number(self._fill())
            self._held = held.pop_all()
        self._since = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if not self._is_failed:  # rows of whole exams are worth keeping, also where the run was interrupted
                self.commit()

    def _fill(self) -> list[str]:
        """Note what earlier runs have done."""
        parts = parts_of(self._store, self._partition)
        errors = set(parts_of(self._store, self._partition, ERRORS))
        for name in parts:
            images = self._read(IMAGES, name, ["image", "source_key"])
            self._ledger.fill(images["source_key"], images["image"])
            if name in errors:
                self._ledger.fill(self._kept_errors(name), ())
        return parts

    def _kept_errors(self, name: str) -> Sequence[str]:
        """The files of the errors in a part, of which those that are tried again are removed."""
        if not self._retry_failed:
            keys: list[str] = self._read(ERRORS, name, ["source_key"])["source_key"]
            return keys
        columns = self._read(ERRORS, name, schema_of(ERRORS).names)
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        kept = [row for row in rows if row["kind"] not in RETRIED]
        if len(kept) < len(rows):
            self._store.write(f"{self._partition.folder(ERRORS)}/{name}", encoded(ERRORS, kept))
        return [row["source_key"] for row in kept]

    def _read(self, table: str, name: str, columns: Sequence[str]) -> dict[str, list[Any]]:
        return read_part(self._store, f"{self._partition.folder(table)}/{name}", columns)

    def take(self, file: SourceFile) -> bool:
        """Take a file on; False if this or an earlier run has."""
        return self._ledger.take_source(file.key)

    def add(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Add what became of files that were analysed together; returns it, duplicates named."""
        told = [self._told_apart(outcome) for outcome in outcomes]
        for exam in dict.fromkeys(outcome.exam for outcome in told):
            self._add_exam([outcome for outcome in told if outcome.exam == exam])
        is_late = time.monotonic() - self._since >= self._seconds_a_part
        if is_late or len(self._rows[IMAGES]) + len(self._rows[ERRORS]) >= self._images_a_part:
            self.commit()
        return told

    def _told_apart(self, outcome: Outcome) -> Outcome:
        if outcome.analysis is None or self._ledger.take_image(outcome.analysis.input.sha256):
            return outcome
        problem = "holds the same bytes as an image that has its row"
        return Outcome(outcome.file, outcome.exam, outcome.analysis, "duplicate", problem)

    def _add_exam(self, outcomes: Sequence[Outcome]) -> None:
        new = [(one, one.analysis) for one in outcomes if one.analysis is not None and one.kind == "analysed"]
        name = exam_id([analysis.input.sha256 for _, analysis in new])
        for one, analysis in new:
            self._rows[IMAGES].append(image_row(analysis, name, one.file.key, self._source(one)))
            self._rows[FINDINGS] += finding_rows(analysis, name)
        for one in outcomes:
            if one.kind != "analysed":
                image = one.analysis.input.sha256 if one.analysis is not None else None
                self._rows[ERRORS].append(
                    error_row(one.file.key, self._source(one), one.kind, one.problem or "", image)
                )
        if new:
            is_known = not any(one.file.is_remote for one in outcomes)  # whose exam the others are, by their headers
            lacking = sum(one.analysis is None for one in outcomes) if is_known else None
            self._rows[EXAMS].append(exam_row([analysis for _, analysis in new], name, lacking))

    def _source(self, outcome: Outcome) -> str | None:
        return shown(outcome.file.place).encode(errors="replace").decode() if self._keep_sources else None

    def commit(self) -> None:
        """Write what was added as a part."""
        self._since = time.monotonic()
        if not self._rows[IMAGES] and not self._rows[ERRORS]:
            return
        self._is_failed = True
        self._check()
        name = part_name(self._number, self._run)
        for table in TABLES:
            self._store.write(f"{self._partition.folder(table)}/{name}", encoded(table, self._rows[table]))
        self._number += 1
        self._rows = {table: [] for table in TABLES}
        self._is_failed = False
