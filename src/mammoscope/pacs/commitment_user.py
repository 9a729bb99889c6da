"""Storage commitment (PS3.4 J) of our results: an archive is asked whether it keeps them, and reports."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Event, Lock

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt

from mammoscope.errors import place_of
from mammoscope.pacs.bounded_calls import BoundedCalls, status_of
from mammoscope.pacs.commitment import COMMITMENT_INSTANCE, COMMITMENT_REQUEST, STORAGE_COMMITMENT
from mammoscope.pacs.settings import Node
from mammoscope.peers.bounds import Bounds
from mammoscope.readers.uids import kept_uid

logger = logging.getLogger(__name__)

_SUCCESS, _CANNOT_PROCESS = 0x0000, 0x0110
_BOUNDS = Bounds(1 << 20, 60.0)
_HERE_SECONDS = 2.0  # for the report, on the association of the request
_SETTLE_SECONDS = 0.2  # until the answer to a report has left


@dataclass(frozen=True)
class CommitmentReport:
    """What an archive says of the objects that it was asked for.

    Attributes
    ----------
    kept
        UIDs of those that it has taken responsibility for.
    reasons
        Why not for others.
    """

    kept: frozenset[str]
    reasons: frozenset[str]


class CommitmentUser:
    """Asks one archive; reports may come on any association, in any thread.

    Parameters
    ----------
    node, title, tls
        As ``BoundedCalls`` takes them.
    """

    def __init__(self, node: Node, title: str, tls: ssl.SSLContext | None) -> None:
        self.node = node
        self._calls = BoundedCalls(node, title, tls)
        self._reports: dict[str, CommitmentReport | None] = {}
        self._lock, self._has_come = Lock(), Event()

    def interrupt(self) -> None:
        """End the request under way, from another thread, and allow no further one."""
        self._calls.interrupt()
        self._has_come.set()

    def ask(self, objects: Iterable[Dataset]) -> str:
        """Ask whether these are kept; returns the UID by which the report is known.

        Raises
        ------
        NotOfferedError
            The archive offers no storage commitment.
        UnavailableError, UncertainError, FailedError
            As ``BoundedCalls`` raises them.
        """
        transaction = str(generate_uid(prefix=None))
        request = Dataset()
        request.TransactionUID = transaction
        request.ReferencedSOPSequence = [_reference(one) for one in objects]
        with self._lock:
            self._reports[transaction] = None
            self._has_come.clear()
        try:
            with self._calls.associated(
                "storage commitment",
                [(STORAGE_COMMITMENT, ())],
                _BOUNDS,
                handlers=[(evt.EVT_N_EVENT_REPORT, self.take)],
            ) as association:
                answer, _ = association.send_n_action(
                    request, COMMITMENT_REQUEST, STORAGE_COMMITMENT, COMMITMENT_INSTANCE
                )
                if (status := status_of(answer)) != _SUCCESS:
                    raise self._calls.refusal("storage commitment", status)
                if self._has_come.wait(_HERE_SECONDS):
                    time.sleep(_SETTLE_SECONDS)
        except BaseException:
            self.forget(transaction)
            raise
        return transaction

    def report(self, transaction: str) -> CommitmentReport | None:
        """The report on a request; None: there is none yet."""
        with self._lock:
            return self._reports.get(transaction)

    def forget(self, transaction: str) -> None:
        """Expect no report on a request any longer."""
        with self._lock:
            self._reports.pop(transaction, None)

    def take(self, event: evt.Event) -> tuple[int, None]:
        """Take a report: for ``EVT_N_EVENT_REPORT``. One that nobody waits for is accepted, and means nothing."""
        try:
            information = event.event_information
            transaction = str(information.get("TransactionUID", ""))
            found = CommitmentReport(
                frozenset(uid for item in information.get("ReferencedSOPSequence", ()) if (uid := _uid_in(item))),
                frozenset(_reason_in(item) for item in information.get("FailedSOPSequence", ())),
            )
        except Exception as error:  # what a damaged data set makes pydicom raise is not bounded
            logger.warning("a report of storage commitment cannot be read (%s)", place_of(error))
            return _CANNOT_PROCESS, None
        with self._lock:
            if transaction in self._reports:
                self._reports[transaction] = found
                self._has_come.set()
        return _SUCCESS, None


def _reference(one: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    return item


def _uid_in(item: Dataset) -> str | None:
    return kept_uid(item.get("ReferencedSOPInstanceUID"))


def _reason_in(item: Dataset) -> str:
    reason = item.get("FailureReason")
    return f"0x{reason:04X}" if isinstance(reason, int) else "not given"
