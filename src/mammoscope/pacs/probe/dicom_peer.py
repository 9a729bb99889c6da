"""A DICOM application as an end of the chain."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.dimse import Dimse, associated
from mammoscope.pacs.probe.line import line_problem
from mammoscope.pacs.probe.peer import Reports
from mammoscope.pacs.settings import Node
from mammoscope.peers.errors import UncertainError

_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")  # Study Root Query/Retrieve Information Model - FIND
_SUCCESS, _PENDING = 0x0000, frozenset({0xFF00, 0xFF01})


class DicomPeer:
    """As ``Peer``.

    Parameters
    ----------
    node, title, tls
        As ``Dimse`` takes them.
    """

    def __init__(self, node: Node, title: str, tls: ssl.SSLContext | None) -> None:
        self._node, self._title, self._tls = node, title, tls
        self._dimse = Dimse(node, title, tls)

    def __str__(self) -> str:
        return str(self._node)

    def reach(self) -> None:
        """As ``Peer``, by C-ECHO."""
        with self._explaining():
            self._dimse.check()

    def search(self, study: str) -> None:
        """As ``Peer``, by C-FIND."""
        with self._explaining():
            self._find("STUDY", StudyInstanceUID=study)

    def store(self, images: Sequence[Dataset]) -> None:
        """As ``Peer``, by C-STORE."""
        with self._explaining():
            self._dimse.store(images)

    def lists(self, study: str, images: Collection[str]) -> bool:
        """As ``Peer``, by C-FIND: each image of the exam is a series of its own."""
        return len(self._find("SERIES", StudyInstanceUID=study, Modality="MG", SeriesInstanceUID="")) >= len(images)

    def reports(self, study: str) -> Reports:
        """As ``Peer``, by C-FIND: each report is a series of its own."""
        return Reports(len(self._find("SERIES", StudyInstanceUID=study, Modality="SR", SeriesInstanceUID="")), None)

    def remove(self, study: str) -> str | None:
        """As ``Peer``; DICOM has no service for it."""
        try:
            is_there = bool(self._find("STUDY", StudyInstanceUID=study))
        except MammoscopeError:
            is_there = True  # nobody knows
        return "a DICOM application has no service to remove it" if is_there else None

    def _find(self, level: str, **keys: str) -> list[Dataset]:
        query = Dataset()
        query.QueryRetrieveLevel = level
        for name, value in keys.items():
            setattr(query, name, value)
        entity = AE(self._title)
        entity.add_requested_context(_FIND)
        found = []
        with associated(entity, self._node, self._tls) as association:
            for answer, item in association.send_c_find(query, _FIND):
                status = answer.get("Status")
                if status not in (_SUCCESS, *_PENDING):
                    said = "no answer" if status is None else f"status 0x{status:04X}"
                    raise UncertainError(f"{self._node} fails on C-FIND ({said})")
                # Not every archive filters by each key.
                if item is not None and item.get("Modality", keys.get("Modality")) == keys.get("Modality"):
                    found.append(item)
        return found

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Say of an error what is seen to be its reason."""
        try:
            yield
        except MammoscopeError as error:
            problem, hint = str(error), None
            if "status 0xA7" in problem:
                hint = "out of resources: its disk is full or fails"
            elif "C-FIND (no answer)" in problem:
                hint = f"does it know {self._title}, and let it search?"
            elif "cannot be reached" in problem or "ended the association" in problem:
                hint = line_problem(self._node.host, self._node.port, self._tls)
            raise MammoscopeError(f"{problem} ({hint})" if hint else problem) from None
