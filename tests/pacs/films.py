"""Small films: the phantom, reduced, under as many UIDs as a test needs."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from mammoscope.example.dicom_file import phantom_dicom
from mammoscope.example.phantom import make_exam

ROWS, COLUMNS = 416, 320
NAME, PATIENT_ID, BIRTH_DATE = "SECRETNAME^MARIA", "SECRETID4711", "19581224"


def film_uid(number: int) -> UID:
    return UID(f"2.25.4711{number:06d}")


@cache
def _phantom() -> bytes:
    view = next(view for view in make_exam(0, ROWS, COLUMNS) if view.masses)
    return phantom_dicom(view, 0, 1)


def film(number: int, **values: Any) -> Dataset:
    """The phantom of an invented patient under a UID of its own; one study for each number by default."""
    dataset = pydicom.dcmread(BytesIO(_phantom()))
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, PATIENT_ID, BIRTH_DATE
    dataset.SOPInstanceUID = film_uid(number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"2.25.4712{number:06d}", f"2.25.4713{number:06d}"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def encoded(dataset: Dataset) -> bytes:
    stream = BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
