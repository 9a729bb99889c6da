"""Where an archive sends what C-MOVE asks it for, and its reports: a listener of our own that takes nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import DEFAULT_TRANSFER_SYNTAXES, evt

from mammoscope.pacs.arrival import NOT_ASKED_FOR, Arrival
from mammoscope.pacs.commitment import STORAGE_COMMITMENT
from mammoscope.pacs.commitment_user import CommitmentUser
from mammoscope.pacs.dimse import VERIFICATION
from mammoscope.pacs.listener import Listener
from mammoscope.pacs.settings import Listening
from mammoscope.readers.dicom.admission import IMAGE_CLASSES
from mammoscope.readers.dicom.compressed import NATIVE_SYNTAXES, READABLE_SYNTAXES
from mammoscope.readers.uids import kept_uid
from mammoscope.writers.dicom.result_kind import REPORT_CLASSES

logger = logging.getLogger(__name__)


class MoveDestination:
    """Listens from ``start`` to ``stop``; several threads may expect images.

    Parameters
    ----------
    listening
        Where to listen, under which title, and who may call.
    reports
        Takes the archive's reports of storage commitment; None: none was asked for.

    Raises
    ------
    MammoscopeError
        The address cannot be listened on, or a TLS file cannot be used.
    """

    def __init__(self, listening: Listening, reports: CommitmentUser | None = None) -> None:
        self.title = listening.title
        self._expected: dict[str, Arrival] = {}
        self._lock = Lock()
        contexts: list[tuple[str, Sequence[str]]] = [(VERIFICATION, DEFAULT_TRANSFER_SYNTAXES)]
        contexts += [(sop_class, READABLE_SYNTAXES) for sop_class in IMAGE_CLASSES]
        contexts += [(sop_class, NATIVE_SYNTAXES) for sop_class in REPORT_CLASSES]
        handlers: list[tuple[Any, ...]] = [(evt.EVT_C_STORE, self._take)]
        if reports is not None:
            contexts.append((STORAGE_COMMITMENT, DEFAULT_TRANSFER_SYNTAXES))
            handlers.append((evt.EVT_N_EVENT_REPORT, reports.take))
        self._listener = Listener(listening, contexts, handlers, self._is_expected, either_role=(STORAGE_COMMITMENT,))
        self.port = self._listener.port

    def start(self) -> None:
        """Listen, in a thread."""
        Thread(target=self._listener.serve, name="C-MOVE destination", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._listener.stop()

    @contextmanager
    def expecting(self, sop_instance: str) -> Iterator[Arrival]:
        """Take this image while the block runs."""
        arrival = Arrival(sop_instance)
        with self._lock:
            self._expected[sop_instance] = arrival
        try:
            yield arrival
        finally:
            with self._lock:
                del self._expected[sop_instance]

    def _arrival(self, sop_instance: object) -> Arrival | None:
        with self._lock:
            return self._expected.get(kept_uid(sop_instance) or "")

    def _is_expected(self, command: Dataset) -> bool:
        return self._arrival(command.get("AffectedSOPInstanceUID")) is not None

    def _take(self, event: evt.Event) -> int:
        self._listener.handled(event)
        arrival = self._arrival(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        if arrival is None:
            logger.warning("%s sent an object that was not asked for; it was refused", event.assoc.requestor.address)
            return NOT_ASKED_FOR
        return arrival.take(event)
