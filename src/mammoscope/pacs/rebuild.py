"""Make the states of a queue anew from what can still be read of them, and from the images on disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from mammoscope.errors import InputError, MammoscopeError
from mammoscope.pacs.image_place import ImagePlace, key_of
from mammoscope.pacs.image_tables import PATIENCE_SECONDS, PRAGMAS, SCHEMA
from mammoscope.pacs.opening import lock_of
from mammoscope.pacs.queued_image import ImageState
from mammoscope.queue.database import Database
from mammoscope.queue.folder import QueueFolder
from mammoscope.readers.dicom.header import read_header
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.readers.source import data_set_sha256, read_source
from mammoscope.readers.uids import kept_uid

# By the order of their rows; an image makes a moment.
_TABLES = {
    "moments": "rowid",
    "images": "rowid",
    "results": "rowid",
    "reports": "rowid",
    "presentations": "rowid",
    "studies": "rowid",
    "notes": "rowid",
    "forgotten": "key",
    "urgent": "rowid",
}


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuilt queue holds.

    Attributes
    ----------
    rows
        States and notes that could be read of the old file.
    images
        Images on disk whose states could not, and that are analysed again.
    unreadable
        Folders whose image cannot be read; they are moved to ``unreadable/``.
    """

    rows: int
    images: int
    unreadable: tuple[str, ...]


def rebuild(folder: Path) -> Rebuilt:
    """Replace the states of a queue that nobody works on; the old file stays beside them, as ``state.sqlite.old-…``.

    Raises
    ------
    MammoscopeError
        The folder is none of a queue, or another process works on it.
    """
    place = QueueFolder(folder, "the queue")
    if not place.files.is_dir():
        raise MammoscopeError(f"{folder}: holds no queue; 'pacs watch' and 'pacs receive' make one")
    with closing(lock_of(place)):
        old = _put_aside(place)
        place.make()
        with closing(Database(place, SCHEMA, pragmas=PRAGMAS, patience=PATIENCE_SECONDS)) as database:
            rows = 0 if old is None else sum(_copy(database, old, table) for table in _TABLES)
            images, unreadable = _add_images(database, place)
    return Rebuilt(rows, images, tuple(unreadable))


def _put_aside(place: QueueFolder) -> Path | None:
    if not place.database.exists():
        return None
    old = place.root / f"state.sqlite.old-{time.time_ns()}"
    for suffix in ("-wal", "-shm", ""):  # the log first: it belongs to the file of its name
        with suppress(FileNotFoundError):
            Path(f"{place.database}{suffix}").rename(f"{old}{suffix}")
    return old


def _copy(database: Database, old: Path, table: str) -> int:
    """Copy the rows that can be read; returns how many."""
    copied = 0
    with database.transaction() as connection:
        columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
        insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        for row in _readable_rows(old, f"SELECT {', '.join(columns)} FROM {table} ORDER BY {_TABLES[table]}"):  # noqa: S608
            with suppress(sqlite3.IntegrityError):
                copied += connection.execute(insert, row).rowcount
    return copied


def _readable_rows(old: Path, query: str) -> Iterator[tuple[object, ...]]:
    """Rows from the start and, after a damaged place, from the end."""
    for order in ("", " DESC"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(old)) as connection:
            yield from connection.execute(query + order)
            return


def _add_images(database: Database, place: QueueFolder) -> tuple[int, list[str]]:
    known = {key_of(str(row[0])) for row in database.rows("SELECT sop_instance FROM images")}
    added, unreadable = 0, []
    for folder in sorted(path for path in place.files.iterdir() if path.is_dir() and path.name not in known):
        try:
            source = read_source(ImagePlace(folder).image, DEFAULT_LIMITS)
            header = read_header(source).header
            sop_instance, sop_class = header.text("SOPInstanceUID") or "", header.text("SOPClassUID") or ""
        except InputError:
            sop_instance = sop_class = ""
        if kept_uid(sop_instance) is None or key_of(sop_instance) != folder.name:
            unreadable.append(folder.name)
            kept = place.root / "unreadable"
            kept.mkdir(mode=0o700, exist_ok=True)
            folder.rename(kept / f"{folder.name}-{time.time_ns()}")
            continue
        with database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO images (sop_instance, sop_class, digest, state, due) VALUES (?, ?, ?, ?, 0)",
                (sop_instance, sop_class, data_set_sha256(source.data), ImageState.RECEIVED),
            )
        added += 1
    return added, unreadable
