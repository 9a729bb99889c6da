"""The exam that is sent: the phantom, small, marked as synthetic wherever a viewer may look, with UIDs of its own."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import generate_uid

from mammoscope.example.dicom_file import phantom_dicom
from mammoscope.example.phantom import make_exam

PATIENT_ID, PATIENT_NAME = "SYNTHETIC-PROBE", "SYNTHETIC^PROBE"
_SEED, _ROWS, _COLUMNS = 0, 416, 320
_PARTS = ("Study", "Series", "Content", "Acquisition")


@cache
def _phantom() -> tuple[bytes, ...]:
    views = make_exam(_SEED, _ROWS, _COLUMNS)
    return tuple(phantom_dicom(view, _SEED, number) for number, view in enumerate(views, start=1))


def new_uid() -> str:
    """A UID that nothing else has (PS3.5 B.2)."""
    return str(generate_uid(prefix=None))


def probe_exam(study: str, now: datetime) -> list[Dataset]:
    """Four views of a study, dated now; the phantom's pixels, and UIDs that no other exam has."""
    images: list[Dataset] = []
    for content in _phantom():
        image = dcmread(BytesIO(content))
        image.PatientID, image.PatientName = PATIENT_ID, PATIENT_NAME
        image.PatientComments = "SYNTHETIC PROBE of a connection: no patient"
        image.StudyDescription = "SYNTHETIC PROBE, no patient"
        image.StudyInstanceUID = study
        image.SeriesInstanceUID, image.SOPInstanceUID = new_uid(), new_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        for part in _PARTS:
            setattr(image, f"{part}Date", f"{now:%Y%m%d}")
            setattr(image, f"{part}Time", f"{now:%H%M%S}")
        images.append(image)
    return images
