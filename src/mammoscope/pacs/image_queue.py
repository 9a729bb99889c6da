"""What became of each image: SQLite for states, a folder for files. Both survive a kill and a power cut."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Condition
from uuid import uuid4

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.image_place import ImagePlace, key_of, sync, sync_folder
from mammoscope.pacs.retries import pause
from mammoscope.readers.source import data_set_sha256

_VERSION = 1
_DATABASE = "state.sqlite"
_SCHEMA = """
CREATE TABLE images (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_instance TEXT NOT NULL UNIQUE,
    sop_class TEXT NOT NULL,
    study TEXT,
    series TEXT,
    digest TEXT,
    state TEXT NOT NULL,
    next_state TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    problem TEXT
);
CREATE INDEX images_by_state ON images (state, due, position);
CREATE TABLE results (sop_instance TEXT PRIMARY KEY);
CREATE TABLE presentations (mark TEXT PRIMARY KEY);
CREATE TABLE studies (study TEXT PRIMARY KEY, instances INTEGER NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_COLUMNS = ("position", "sop_instance", "sop_class", "study", "series", "digest", "state", "failures", "problem")


class State(StrEnum):
    """How far an image has come."""

    FOUND = "found"  # another system has it
    RECEIVED = "received"  # on disk
    ANALYSED = "analysed"  # its results are on disk
    SENT = "sent"  # another system has its results
    SKIPPED = "skipped"  # needs no analysis
    DEAD = "dead"  # given up, until somebody has it tried again


class Admission(StrEnum):
    """What became of an image that was offered."""

    NEW = "new"
    KNOWN = "known"
    OTHER = "other"  # another image has come under its UID


@dataclass(frozen=True)
class Image:
    """One image of the queue.

    Attributes
    ----------
    sop_instance, sop_class, study, series
        UIDs; the last two are known where the image was found by a query.
    digest
        Of what was received; None before.
    failures
        Of the step that is due.
    problem
        What went wrong last, or why it was skipped.
    """

    position: int
    sop_instance: str
    sop_class: str
    study: str | None
    series: str | None
    digest: str | None
    state: State
    failures: int
    problem: str | None

    @property
    def key(self) -> str:
        """Its name on disk and in logs."""
        return key_of(self.sop_instance)


class Store:
    """The queue in one folder. Calls from several threads take turns, each a short one.

    Parameters
    ----------
    folder
        Holds ``state.sqlite`` and ``files/``.
    working
        True for the one process that works the queue off: makes what is missing, and tidies up after one that was
        killed. False for those that look, or have dead letters tried again.
    attempts
        Failures of a step after which an image is given up.
    first_pause
        Seconds until the second attempt.
    keep
        Leave the files of images that are done.
    reserve
        Bytes of the disk that images leave free, so that the queue can still be written.

    Raises
    ------
    MammoscopeError
        The folder cannot be used, another process works it off, or another version of mammoscope wrote it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        working: bool,
        attempts: int = 8,
        first_pause: float = 5.0,
        keep: bool = False,
        reserve: int = 0,
    ) -> None:
        self.folder, self.keep, self._reserve = folder, keep, reserve
        self._attempts, self._first_pause = attempts, first_pause
        self._changed = Condition()
        self._guard: sqlite3.Connection | None = None
        if not working and not (folder / _DATABASE).exists():
            raise MammoscopeError(f"{folder}: holds no queue; 'pacs watch' and 'pacs receive' make one")
        try:
            if working:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                (folder / "files").mkdir(mode=0o700, exist_ok=True)
                (folder / _DATABASE).touch(mode=0o600)
                self._guard = _only_one(folder)
            self._database = sqlite3.connect(folder / _DATABASE, check_same_thread=False, timeout=30)
            self._open()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise MammoscopeError(f"{folder}: cannot hold the queue ({error})") from None
        if working:
            self._tidy()

    def close(self) -> None:
        """End; the folder stays."""
        with self._changed:
            if hasattr(self, "_database"):
                self._database.close()
            if self._guard is not None:
                self._guard.close()

    def place(self, image: Image) -> ImagePlace:
        """Where the files of an image are."""
        return self._place(image.sop_instance)

    def find(self, sop_instance: str, sop_class: str, study: str, series: str) -> bool:
        """Take on an image that another system has; False where it is known."""
        with self._transaction() as database:
            return (
                database.execute(
                    "INSERT OR IGNORE INTO images (sop_instance, sop_class, study, series, state, due) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (sop_instance, sop_class, study, series, State.FOUND, time.time()),
                ).rowcount
                == 1
            )

    def admit(self, sop_instance: str, sop_class: str, content: bytes, wait: float = 0.0) -> Admission:
        """Take on an image that another system sent: its file is on disk and in the queue when this returns.

        Parameters
        ----------
        sop_instance, sop_class
            UIDs.
        content
            The whole DICOM file.
        wait
            Seconds before its analysis is due.

        Raises
        ------
        OSError, sqlite3.Error
            It cannot be written; nothing of it is left.
        """
        digest = data_set_sha256(content)
        if (known := self._admission(sop_instance, digest)) is not Admission.NEW:
            return known
        temporary = self._temporary(content)
        try:
            sync(temporary, content)
            with self._transaction() as database:
                if (known := self._admission(sop_instance, digest)) is not Admission.NEW:
                    return known
                self._put(temporary, sop_instance)
                database.execute(
                    "INSERT INTO images (sop_instance, sop_class, digest, state, due) VALUES (?, ?, ?, ?, ?)",
                    (sop_instance, sop_class, digest, State.RECEIVED, time.time() + wait),
                )
        except BaseException:
            with self._changed:
                if self.image(sop_instance) is None:
                    shutil.rmtree(self._place(sop_instance).folder, ignore_errors=True)
            raise
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return Admission.NEW

    def fetched(self, image: Image, content: bytes, wait: float = 0.0) -> None:
        """Keep the file of an image that was found; raises as ``admit`` does."""
        temporary = self._temporary(content)
        try:
            sync(temporary, content)
            with self._transaction() as database:
                self._put(temporary, image.sop_instance)
                database.execute(
                    "UPDATE images SET digest = ? WHERE position = ?", (data_set_sha256(content), image.position)
                )
                self._move(image, State.RECEIVED, wait)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def is_whole(self, image: Image) -> bool:
        """Whether the file of an image is on disk, byte for byte as it came."""
        try:
            return data_set_sha256(self.place(image).image.read_bytes()) == image.digest
        except OSError:
            return False

    def next(self, state: State) -> Image | None:
        """The image of this state that is due longest."""
        rows = self._images("WHERE state = ? AND due <= ? ORDER BY due, position LIMIT 1", (state, time.time()))
        return rows[0] if rows else None

    def wait(self, seconds: float) -> None:
        """Return when something has changed, or after so many seconds."""
        with self._changed:
            self._changed.wait(seconds)

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def analysed(self, image: Image, results: Iterable[str]) -> None:
        """Its results are on disk; ``results`` are their SOP Instance UIDs."""
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO results VALUES (?)", [(result,) for result in results])
            self._move(image, State.ANALYSED)

    def finish(self, image: Image, state: State, reason: str | None = None) -> None:
        """It needs nothing more: its state is SENT or SKIPPED, and its files go."""
        with self._transaction():
            self._move(image, state, problem=reason)
        if not self.keep:
            shutil.rmtree(self.place(image).folder, ignore_errors=True)

    def analyse_again(self, image: Image, problem: str) -> None:
        """Its results are not on disk after all."""
        with self._transaction():
            self._move(image, State.RECEIVED, problem=problem)

    def fail(self, image: Image, problem: str, *, final: bool = False) -> bool:
        """Note a failure of the step that is due; True where that was the last attempt."""
        failures = image.failures + 1
        is_last = final or failures >= self._attempts
        with self._transaction() as database:
            database.execute(
                "UPDATE images SET state = ?, next_state = ?, failures = ?, due = ?, problem = ? "
                "WHERE position = ? AND state = ?",
                (
                    State.DEAD if is_last else image.state,
                    image.state,
                    failures,
                    time.time() + pause(failures, self._first_pause),
                    problem,
                    image.position,
                    image.state,
                ),
            )
        return is_last

    def postpone(self, image: Image, seconds: float) -> None:
        """Try again later, as if nothing had been tried."""
        with self._transaction() as database:
            database.execute("UPDATE images SET due = ? WHERE position = ?", (time.time() + seconds, image.position))

    def revive(self, keys: Iterable[str] | None = None) -> int:
        """Have dead letters tried again from where they were, all or those of these keys; returns how many."""
        chosen = [image for image in self.images(State.DEAD) if keys is None or image.key in set(keys)]
        with self._transaction() as database:
            database.executemany(
                "UPDATE images SET state = next_state, failures = 0, due = ? WHERE position = ? AND state = 'dead'",
                [(time.time(), image.position) for image in chosen],
            )
        return len(chosen)

    def images(self, state: State) -> list[Image]:
        """All images of a state, oldest first."""
        return self._images("WHERE state = ? ORDER BY position", (state,))

    def image(self, sop_instance: str) -> Image | None:
        """One image; None where it is not known."""
        rows = self._images("WHERE sop_instance = ?", (sop_instance,))
        return rows[0] if rows else None

    def counts(self) -> dict[State, int]:
        """How many images each state has."""
        with self._changed:
            found = dict(self._database.execute("SELECT state, count(*) FROM images GROUP BY state").fetchall())
        return {state: found.get(state, 0) for state in State}

    def is_result(self, sop_instance: str) -> bool:
        """Whether an object is one of the results that were made here."""
        return self._has("results WHERE sop_instance = ?", sop_instance)

    def add_presentations(self, marks: Iterable[str]) -> None:
        """Remember by what an image that is For Presentation can be told to show the same as one For Processing."""
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO presentations VALUES (?)", [(mark,) for mark in marks])

    def has_presentation(self, marks: Iterable[str]) -> bool:
        """Whether one of these marks was remembered."""
        return any(self._has("presentations WHERE mark = ?", mark) for mark in marks)

    def instances_seen(self, study: str) -> int | None:
        """How many instances a study had when it was last looked at."""
        with self._changed:
            row = self._database.execute("SELECT instances FROM studies WHERE study = ?", (study,)).fetchone()
        return None if row is None else int(row[0])

    def saw_study(self, study: str, instances: int) -> None:
        """Remember how many instances a study had."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO studies VALUES (?, ?)", (study, instances))

    def note(self, name: str) -> str | None:
        """A remembered value."""
        with self._changed:
            row = self._database.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def write_note(self, name: str, value: str) -> None:
        """Remember a value."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def _open(self) -> None:
        database = self._database
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # what was accepted must outlive a power cut
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, _VERSION):
            raise MammoscopeError(f"{self.folder}: its queue is of version {version}, expected {_VERSION}")
        if version == 0:
            database.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    def _tidy(self) -> None:
        """Remove the files of images that were never accepted, or are done."""
        done = () if self.keep else (State.SENT, State.SKIPPED)
        wanted = {image.key for state in State if state not in done for image in self.images(state)}
        for path in (self.folder / "files").iterdir():
            if path.name not in wanted:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def _place(self, sop_instance: str) -> ImagePlace:
        return ImagePlace(self.folder / "files" / key_of(sop_instance))

    def _temporary(self, content: bytes) -> Path:
        if shutil.disk_usage(self.folder).free - len(content) < self._reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.folder / "files" / f".{uuid4().hex}"

    def _put(self, temporary: Path, sop_instance: str) -> None:
        place = self._place(sop_instance)
        place.folder.mkdir(mode=0o700, exist_ok=True)
        temporary.replace(place.image)
        sync_folder(place.folder)
        sync_folder(place.folder.parent)

    def _admission(self, sop_instance: str, digest: str) -> Admission:
        known = self.image(sop_instance)
        if known is None:
            return Admission.NEW
        return Admission.KNOWN if known.digest == digest else Admission.OTHER

    def _move(self, image: Image, state: State, wait: float = 0.0, problem: str | None = None) -> None:
        self._database.execute(
            "UPDATE images SET state = ?, failures = 0, due = ?, problem = ? WHERE position = ? AND state = ?",
            (state, time.time() + wait, problem, image.position, image.state),
        )

    def _images(self, where: str, values: tuple[object, ...]) -> list[Image]:
        query = f"SELECT {', '.join(_COLUMNS)} FROM images {where}"  # noqa: S608 (where is ours)
        with self._changed:
            rows = self._database.execute(query, values).fetchall()
        return [Image(**{**dict(zip(_COLUMNS, row, strict=True)), "state": State(row[6])}) for row in rows]

    def _has(self, where: str, value: str) -> bool:
        with self._changed:
            return self._database.execute(f"SELECT 1 FROM {where}", (value,)).fetchone() is not None  # noqa: S608 (where is ours)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._changed:
            with self._database:
                yield self._database
            self._changed.notify_all()


def _only_one(folder: Path) -> sqlite3.Connection:
    """Hold a lock that goes with this process, however it ends."""
    guard = sqlite3.connect(folder / "running.sqlite", check_same_thread=False, timeout=0)
    try:
        guard.execute("PRAGMA locking_mode = EXCLUSIVE")
        guard.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        guard.close()
        raise MammoscopeError(f"{folder}: another process works this queue off") from None
    return guard
