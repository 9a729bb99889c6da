"""Patient and study of a DICOM image as a reader is shown them."""

from __future__ import annotations

import re
import warnings

from mammoscope.readers.dicom.header import Header
from mammoscope.readers.identity import Identity
from mammoscope.text import printable

_DATE = re.compile(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})")  # ACR-NEMA wrote 1939.11.13
_LONGEST = 160


def identity_of(header: Header) -> Identity | None:
    """What the header states; None where it states nothing of patient or study."""
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be those of a patient.
        warnings.simplefilter("ignore")
        identity = Identity(
            name=_name(_line(header, "PatientName")),
            patient_id=_line(header, "PatientID"),
            birth_date=_date(_line(header, "PatientBirthDate")),
            study_date=_date(_line(header, "StudyDate")),
            accession_number=_line(header, "AccessionNumber"),
            description=_line(header, "StudyDescription"),
        )
    return identity if any(identity.to_message().values()) else None


def _line(header: Header, keyword: str) -> str:
    return printable(header.text(keyword) or "").strip()[:_LONGEST]


def _name(text: str) -> str:
    """``Family^Given^Middle=ideographic=phonetic`` as people write it: the first script that there is."""
    group = next((group for group in text.split("=") if group.strip("^ ")), "")
    family, *given = (part.strip() for part in group.split("^"))
    return ", ".join(part for part in (family, " ".join(filter(None, given))) if part)


def _date(text: str) -> str:
    found = _DATE.fullmatch(text)
    return "-".join(found.groups()) if found else text
