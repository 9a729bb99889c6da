"""Whose exams the server holds: read from its folder once, then from memory, for a page asks several times a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mammoscope.readers.identity import Identity
from mammoscope.server.file_place import FilePlace
from mammoscope.server.mammogram_files import stored_identity
from mammoscope.server.models import Patient


class Patients:
    """Patients of analyses. Several threads may use it."""

    def __init__(self) -> None:
        self._known: dict[Path, Identity | None] = {}

    def of(self, places: Sequence[FilePlace]) -> Patient | None:
        """Whom the files of an exam state; None where they state nobody, or not all who state somebody state the same.

        Parameters
        ----------
        places
            Of those that were read.
        """
        stated = [one for place in places if (one := self._identity(place)) is not None]
        people = {(one.name.casefold(), one.patient_id, one.birth_date) for one in stated}
        return Patient(**stated[0].to_message()) if len(people) == 1 else None

    def forget(self, analysis: Path) -> None:
        """Forget the files below the folder of an analysis."""
        for folder in [folder for folder in list(self._known) if folder.parent == analysis]:
            self._known.pop(folder, None)

    def _identity(self, place: FilePlace) -> Identity | None:
        if place.folder not in self._known:
            self._known[place.folder] = stored_identity(place)
        return self._known[place.folder]
