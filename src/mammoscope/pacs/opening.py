"""What is checked before the folder of a queue is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.queue.folder import QueueFolder
from mammoscope.queue.process_lock import HeldError, ProcessLock

_LOCK, _PATIENCE_SECONDS = "running.sqlite", 0.5
REPAIR = "'mammoscope pacs rebuild' makes them anew"


def refuse_lost_states(place: QueueFolder) -> None:
    """Refuse a folder that has images and no states: it would be tidied up, as if nothing in it had been accepted."""
    if place.database.exists() and place.database.stat().st_size > 0:
        return
    if place.files.is_dir() and any(path.is_dir() for path in place.files.iterdir()):
        raise MammoscopeError(f"{place.root}: has images, but their states in {place.database.name} are gone: {REPAIR}")


def lock_of(place: QueueFolder) -> ProcessLock:
    """The lock of the process that works on a queue; raises ``MammoscopeError`` if another one does."""
    try:
        return ProcessLock(place.root / _LOCK, _PATIENCE_SECONDS)
    except HeldError:
        raise MammoscopeError(f"{place.root}: another process works on this queue") from None
    except sqlite3.Error as error:
        raise MammoscopeError(f"{place.root}: cannot hold {place.holds} ({error})") from None


def is_worked_on(folder: Path) -> bool:
    """Whether a process works on the queue in a folder."""
    return ProcessLock.is_held(folder / _LOCK)
