"""How long images of a queue have waited or been done, and how long what is done is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mammoscope.pacs.image_files import ImageFiles
from mammoscope.pacs.image_place import key_of
from mammoscope.pacs.queued_image import ImageState
from mammoscope.pacs.settings import Retention
from mammoscope.queue.database import Database

WAITING = (ImageState.FOUND, ImageState.RECEIVED, ImageState.ANALYSED)
DONE = (ImageState.SENT, ImageState.SKIPPED)
_DAY = 86_400.0
_AT_ONCE = 500  # images in one transaction, during which nothing else is written


class Ages:
    """Asks and enforces ages. They are of the machine's clock.

    Parameters
    ----------
    database
        The queue's, which has the tables.
    files
        Those of its images.
    folder
        The queue's.
    """

    def __init__(self, database: Database, files: ImageFiles, folder: Path) -> None:
        self._database, self._files, self._folder = database, files, folder

    def oldest_waiting(self, *states: ImageState) -> float | None:
        """Seconds since the image that waits longest came; None if none waits.

        Parameters
        ----------
        states
            Only images that wait in these.
        """
        among = states or WAITING
        in_them = f"WHERE state IN ({', '.join('?' * len(among))})"
        row = self._database.row(f"SELECT min(arrived) FROM moments JOIN images USING (position) {in_them}", among)  # noqa: S608
        return None if row is None or row[0] is None else max(0.0, time.time() - float(row[0]))

    def apply(self, retention: Retention) -> int:
        """Remove what is older than it is to be kept; returns of how many images something was removed."""
        removed = 0
        if retention.file_days is not None:
            before = time.time() - retention.file_days * _DAY
            removed += self._remove_files(before)
            self._remove_reports(before)
        if retention.row_days is not None:
            removed += self._remove_rows(time.time() - retention.row_days * _DAY)
        return removed

    def _remove_files(self, before: float) -> int:
        there = {path.name for path in self._files.folder.iterdir()}
        removed = 0
        for chosen in self._chosen(DONE, before):
            with self._database.transaction():  # so that no new version arrives meanwhile
                for sop_instance in self._still(chosen, DONE, before):
                    if key_of(sop_instance) in there:
                        self._files.remove(sop_instance)
                        removed += 1
        return removed

    def _remove_reports(self, before: float) -> None:
        for path in (self._folder / "exams").glob("*.json"):
            with suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _remove_rows(self, before: float) -> int:
        removed = 0
        for chosen in self._chosen((*DONE, ImageState.DEAD), before):
            with self._database.transaction() as database:
                for sop_instance in self._still(chosen, (*DONE, ImageState.DEAD), before):
                    # So that a search does not find it anew.
                    database.execute("INSERT OR IGNORE INTO forgotten VALUES (?)", (key_of(sop_instance),))
                    database.execute("DELETE FROM images WHERE sop_instance = ?", (sop_instance,))
                    self._files.remove(sop_instance)
                    removed += 1
        return removed

    def _chosen(self, states: tuple[ImageState, ...], before: float) -> Iterator[list[str]]:
        rows = self._database.rows(f"SELECT sop_instance {_OLD % ', '.join('?' * len(states))}", (*states, before))
        names = [str(row[0]) for row in rows]
        for start in range(0, len(names), _AT_ONCE):
            yield names[start : start + _AT_ONCE]

    def _still(self, chosen: list[str], states: tuple[ImageState, ...], before: float) -> list[str]:
        """Those of them that have not changed since."""
        query = f"SELECT 1 {_OLD % ', '.join('?' * len(states))} AND sop_instance = ?"
        return [name for name in chosen if self._database.row(query, (*states, before, name)) is not None]


_OLD = "FROM images JOIN moments USING (position) WHERE state IN (%s) AND changed < ?"
