"""Study and patient of a DICOM image, as its header states them; they leave this module only as a keyed hash."""

from __future__ import annotations

import unicodedata
import warnings

from mammoscope.readers.dicom.header import Header
from mammoscope.readers.exam_key import ExamSecret

_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
# What a study has once. It must agree too: files from which patients were removed may all have been given one study,
# and one patient, such as ANONYMOUS.
_STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber")
# Compared where no date of birth is stated. Elsewhere they tell no woman apart, and some images of her study lack them.
_BODY = ("PatientAge", "PatientSize", "PatientWeight")


def exam_key_of(header: Header, secret: ExamSecret) -> str | None:
    """The key that images of one study of one patient share.

    Two images share it only if the Study Instance UID *and* the patient's ID, its issuer, the name and the date of
    birth agree, all four, and the study's date, time, ID and accession number too: a study that two patients state is
    two exams, and an image that lacks one of these is in no exam with those that have it. One exam too many is better
    than two women in one.

    Returns
    -------
    str or None
        None if the header states no study, or nothing of the patient and the study beside its UID.
    """
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be those of a patient.
        warnings.simplefilter("ignore")
        study = (header.text("StudyInstanceUID") or "").strip()
        if not study:
            return None
        identity = [_plain(header, keyword) for keyword in (*_PATIENT, *_STUDY)]
        if not any(identity):
            return None
        if not _plain(header, "PatientBirthDate"):
            identity += [_plain(header, keyword) for keyword in _BODY]
        return secret.key_of(study, identity)


def _plain(header: Header, keyword: str) -> str:
    """A value without what only its writing differs in: padding, capitals of names, punctuation of dates and times."""
    text = unicodedata.normalize("NFKC", header.text(keyword) or "").strip(" \0")
    if keyword == "PatientName":
        groups = ["^".join(" ".join(part.split()) for part in group.split("^")) for group in text.split("=")]
        return "=".join(group.rstrip("^") for group in groups).rstrip("=").casefold()
    if keyword in ("PatientBirthDate", "StudyDate"):
        return text.replace(".", "").replace("-", "")  # ACR-NEMA wrote 1939.11.13
    if keyword == "StudyTime":
        return text.partition(".")[0].replace(":", "")  # to the second: not every series writes the fraction
    return text
