"""UIDs, side and view of a DICOM image as its header states them."""

from __future__ import annotations

import warnings

from mammoscope.readers.dicom.header import Header
from mammoscope.readers.dicom.views import laterality_of, view_of
from mammoscope.readers.stated_image import StatedImage, code_string
from mammoscope.readers.uids import kept_uid


def stated_image_of(header: Header) -> StatedImage | None:
    """What the header states; None where results could not refer to the image."""
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be those of a patient.
        warnings.simplefilter("ignore")
        try:
            return StatedImage(
                sop_class=kept_uid(header.text("SOPClassUID")) or "",
                sop_instance=kept_uid(header.text("SOPInstanceUID")) or "",
                study=kept_uid(header.text("StudyInstanceUID")) or "",
                series=kept_uid(header.text("SeriesInstanceUID")),
                modality=code_string(header.code("Modality")),
                laterality=laterality_of(header),
                view=view_of(header),
            )
        except ValueError:
            return None
