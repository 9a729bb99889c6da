"""Studies, series and instances that a search finds, and the protocol of what is searched."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from pydicom.dataset import Dataset

from mammoscope.peers.json_answers import Item
from mammoscope.peers.listing import Days


@dataclass(frozen=True)
class Study:
    """A study that a server has.

    Attributes
    ----------
    instances
        How many it has; None if the server does not state it.
    modalities
        Which it has; empty if the server does not state it.
    day
        Its date; None if it has none that the calendar has.
    """

    uid: str
    instances: int | None
    modalities: frozenset[str] = frozenset()
    day: date | None = None


@dataclass(frozen=True)
class Instance:
    """An instance that a server has, by its UIDs."""

    study: str
    series: str
    sop_instance: str
    sop_class: str

    @property
    def uid(self) -> str:
        """That of the instance."""
        return self.sop_instance


@dataclass(frozen=True)
class Series:
    """A series that a server has."""

    uid: str


class Source(Protocol):
    """Another system that has images: it is searched, images are fetched from it, and results are stored there.

    All calls raise ``UnavailableError`` if it cannot be reached or refuses access, ``FailedError`` if it refuses this
    one request, and ``UncertainError`` if it is not known which of them. Threads need one of these each.
    """

    def studies(self, days: Days, modality: str | None) -> Generator[Study, None, bool]:
        """Studies of a range of days, with images of a modality or of any; returns whether that is certainly all."""

    def instances(self, study: str, modality: str) -> tuple[list[Instance], bool]:
        """Instances of a modality in a study, and whether that is certainly all; others may be among them."""

    def fetch(self, study: str, series: str, sop_instance: str) -> AbstractContextManager[Iterator[bytes]]:
        """The DICOM file of an instance, in pieces to be read in the block."""

    def check(self) -> None:
        """See whether it answers at all."""

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Store all instances or fail; one that exists already counts as stored."""

    def interrupt(self) -> None:
        """End the call under way, from another thread."""


def study_in(item: Item) -> Study | None:
    """The study that an answer describes; None if it gives no UID."""
    if (uid := item.uid("0020000D")) is None:
        return None
    return Study(uid, item.count("00201208"), item.texts("00080061"), item.day("00080020"))


def series_in(item: Item) -> Series | None:
    """The series that an answer describes; None if it gives no UID."""
    uid = item.uid("0020000E")
    return None if uid is None else Series(uid)


def instance_in(study: str, item: Item) -> Instance | None:
    """The instance of a study that an answer describes; None if it does not give the UIDs."""
    series, sop_instance, sop_class = (item.uid(tag) for tag in ("0020000E", "00080018", "00080016"))
    return Instance(study, series, sop_instance, sop_class) if series and sop_instance and sop_class else None
