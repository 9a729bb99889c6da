"""What the server knows: SQLite for states, a folder for files."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from uuid import uuid4

from mammoscope.errors import MammoscopeError
from mammoscope.server.file_place import FilePlace
from mammoscope.server.models import AnalysisState, AnalysisStatus, File, FileState, View

_VERSION = 1
_READ_AHEAD = 4  # a screen of views
_SCHEMA = """
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
    example
        Whether it is one of the synthetic exam's, which is made when its turn comes.
    """

    name: str
    problem: str | None = None
    example: bool = False


@dataclass(frozen=True)
class Job:
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


class Store:
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
        self.folder, self._queue, self._lock = folder, queue, Lock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "files").mkdir(mode=0o700, exist_ok=True)
            (folder / "state.sqlite").touch(mode=0o600)
            self._database = sqlite3.connect(folder / "state.sqlite", check_same_thread=False, timeout=1)
        except (OSError, sqlite3.Error) as error:
            raise MammoscopeError(f"{folder}: cannot hold the server's data ({error})") from None
        try:
            self._open()
        except sqlite3.Error as error:
            self._database.close()
            reason = "another server uses it" if "locked" in str(error) else str(error)
            raise MammoscopeError(f"{folder}: cannot hold the server's data ({reason})") from None
        self._tidy()

    def close(self) -> None:
        """End; the folder stays."""
        with self._lock:
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
        return self.folder / "files" / analysis

    def new_folder(self) -> tuple[str, Path]:
        """An id and its empty folder, for files that arrive before ``add`` makes an analysis of them."""
        analysis = uuid4().hex
        folder = self.analysis_folder(analysis)
        folder.mkdir(mode=0o700)
        return analysis, folder

    def waiting(self) -> int:
        """Files whose turn has not come."""
        with self._lock:
            return self._count_waiting()

    def check_queue(self) -> None:
        """Raise ``QueueFullError`` where not one more file could wait."""
        if self.waiting() >= self._queue:
            raise QueueFullError

    def add(self, analysis: str, files: Sequence[NewFile]) -> None:
        """Take on an analysis; a file's number is its place.

        Raises
        ------
        QueueFullError
            So many files cannot wait; nothing was added.
        """
        created = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._transaction() as database:
            if self._count_waiting() + sum(file.problem is None for file in files) > self._queue:
                raise QueueFullError
            database.execute("INSERT INTO analyses (id, created) VALUES (?, ?)", (analysis, created))
            database.executemany(
                "INSERT INTO files (analysis, number, name, example, state, progress, error) VALUES (?,?,?,?,?,?,?)",
                [(analysis, number, file.name, file.example, *_first_state(file)) for number, file in enumerate(files)],
            )

    def next_job(self) -> Job | None:
        """The file that has waited longest: to be read, unless enough have been and wait for their analysis.

        So a reader sees the views of an exam together, and a new exam while an earlier one is analysed.
        """
        with self._lock:
            (ahead,) = self._database.execute("SELECT count(view) FROM files WHERE state = 'queued'").fetchone()
            row = self._database.execute(
                "SELECT analysis, number, name, example, view IS NOT NULL FROM files WHERE state = 'queued' "
                "ORDER BY (view IS NOT NULL) != ?, position LIMIT 1",
                (ahead >= _READ_AHEAD,),
            ).fetchone()
        return None if row is None else Job(row[0], row[1], row[2], bool(row[3]), bool(row[4]))

    def update(
        self, job: Job, state: FileState, progress: float, *, error: str | None = None, view: View | None = None
    ) -> bool:
        """Note how far a file is; a view that is not given stays. False where the analysis is gone."""
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE files SET state = ?, progress = ?, error = ?, view = coalesce(?, view) "
                "WHERE analysis = ? AND number = ?",
                (state, progress, error, view and view.model_dump_json(), job.analysis, job.number),
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
        with self._transaction() as database:
            found = database.execute("DELETE FROM analyses WHERE id = ?", (analysis,)).rowcount == 1
        with self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return found

    def remove_files(self, analysis: str) -> None:
        """Remove the files of an analysis."""
        shutil.rmtree(self.analysis_folder(analysis), ignore_errors=True)

    def _open(self) -> None:
        database = self._database
        # The lock of a server that was killed goes with its process.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA secure_delete = ON")
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, _VERSION):
            database.close()
            raise MammoscopeError(f"{self.folder}: its data is of version {version}, expected {_VERSION}")
        if version == 0:
            database.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        with database:
            database.execute(
                "UPDATE files SET state = 'queued', progress = 0, view = NULL "
                "WHERE state IN ('queued', 'reading', 'analysing')"
            )

    def _tidy(self) -> None:
        """Remove the files of uploads that never became an analysis, and what another version may have drawn."""
        shutil.rmtree(self.example_folder, ignore_errors=True)
        known = {row[0] for row in self._database.execute("SELECT id FROM analyses")}
        for folder in (self.folder / "files").iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            yield self._database

    def _count_waiting(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM files WHERE state = 'queued'").fetchone()[0])

    def _read(self, where: str, values: tuple[str, ...]) -> list[AnalysisStatus]:
        with self._lock:
            rows = self._database.execute(
                "SELECT analyses.id, created, number, name, state, progress, error, view "  # noqa: S608 (where is ours)
                f"FROM analyses JOIN files ON files.analysis = analyses.id {where} "
                "ORDER BY analyses.position DESC, number",
                values,
            ).fetchall()
        grouped: dict[tuple[str, str], list[tuple[int, str, FileState, float, str | None, str | None]]] = {}
        for row in rows:
            grouped.setdefault((row[0], row[1]), []).append(row[2:])
        return [_status(analysis, created, files) for (analysis, created), files in grouped.items()]


def _first_state(file: NewFile) -> tuple[FileState, float, str | None]:
    return ("queued", 0.0, None) if file.problem is None else ("failed", 1.0, file.problem)


def _status(
    analysis: str, created: str, rows: Sequence[tuple[int, str, FileState, float, str | None, str | None]]
) -> AnalysisStatus:
    states = {row[2] for row in rows}
    state: AnalysisState = "running"
    if states <= {"done", "failed"}:
        state = "done" if "done" in states else "failed"
    elif states <= {"queued", "failed"} and not any(row[5] for row in rows):
        state = "queued"
    files, place = [], 0
    for number, name, file_state, progress, error, view in rows:
        files.append(
            File(
                number=number,
                name=name,
                state=file_state,
                progress=progress,
                error=error,
                result=place if state == "done" and file_state == "done" else None,
                view=None if view is None else View.model_validate_json(view),
            )
        )
        place += file_state == "done"
    return AnalysisStatus(
        id=analysis,
        created=created,
        state=state,
        progress=min(1.0, sum(row[3] for row in rows) / len(rows)),
        files=tuple(files),
    )
