"""A lock that one process holds, and that ends with it, however it ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class HeldError(Exception):
    """Another process holds the lock."""


class ProcessLock:
    """Held from creation until it is closed or the process has ended.

    Parameters
    ----------
    path
        The lock's own file, made if it is missing.

    Raises
    ------
    HeldError
        Another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, timeout=0)
        try:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            self._connection.close()
            raise HeldError from None

    def close(self) -> None:
        """Release the lock."""
        self._connection.close()
