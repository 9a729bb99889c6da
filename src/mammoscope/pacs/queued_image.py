"""An image of the queue, and its state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mammoscope.pacs.image_place import key_of


class ImageState(StrEnum):
    """The state of an image."""

    FOUND = "found"  # another system has it
    RECEIVED = "received"  # on disk
    ANALYSED = "analysed"  # its results are on disk
    SENT = "sent"  # another system has its results
    SKIPPED = "skipped"  # needs no analysis
    DEAD = "dead"  # failed for good, until it is retried by hand


class Admission(StrEnum):
    """The outcome of receiving an image."""

    NEW = "new"
    KNOWN = "known"
    CHANGED = "changed"  # other content under its UID has arrived, and counts


@dataclass(frozen=True)
class Image:
    """One image of the queue.

    Attributes
    ----------
    sop_instance, sop_class, study, series
        UIDs; the last two are known if the image was found by a query.
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
