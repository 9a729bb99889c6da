"""The kinds of DICOM object that an analysis can be written as."""

from __future__ import annotations

from enum import StrEnum


class ResultKind(StrEnum):
    """The kinds of DICOM object that an analysis can be written as."""

    SR = "sr"
    SEG = "seg"
    SC = "sc"
    GSPS = "gsps"
    CAD = "cad"


# Of our structured reports, old and new: Comprehensive SR, Comprehensive 3D SR.
REPORT_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34"})
