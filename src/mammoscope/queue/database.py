"""The SQLite file of a queue: opened, checked and created in one place, and shared by threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition
from typing import Any

from mammoscope.errors import MammoscopeError
from mammoscope.queue.folder import QueueFolder

_PRIMARY = 0xFF  # an error code of SQLite without its details
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class DatabaseError(MammoscopeError, sqlite3.Error):
    """The states cannot be read or written now: another process holds them, the disk is full, or they are damaged."""


@dataclass(frozen=True)
class Schema:
    """The tables of a queue.

    Attributes
    ----------
    version
        Number of the tables' version, from 1.
    tables
        SQL that makes them, each statement with its semicolon.
    at_opening
        SQL statement that repairs the states after a process was killed; empty: none is needed.
    additions
        By the name of a table that the version had not at first, SQL that makes it and what belongs to it. An earlier
        release of the same version works on it all the same. Two processes may run it in turn.
    """

    version: int
    tables: str
    at_opening: str = ""
    additions: Mapping[str, str] = field(default_factory=dict)


class Database:
    """The states of one queue. Calls from several threads wait for each other, each for a short time.

    Parameters
    ----------
    folder
        Where the file is. An empty file gets the tables.
    schema
        The tables that it must have.
    pragmas
        SQLite pragmas: ``"synchronous = FULL"``. It is in write-ahead mode in any case.
    patience
        Seconds to wait for another process that writes to it.
    thorough
        Check all of the file for damage, not only its start; takes a third of a second for 100,000 rows.
    locked
        The reason to state if another process holds it.
    repair
        What helps if it is damaged.

    Raises
    ------
    MammoscopeError
        The file is damaged, in use, of another version, or cannot be opened; names it.
    """

    def __init__(
        self,
        folder: QueueFolder,
        schema: Schema,
        *,
        pragmas: Sequence[str],
        patience: float,
        thorough: bool = True,
        locked: str = "another process uses it",
        repair: str = "restore it, or name another folder",
    ) -> None:
        self._changed = Condition()
        self._path, self._repair = folder.database, repair
        try:
            self._connection = sqlite3.connect(folder.database, check_same_thread=False, timeout=patience)
        except sqlite3.Error as error:
            raise MammoscopeError(f"{folder.root}: cannot hold {folder.holds} ({error})") from None
        try:
            self._prepare(folder.database, schema, pragmas, thorough)
        except sqlite3.Error as error:
            self.close()
            code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
            if code in _DAMAGED:
                raise self._damaged(str(error)) from None
            reason = locked if code == sqlite3.SQLITE_BUSY else str(error)
            raise MammoscopeError(f"{folder.root}: cannot hold {folder.holds} ({reason})") from None
        except MammoscopeError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; it stays on disk."""
        with self._changed:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A block of which all changes are kept, or none if it raises; other threads wait. Not to be nested.

        Raises
        ------
        DatabaseError
            The file cannot be read or written.
        """
        with self._changed, self._translated():
            with self._connection:
                yield self._connection
            self._changed.notify_all()

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows that a query finds; within a transaction of this thread, with its changes. Raises likewise."""
        with self._changed, self._translated():
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """The first row that a query finds; None if there is none. Raises likewise."""
        with self._changed, self._translated():
            found: tuple[Any, ...] | None = self._connection.execute(query, values).fetchone()
        return found

    def empty_log(self) -> None:
        """Move everything from the write-ahead log into the file, so that the log holds nothing that was removed."""
        with self._changed:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def wait(self, seconds: float) -> None:
        """Return when a transaction of this process has ended, when ``wake`` is called, or after so many seconds."""
        with self._changed:
            self._changed.wait(seconds)

    def wake(self) -> None:
        """Wake all waiting threads."""
        with self._changed:
            self._changed.notify_all()

    def _prepare(self, path: Path, schema: Schema, pragmas: Sequence[str], thorough: bool) -> None:
        connection = self._connection
        for pragma in (*pragmas, "journal_mode = WAL"):
            connection.execute(f"PRAGMA {pragma}")
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version not in (0, schema.version):
            raise MammoscopeError(f"{path}: is of version {version}, expected {schema.version}")
        finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if thorough else "ok"
        if finding != "ok":
            raise self._damaged(" ".join(str(finding).split()))
        if version == 0:
            self._make(f"{schema.tables} PRAGMA user_version = {schema.version};")
        for table, script in schema.additions.items():
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                self._make(script)
        with connection:
            connection.execute(schema.at_opening)

    def _make(self, script: str) -> None:
        self._connection.executescript(f"BEGIN EXCLUSIVE; {script} COMMIT;")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError:
            raise
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGED:
                raise self._damaged(str(error)) from None
            raise DatabaseError(f"{self._path}: cannot be used now ({error})") from None

    def _damaged(self, reason: str) -> DatabaseError:
        return DatabaseError(f"{self._path}: is damaged ({reason}): {self._repair}")
