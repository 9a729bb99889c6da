"""Whose image it is, as its header states it: for the eyes of a reader, and for nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from mammoscope.text import printable

_LONGEST = 200  # of a value; a name of DICOM has 64 characters in each of three scripts


@dataclass(frozen=True, repr=False)
class Identity:
    """Patient and study. Each value is one printable line; empty: the file does not state it.

    Attributes
    ----------
    name
        As people write it: ``"Family, Given"``.
    patient_id, accession_number, description
        As in the file; the description is that of the study.
    birth_date, study_date
        ``"1939-11-13"``, or what else the file has.
    """

    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    study_date: str = ""
    accession_number: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) or len(value) > _LONGEST or value != printable(value):
                raise ValueError(f"{field.name} of an identity is no printable line of at most {_LONGEST} characters")

    def to_message(self) -> dict[str, str]:
        """For JSON and the pipe from a child process."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, str]) -> Identity:
        """What ``to_message`` made; ValueError or TypeError where it is something else."""
        return cls(**message)
