"""What an analysis can be written as in DICOM."""

from __future__ import annotations

from enum import StrEnum


class ResultKind(StrEnum):
    """What an analysis can be written as in DICOM."""

    SR = "sr"
    SEG = "seg"
    SC = "sc"
