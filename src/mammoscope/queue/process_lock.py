"""A lock that one process holds, and that ends with it, however it ends."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


class HeldError(Exception):
    """Another process holds the lock."""


class ProcessLock:
    """Held from creation until it is closed or the process has ended.

    Parameters
    ----------
    path
        The lock's own file, made if it is missing.
    patience
        Seconds to wait for one who only looks whether it is held.

    Raises
    ------
    HeldError
        Another process holds it.
    """

    def __init__(self, path: Path, patience: float = 0.0) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, timeout=patience)
        try:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            self._connection.close()
            raise HeldError from None

    @staticmethod
    def is_held(path: Path) -> bool:
        """Whether a process holds it."""
        if not path.exists():
            return False
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            try:
                connection.execute("SELECT count(*) FROM sqlite_master")
            except sqlite3.OperationalError:
                return True
        return False

    def close(self) -> None:
        """Release the lock."""
        self._connection.close()
