"""Facts stored beside the images of the queue, so that nothing is found, made or analysed twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mammoscope.pacs.queued_image import Image
from mammoscope.queue.database import Database


class Memory:
    """Remembers results and reports that were made, exposures For Presentation, studies that were seen, and notes.

    Parameters
    ----------
    database
        The queue's, which has the tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_result(self, sop_instance: str) -> bool:
        """Whether an object is one of the results that were made here."""
        return self._database.row("SELECT 1 FROM results WHERE sop_instance = ?", (sop_instance,)) is not None

    def add_reports(self, image: Image, reports: Iterable[Mapping[str, Any]]) -> None:
        """Remember structured reports that were made and are sent with the results of an image.

        Parameters
        ----------
        reports
            As ``EarlierReport.to_message`` gives them.
        """
        rows = [
            (about, report["reference"]["sop_instance"], image.sop_instance, image.digest, json.dumps(report))
            for report in reports
            for about in report["images"]
        ]
        with self._database.transaction() as database:
            database.executemany(
                "INSERT INTO reports (image, report, sent_with, digest, value) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET sent_with = excluded.sent_with, digest = excluded.digest",
                rows,
            )

    def reports_on(self, sop_instance: str) -> list[dict[str, Any]]:
        """Structured reports on an image that were sent or are about to be, as they were added."""
        query = (
            "SELECT value FROM reports WHERE image = ? AND (is_sent OR EXISTS (SELECT 1 FROM images WHERE "
            "sop_instance = reports.sent_with AND digest IS reports.digest AND state = 'analysed'))"
        )
        return [json.loads(row[0]) for row in self._database.rows(query, (sop_instance,))]

    def knows_report(self, report: str) -> bool:
        """Whether a structured report is remembered."""
        return self._database.row("SELECT 1 FROM reports WHERE report = ?", (report,)) is not None

    def add_presentations(self, marks: Iterable[str]) -> None:
        """Remember the marks that an image For Presentation shares with the same image For Processing."""
        with self._database.transaction() as database:
            database.executemany("INSERT OR IGNORE INTO presentations VALUES (?)", [(mark,) for mark in marks])

    def has_presentation(self, marks: Iterable[str]) -> bool:
        """Whether one of these marks was remembered."""
        query = "SELECT 1 FROM presentations WHERE mark = ?"
        return any(self._database.row(query, (mark,)) is not None for mark in marks)

    def is_to_fetch(self, study: str | None) -> bool:
        """Whether images of a study were found and not fetched, but for those whose fetch has failed."""
        query = "SELECT 1 FROM images WHERE state = 'found' AND study = ? AND failures = 0"
        return self._database.row(query, (study,)) is not None

    def instances_seen(self, study: str) -> int | None:
        """Number of instances of a study at the last query."""
        row = self._database.row("SELECT instances FROM studies WHERE study = ?", (study,))
        return None if row is None else int(row[0])

    def saw_study(self, study: str, instances: int) -> None:
        """Remember how many instances a study had."""
        with self._database.transaction() as database:
            database.execute("INSERT OR REPLACE INTO studies VALUES (?, ?)", (study, instances))

    def set_aside(self, study: str, *, is_set_aside: bool) -> None:
        """Remember that the server fails on a study, or that it does no longer."""
        change = (
            "INSERT OR IGNORE INTO set_aside VALUES (?)" if is_set_aside else "DELETE FROM set_aside WHERE study = ?"
        )
        with self._database.transaction() as database:
            database.execute(change, (study,))

    def take_up_set_aside(self) -> None:
        """Forget which studies were set aside: a new process asks for all of them."""
        with self._database.transaction() as database:
            database.execute("DELETE FROM set_aside")

    def studies_set_aside(self) -> int:
        """Number of studies on which the server fails."""
        return int(self._database.rows("SELECT count(*) FROM set_aside")[0][0])

    def note(self, name: str) -> str | None:
        """A remembered value."""
        row = self._database.row("SELECT value FROM notes WHERE name = ?", (name,))
        return None if row is None else str(row[0])

    def write_note(self, name: str, value: str) -> None:
        """Remember a value."""
        with self._database.transaction() as database:
            database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
