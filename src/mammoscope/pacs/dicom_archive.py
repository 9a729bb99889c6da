"""An archive without DICOMweb: searched by C-FIND, fetched from by C-GET or C-MOVE, stored in by C-STORE."""

from __future__ import annotations

import ssl
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

from pydicom.dataset import Dataset

from mammoscope.pacs.bounded_calls import BoundedCalls
from mammoscope.pacs.dimse import Dimse
from mammoscope.pacs.move_destination import MoveDestination
from mammoscope.pacs.query import Query
from mammoscope.pacs.retrieval import Retrieval
from mammoscope.pacs.settings import Node
from mammoscope.peers.found import Instance, Study
from mammoscope.peers.listing import Days


class DicomArchive:
    """As ``Source``.

    Parameters
    ----------
    node
        Where it is.
    title
        mammoscope's own AE title.
    tls
        None: unencrypted.
    destination
        Where it sends images by C-MOVE; None: they are fetched by C-GET.
    """

    def __init__(
        self, node: Node, title: str, tls: ssl.SSLContext | None, destination: MoveDestination | None = None
    ) -> None:
        self._node = node
        self._dimse, self._calls = Dimse(node, title, tls), BoundedCalls(node, title, tls)
        self._query, self._retrieval = Query(self._calls), Retrieval(self._calls, destination)

    def __str__(self) -> str:
        return str(self._node)

    def interrupt(self) -> None:
        """As ``Source``; no further search or fetch is allowed."""
        self._dimse.interrupt()
        self._calls.interrupt()

    def studies(self, days: Days, modality: str | None) -> Generator[Study, None, bool]:
        """As ``Source``."""
        return (yield from self._query.studies(days, modality))

    def instances(self, study: str, modality: str) -> tuple[list[Instance], bool]:
        """As ``Source``."""
        return self._query.instances(study, modality)

    @contextmanager
    def fetch(self, study: str, series: str, sop_instance: str) -> Iterator[Iterator[bytes]]:
        """As ``Source``; what arrives is compared with the UID that was asked for."""
        yield self._retrieval.fetched(study, series, sop_instance).blocks()

    def check(self) -> None:
        """As ``Source``, by C-ECHO."""
        self._dimse.check()

    def store(self, datasets: Sequence[Dataset]) -> None:
        """As ``Source``, by C-STORE."""
        self._dimse.store(datasets)
