"""The analyses that the server holds: SQLite for states, a folder for files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from mammoscope.queue.database import Database, Schema
from mammoscope.queue.folder import QueueFolder
from mammoscope.server.exam_status import FileRow, status_of
from mammoscope.server.file_place import FilePlace
from mammoscope.server.models import AnalysisStatus, FileState, View
from mammoscope.server.patients import Patients
from mammoscope.server.store_figures import StoreFigures
from mammoscope.text import utc_stamp

_READ_AHEAD = 4  # a screen of views
_TABLES = """
CREATE TABLE analyses (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL);
CREATE TABLE files (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    analysis TEXT NOT NULL REFERENCES analyses (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    example INTEGER NOT NULL,
    state TEXT NOT NULL,
    progress REAL NOT NULL,
    error TEXT,
    view TEXT,
    UNIQUE (analysis, number)
);
CREATE INDEX files_by_state ON files (state, position);
"""
_QUEUE_AGAIN = (
    "UPDATE files SET state = 'queued', progress = 0, view = NULL WHERE state IN ('queued', 'reading', 'analysing')"
)
_COLUMNS = "analysis, number, name, example, view IS NOT NULL"  # of a QueuedFile
# Files that wait, without those of an exam whose other files have yet to be read.
_IN_WHOLE_EXAMS = (
    "files WHERE state = 'queued' AND (view IS NULL OR NOT EXISTS (SELECT 1 FROM files AS other "
    "WHERE other.analysis = files.analysis AND other.state = 'queued' AND other.view IS NULL))"
)
_SCHEMA = Schema(1, _TABLES, at_opening=_QUEUE_AGAIN)
_PRAGMAS = (
    "locking_mode = EXCLUSIVE",  # the lock of a server that was killed goes with its process
    "synchronous = NORMAL",
    "foreign_keys = ON",
    "secure_delete = ON",
)


# An empty file in an analysis's folder: its images state one study of one patient. Without it they are together
# because they were sent together: images that state no study, or an upload to an earlier version, which did not check.
# They are shown together, but models that look at whole exams get them one by one.
_STATED = "one-exam"


class QueueFullError(Exception):
    """More files wait than may."""


@dataclass(frozen=True)
class NewFile:
    """A file to be analysed.

    Attributes
    ----------
    name
        To be shown.
    problem
        Why it will not be, where that is already known.
    part
        Place in the upload of the file, or of the archive that it was in.
    example
        Whether it is one of the synthetic exam's, which is made when its turn comes.
    """

    name: str
    problem: str | None = None
    part: int = 0
    example: bool = False


@dataclass(frozen=True)
class NewAnalysis:
    """An exam to be analysed.

    Attributes
    ----------
    id
        As ``new_folder`` gave it.
    files
        A file's number is its place.
    is_vouched
        The images do not state that they belong together: who sent them says so.
    """

    id: str
    files: tuple[NewFile, ...]
    is_vouched: bool = False


@dataclass(frozen=True)
class QueuedFile:
    """A file whose turn it is.

    Attributes
    ----------
    is_read
        Whether it can be shown already, and its analysis comes next.
    """

    analysis: str
    number: int
    name: str
    example: bool
    is_read: bool


class AnalysisStore:
    """Analyses, their files and states, in one folder. Calls from several threads take turns, each a short one.

    What was under way when an earlier server ended is queued again.

    Parameters
    ----------
    folder
        Holds ``state.sqlite`` and ``files/``; made where it is missing.
    queue
        Most files that wait.

    Raises
    ------
    MammoscopeError
        The folder cannot be used, another server uses it, or another version of mammoscope wrote it.
    """

    def __init__(self, folder: Path, queue: int) -> None:
        self.folder, self._queue, self._patients = folder, queue, Patients()
        self._folder = QueueFolder(folder, "the server's data")
        self._folder.make()
        self._database = Database(self._folder, _SCHEMA, pragmas=_PRAGMAS, patience=1, locked="another server uses it")
        self.figures = StoreFigures(self._database)
        # Uploads that never became an analysis, and what another version may have drawn.
        self._folder.remove_unknown({row[0] for row in self._database.rows("SELECT id FROM analyses")})
        shutil.rmtree(self.example_folder, ignore_errors=True)

    def close(self) -> None:
        """End; the folder stays."""
        self._database.close()

    def place(self, analysis: str, number: int) -> FilePlace:
        """Where the files of one file are."""
        return FilePlace(self.analysis_folder(analysis) / str(number))

    @property
    def example_folder(self) -> Path:
        """Where the synthetic exam is drawn."""
        return self.folder / "example"

    def analysis_folder(self, analysis: str) -> Path:
        """Where the files of an analysis are."""
        return self._folder.files / analysis

    def new_folder(self) -> tuple[str, Path]:
        """An id and its empty folder, for files that arrive before ``add`` makes an analysis of them."""
        analysis = uuid4().hex
        folder = self.analysis_folder(analysis)
        folder.mkdir(mode=0o700)
        return analysis, folder

    def waiting(self) -> int:
        """Files whose turn has not come."""
        return int(self._database.rows("SELECT count(*) FROM files WHERE state = 'queued'")[0][0])

    def check_queue(self) -> None:
        """Raise ``QueueFullError`` where not one more file could wait."""
        if self.waiting() >= self._queue:
            raise QueueFullError

    def add(self, *analyses: NewAnalysis) -> None:
        """Take on the exams of one upload, of which the list shows the first first.

        Raises
        ------
        QueueFullError
            So many files cannot wait; nothing was added.
        """
        created = utc_stamp("milliseconds")
        for new in analyses:
            if len(new.files) > 1 and not new.is_vouched:
                (self.analysis_folder(new.id) / _STATED).touch(mode=0o600)
        with self._database.transaction() as database:
            if self.waiting() + sum(file.problem is None for new in analyses for file in new.files) > self._queue:
                raise QueueFullError
            database.executemany(
                "INSERT INTO analyses (id, created) VALUES (?, ?)", [(new.id, created) for new in reversed(analyses)]
            )
            database.executemany(
                "INSERT INTO files (analysis, number, name, example, state, progress, error) VALUES (?,?,?,?,?,?,?)",
                [
                    (new.id, number, file.name, file.example, *_first_state(file))
                    for new in analyses
                    for number, file in enumerate(new.files)
                ],
            )

    def next_file(self) -> QueuedFile | None:
        """The file that has waited longest: to be read, unless enough have been and wait for their analysis.

        So a reader sees the views of an exam together, and a new exam while an earlier one is analysed.
        """
        return self._next("files WHERE state = 'queued'")

    def next_together(self) -> tuple[QueuedFile, ...]:
        """As ``next_file``, for models that look at whole exams: a file to be read, or an exam's views to be analysed.

        Their turn comes when each file of the exam was read or has failed. A view that was analysed before the server
        was started again is among them: what is found on it depends on the others. Images that do not state that they
        belong together are analysed one by one: they may be of two women. Empty: nothing waits.
        """
        file = self._next(_IN_WHOLE_EXAMS)
        if file is None or not file.is_read or not self._is_stated(file.analysis):
            return () if file is None else (file,)
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM files "  # noqa: S608 (the columns are ours)
            "WHERE analysis = ? AND view IS NOT NULL AND state != 'failed' ORDER BY number",
            (file.analysis,),
        )
        return tuple(_file_of(row) for row in rows)

    def _is_stated(self, analysis: str) -> bool:
        return (self.analysis_folder(analysis) / _STATED).exists()

    def _next(self, waiting: str) -> QueuedFile | None:
        row = self._database.row(
            f"SELECT {_COLUMNS} FROM {waiting} "  # noqa: S608 (both are ours)
            f"ORDER BY (view IS NOT NULL) != ((SELECT count(view) FROM {waiting}) >= ?), position LIMIT 1",
            (_READ_AHEAD,),
        )
        return None if row is None else _file_of(row)

    def update(
        self, file: QueuedFile, state: FileState, progress: float, *, error: str | None = None, view: View | None = None
    ) -> bool:
        """Note how far a file is; a view that is not given stays. False where the analysis is gone."""
        with self._database.transaction() as database:
            changed = database.execute(
                "UPDATE files SET state = ?, progress = ?, error = ?, view = coalesce(?, view) "
                "WHERE analysis = ? AND number = ?",
                (state, progress, error, view and view.model_dump_json(), file.analysis, file.number),
            )
            return changed.rowcount == 1

    def analysis(self, analysis: str) -> AnalysisStatus | None:
        """One analysis, None where there is none of this id."""
        found = self._read("WHERE analyses.id = ?", (analysis,))
        return found[0] if found else None

    def analyses(self) -> list[AnalysisStatus]:
        """All analyses, newest first."""
        return self._read("", ())

    def forget(self, analysis: str) -> bool:
        """Remove an analysis from the states, without a trace of its names; False where there is none."""
        with self._database.transaction() as database:
            found = database.execute("DELETE FROM analyses WHERE id = ?", (analysis,)).rowcount == 1
        self._database.empty_log()
        return found

    def remove_files(self, analysis: str) -> None:
        """Remove the files of an analysis."""
        shutil.rmtree(self.analysis_folder(analysis), ignore_errors=True)
        self._patients.forget(self.analysis_folder(analysis))

    def _read(self, where: str, values: tuple[str, ...]) -> list[AnalysisStatus]:
        rows = self._database.rows(
            "SELECT analyses.id, created, number, name, state, progress, error, view "  # noqa: S608 (where is ours)
            f"FROM analyses JOIN files ON files.analysis = analyses.id {where} "
            "ORDER BY analyses.position DESC, number",
            values,
        )
        grouped: dict[tuple[str, str], list[FileRow]] = {}
        for row in rows:
            grouped.setdefault((row[0], row[1]), []).append(row[2:])
        return [
            status_of(
                analysis,
                created,
                files,
                is_vouched=not self._is_stated(analysis),
                patient=self._patients.of([self.place(analysis, row[0]) for row in files if row[5] is not None]),
            )
            for (analysis, created), files in grouped.items()
        ]


def _file_of(row: Sequence[Any]) -> QueuedFile:
    return QueuedFile(row[0], row[1], row[2], bool(row[3]), bool(row[4]))


def _first_state(file: NewFile) -> tuple[FileState, float, str | None]:
    return ("queued", 0.0, None) if file.problem is None else ("failed", 1.0, file.problem)
