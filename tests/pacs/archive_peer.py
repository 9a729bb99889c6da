"""A DICOM application of the tests' own that takes results, or refuses them, as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from types import TracebackType
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    SegmentationStorage,
)
from pynetdicom import AE, build_role, evt

from mammoscope.pacs.commitment import STORAGE_COMMITMENT

RESULTS = (ComprehensiveSRStorage, Comprehensive3DSRStorage, SegmentationStorage, KeyObjectSelectionDocumentStorage)


class ArchivePeer:
    """Listens as ``PEER``; a context manager.

    ``status`` is what it answers to C-STORE, or ``"abort"``, ``stored`` the UIDs of what it took, ``reports`` what
    storage commitments were reported to it, each as the event and its data set.
    """

    def __init__(self, sop_classes: Sequence[str] = RESULTS) -> None:
        self.status: int | str = 0x0000
        self.stored: list[UID] = []
        self.asked = 0
        self.reports: list[tuple[int, Dataset]] = []
        self.reported = Event()
        entity = AE("PEER")
        for sop_class in sop_classes:
            entity.add_supported_context(sop_class)
        entity.add_supported_context(STORAGE_COMMITMENT, scu_role=True, scp_role=True)
        self._server: Any = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_N_EVENT_REPORT, self.note_report)],
        )

    def __enter__(self) -> ArchivePeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()

    @property
    def node(self) -> str:
        return f"PEER@127.0.0.1:{self._server.server_address[1]}"

    def note_report(self, event: evt.Event) -> tuple[int, None]:
        """Take a report, on whatever association it comes."""
        self.reports.append((event.event_type, event.event_information))
        self.reported.set()
        return 0x0000, None

    def _store(self, event: evt.Event) -> int:
        self.asked += 1
        if self.status == "abort":
            event.assoc.abort()
            return 0x0110
        if self.status == 0x0000:
            self.stored.append(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        return int(self.status)


def ask_for_commitment(peer: ArchivePeer, port: int, instances: Sequence[tuple[str, str]]) -> int:
    """Ask whether these (SOP class, SOP instance) are kept, and wait for the report. -1: nobody takes the question."""
    request = Dataset()
    request.TransactionUID = "2.25.815"
    request.ReferencedSOPSequence = []
    for sop_class, sop_instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        request.ReferencedSOPSequence.append(item)
    entity = AE("PEER")
    entity.add_requested_context(STORAGE_COMMITMENT)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, peer.note_report)]
    roles = [build_role(STORAGE_COMMITMENT, scu_role=True)]
    association = entity.associate("127.0.0.1", port, ae_title="MAMMOSCOPE", ext_neg=list(roles), evt_handlers=handlers)
    if not association.is_established:
        return -1
    status, _ = association.send_n_action(request, 1, STORAGE_COMMITMENT, "1.2.840.10008.1.20.1.1")
    if status.Status == 0x0000:
        peer.reported.wait(20)
    association.release()
    return int(status.Status)
