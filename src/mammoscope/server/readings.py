"""The readings of the exams that the server holds, each a file in its exam's folder."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from mammoscope.errors import MammoscopeError
from mammoscope.files import write_json
from mammoscope.server.record import ReadingDraft, StoredReading
from mammoscope.text import utc_stamp

_NONE = StoredReading(revision=0, saved=None, record=None)


class StaleReadingError(Exception):
    """Another reading was saved since the one that this was made from."""


class Readings:
    """Keeps readings; of two that were made from the same, the second is refused. Threads take turns."""

    def __init__(self) -> None:
        self._lock = Lock()

    def reading(self, exam: Path) -> StoredReading:
        """The reading of the exam of this folder; one without a record where none was saved.

        Raises
        ------
        MammoscopeError
            It is damaged; names the file.
        """
        path = _path(exam)
        try:
            return StoredReading.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return _NONE
        except (OSError, ValidationError):  # whose text would quote the reading
            raise MammoscopeError(f"{path}: is no reading that can be read") from None

    def save(self, exam: Path, draft: ReadingDraft) -> StoredReading:
        """Keep a reading in the place of the one that it was made from.

        Raises
        ------
        StaleReadingError
            That one is not the last any more.
        MammoscopeError
            It cannot be written, or the last is damaged.
        """
        with self._lock:
            last = self.reading(exam)
            if draft.revision != last.revision:
                raise StaleReadingError
            saved = utc_stamp()
            reading = StoredReading(revision=last.revision + 1, saved=saved, record=draft.record)
            write_json(_path(exam), reading.model_dump(mode="json"))
            return reading


def _path(exam: Path) -> Path:
    return exam / "reading.json"
