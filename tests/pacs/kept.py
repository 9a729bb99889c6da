"""What a peer of the tests keeps."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Kept:
    """An instance that the peer has."""

    study: str
    series: str
    sop_instance: str
    sop_class: str
    modality: str
    day: str
    content: bytes

    @classmethod
    def of(cls, content: bytes, **changed: str) -> Kept:
        """A DICOM file; ``changed`` is what the peer says of it instead of what it holds."""
        head = pydicom.dcmread(BytesIO(content), stop_before_pixels=True)
        facts = {
            "study": str(head.StudyInstanceUID),
            "series": str(head.SeriesInstanceUID),
            "sop_instance": str(head.SOPInstanceUID),
            "sop_class": str(head.SOPClassUID),
            "modality": str(head.Modality),
            "day": str(head.get("StudyDate", "")),
            **changed,
        }
        return cls(**facts, content=content)

    @property
    def dataset(self) -> Dataset:
        return pydicom.dcmread(BytesIO(self.content))
