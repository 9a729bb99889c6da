"""How many files are in which state, and how long the oldest has waited."""

from __future__ import annotations

from datetime import UTC, datetime

from mammoscope.queue.database import Database


class StoreFigures:
    """Figures on the files of a store.

    Parameters
    ----------
    database
        The store's, which has the tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> dict[str, int]:
        """Number of files in each state that there are files in."""
        return {str(state): int(count) for state, count in self._database.rows(_COUNTS)}

    def oldest_waiting(self) -> float | None:
        """Seconds since the upload of the file that waits longest, by the machine's clock; None if none waits."""
        row = self._database.row(_OLDEST)
        if row is None or row[0] is None:
            return None
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(str(row[0]))).total_seconds())


_COUNTS = "SELECT state, count(*) FROM files GROUP BY state"
_OLDEST = "SELECT min(created) FROM analyses JOIN files ON files.analysis = analyses.id WHERE state = 'queued'"
