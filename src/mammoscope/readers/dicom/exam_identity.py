"""Study and patient of a DICOM image, as its header states them; they leave this module only as a keyed hash."""

from __future__ import annotations

import unicodedata
import warnings

from mammoscope.readers.dicom.header import Header
from mammoscope.readers.exam_key import ExamSecret

_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
# What a study has once. Where no patient is stated it must agree too: files from which patients were removed may all
# have been given one study.
_STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "PatientAge", "PatientSize", "PatientWeight")


def exam_key_of(header: Header, secret: ExamSecret) -> str | None:
    """The key that images of one study of one patient share; None if the header states no study.

    Two images share it only if the Study Instance UID *and* the patient's ID, its issuer, the name and the date of
    birth agree, all four: a study that two patients state is two exams, and an image that lacks one of the four is in
    no exam with those that have it. One exam too many is better than two women in one.
    """
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be those of a patient.
        warnings.simplefilter("ignore")
        study = (header.text("StudyInstanceUID") or "").strip()
        if not study:
            return None
        patient = [_plain(header, keyword) for keyword in _PATIENT]
        if not any(patient):
            patient += [_plain(header, keyword) for keyword in _STUDY]
        return secret.key_of(study, patient)


def _plain(header: Header, keyword: str) -> str:
    """A value without what only its writing differs in: padding, and in names and dates capitals and punctuation."""
    text = unicodedata.normalize("NFKC", header.text(keyword) or "").strip(" \0")
    if keyword == "PatientName":
        groups = ["^".join(" ".join(part.split()) for part in group.split("^")) for group in text.split("=")]
        return "=".join(group.rstrip("^") for group in groups).rstrip("=").casefold()
    if keyword == "PatientBirthDate":
        return text.replace(".", "").replace("-", "")  # ACR-NEMA wrote 1939.11.13
    return text
