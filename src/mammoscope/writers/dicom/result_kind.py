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
