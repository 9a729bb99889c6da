"""A system at an end of the chain: where the exam is stored, or where its results are looked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Reports:
    """The structured reports of a study, as a system has them now.

    Attributes
    ----------
    number
        How many there are.
    images
        UIDs of the images that they state as their evidence; None where that cannot be seen.
    """

    number: int
    images: frozenset[str] | None


class Peer(Protocol):
    """What the probe asks of such a system; everything but ``remove`` raises ``MammoscopeError`` if it fails."""

    def reach(self) -> None:
        """See whether it can be talked to."""

    def search(self, study: str) -> None:
        """See whether it answers a search; it does not have the study yet."""

    def store(self, images: Sequence[Dataset]) -> None:
        """Store the exam."""

    def lists(self, study: str, images: Collection[str]) -> bool:
        """Whether a search finds these images of a study."""

    def reports(self, study: str) -> Reports:
        """The structured reports of a study."""

    def remove(self, study: str) -> str | None:
        """Remove what it has of a study; why that stays, None if nothing does."""
