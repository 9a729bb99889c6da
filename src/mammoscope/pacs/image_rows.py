"""Rows of the table of images."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.queue.database import Database

_COLUMNS = ("position", "sop_instance", "sop_class", "study", "series", "digest", "state", "failures", "problem")


def images_where(database: Database, condition: str, values: Sequence[object]) -> list[Image]:
    """The images for which a condition holds, in SQL, with the order and number that it may name."""
    query = f"SELECT {', '.join(_COLUMNS)} FROM images WHERE {condition}"  # noqa: S608 (the condition is ours)
    found = (dict(zip(_COLUMNS, row, strict=True)) for row in database.rows(query, values))
    return [Image(**{**row, "state": ImageState(row["state"])}) for row in found]


def make_dead(database: sqlite3.Connection, image: Image, problem: str) -> None:
    """Make a dead letter of an image, if it is still in the state and version that it was read in."""
    database.execute(
        "UPDATE images SET state = ?, next_state = ?, failures = ?, problem = ? "
        "WHERE position = ? AND state = ? AND digest IS ?",
        (ImageState.DEAD, image.state, image.failures + 1, problem, image.position, image.state, image.digest),
    )
