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


def identity_lines(patient: Patient | None) -> tuple[str, ...]:
    """Patient and study in words; what is not stated is said too, for a report may be taken for another's."""
    if patient is None:
        return ("Patient: not stated by the images",)
    said = [("Patient", patient.name), ("ID", patient.patient_id), ("born", patient.birth_date)]
    study = [("Study", patient.study_date), ("accession", patient.accession_number), ("", patient.description)]
    return tuple(
        "   ".join(f"{word}: {text or 'not stated'}" if word else text for word, text in line if word or text)
        for line in (said, study)
    )
