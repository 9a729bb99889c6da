"""The folder of a server that keeps nothing, and those that servers left behind which were killed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from mammoscope.queue.process_lock import HeldError, ProcessLock

_PREFIX = "mammoscope-"
_OWNER = "owner.sqlite"


class EphemeralFolder:
    """A new temporary folder, which only its owner can read; removed by ``remove``, or by the next server.

    Attributes
    ----------
    path
        The folder.
    """

    def __init__(self) -> None:
        _remove_left_behind()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = ProcessLock(self.path / _OWNER)

    def remove(self) -> None:
        """Remove it with everything in it."""
        self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_left_behind() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if not _is_ours(path):
                continue
            try:
                ProcessLock(path / _OWNER).close()
            except (HeldError, sqlite3.Error):
                continue
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    """Whether it is a folder that a server of this user made: never what another user put there."""
    facts = path.lstat()
    is_own = os.name == "nt" or facts.st_uid == os.getuid()
    return stat.S_ISDIR(facts.st_mode) and is_own and (path / _OWNER).is_file()
