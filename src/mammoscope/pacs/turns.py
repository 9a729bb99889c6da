"""Whose turn it is: urgent images first, and others all the same."""

from __future__ import annotations

import sqlite3
from collections import Counter

from mammoscope.pacs.image_rows import images_where
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.queue.database import Database

_MOST_URGENT = 4  # in a row, while others are due


class Turns:
    """Chooses among the images of a state that are due; each state has one thread that asks.

    Parameters
    ----------
    database
        The queue's, which has the tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._urgent_in_a_row: Counter[ImageState] = Counter()

    def next(self, state: ImageState, now: float) -> Image | None:
        """The urgent image that is due longest; after four of them, or without any, the one that is due longest."""
        if self._urgent_in_a_row[state] < _MOST_URGENT:
            # The plus signs keep SQLite from going through all images of the state.
            condition = (
                "position IN (SELECT position FROM urgent) AND +state = ? AND +due <= ? ORDER BY due, position LIMIT 1"
            )
            if urgent := images_where(self._database, condition, (state, now)):
                self._urgent_in_a_row[state] += 1
                return urgent[0]
        self._urgent_in_a_row[state] = 0
        found = images_where(self._database, "state = ? AND due <= ? ORDER BY due, position LIMIT 1", (state, now))
        return found[0] if found else None


def mark(database: sqlite3.Connection, position: int | None, *, is_urgent: bool) -> None:
    """Note whether an image is urgent, until it is done."""
    change = "INSERT OR IGNORE INTO urgent VALUES (?)" if is_urgent else "DELETE FROM urgent WHERE position = ?"
    database.execute(change, (position,))
