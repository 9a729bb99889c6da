"""An image of the queue, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mammoscope.pacs.image_place import key_of


class ImageState(StrEnum):
    """How far an image has come."""

    FOUND = "found"  # another system has it
    RECEIVED = "received"  # on disk
    ANALYSED = "analysed"  # its results are on disk
    SENT = "sent"  # another system has its results
    SKIPPED = "skipped"  # needs no analysis
    DEAD = "dead"  # given up, until somebody has it tried again


class Admission(StrEnum):
    """What became of an image that was offered."""

    NEW = "new"
    KNOWN = "known"
    OTHER = "other"  # another image has come under its UID


@dataclass(frozen=True)
class Image:
    """One image of the queue.

    Attributes
    ----------
    sop_instance, sop_class, study, series
        UIDs; the last two are known where the image was found by a query.
    digest
        Of what was received; None before.
    failures
        Of the step that is due.
    problem
        What went wrong last, or why it was skipped.
    """

    position: int
    sop_instance: str
    sop_class: str
    study: str | None
    series: str | None
    digest: str | None
    state: ImageState
    failures: int
    problem: str | None

    @property
    def key(self) -> str:
        """Its name on disk and in logs."""
        return key_of(self.sop_instance)
