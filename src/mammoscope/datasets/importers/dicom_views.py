"""What the headers of a collection's DICOM files say of the view; no pixel is read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from mammoscope.datasets.importers.importer import UnusableError
from mammoscope.readers.dicom.header import Header
from mammoscope.readers.dicom.magnification import magnification_of
from mammoscope.readers.dicom.spacing import spacing_of
from mammoscope.readers.dicom.views import laterality_of, view_of
from mammoscope.readers.source import Source


@dataclass(frozen=True)
class DicomView:
    """What a header says: ``patient_id``, side and view are empty, and the spacing is None, where it does not."""

    patient_id: str
    breast_side: str
    view: str
    pixel_spacing_mm: tuple[float, float] | None


def dicom_view(path: Path) -> DicomView:
    """Read a header.

    Raises
    ------
    UnusableError
        It is not that of a DICOM file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            header = Header(Source(path, b"", ""), dcmread(path, stop_before_pixels=True))
        except Exception as error:  # pydicom raises whatever a damaged file leads it to
            raise UnusableError(f"its header cannot be read ({type(error).__name__})") from None
        side, spacing = laterality_of(header), spacing_of(header, magnification_of(header))
        return DicomView(
            patient_id=header.text("PatientID") or "",
            breast_side=side.value if side else "",
            view=view_of(header) or "",
            pixel_spacing_mm=None if spacing is None else (spacing.row_mm, spacing.column_mm),
        )
