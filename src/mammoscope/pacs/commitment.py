"""Storage commitment (PS3.4 J): answer whether images are kept here."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from threading import Lock, Thread

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.dimse import associated
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.settings import Node
from mammoscope.readers.uids import kept_uid

logger = logging.getLogger(__name__)

STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")  # the well-known one
COMMITMENT_REQUEST, _ALL_KEPT, _SOME_NOT = 1, 1, 2
_NO_SUCH_INSTANCE, _CLASS_CONFLICT = 0x0112, 0x0119
_SUCCESS, _INVALID_ARGUMENT, _NO_SUCH_ACTION = 0x0000, 0x0115, 0x0123


class Commitments:
    """Answers requests for storage commitment.

    The report is sent on a separate association to callers whose address is known, to others on the association of the
    request, as long as it is open.

    Parameters
    ----------
    queue
        Where images are kept.
    title
        mammoscope's own AE title.
    nodes
        Applications that get reports on a separate association.
    tls
        For those associations; None: unencrypted.
    """

    def __init__(self, queue: ImageQueue, title: str, nodes: Sequence[Node], tls: ssl.SSLContext | None) -> None:
        self._queue, self._title, self._tls = queue, title, tls
        self._nodes = {node.title: node for node in nodes}
        self._reports: dict[Association, list[Dataset]] = {}
        self._lock = Lock()

    def requested(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Take a request (N-ACTION); the report follows when it is answered."""
        if event.action_type != COMMITMENT_REQUEST:
            return _NO_SUCH_ACTION, None
        request = event.action_information
        if kept_uid(request.get("TransactionUID")) is None or not request.get("ReferencedSOPSequence"):
            return _INVALID_ARGUMENT, None
        with self._lock:
            self._reports.setdefault(event.assoc, []).append(self._report(request))
        return _SUCCESS, None

    def answered(self, event: evt.Event) -> None:
        """Send what is to be reported, once the request's answer is on its way."""
        if not isinstance(event.message, N_ACTION_RSP):
            return
        with self._lock:
            reports = self._reports.pop(event.assoc, [])
        if reports:
            Thread(target=self._send, args=(event.assoc, reports), name="commitment", daemon=True).start()

    def _report(self, request: Dataset) -> Dataset:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        kept, failed = [], []
        for asked in request.ReferencedSOPSequence:
            item = Dataset()
            item.ReferencedSOPClassUID = asked.ReferencedSOPClassUID
            item.ReferencedSOPInstanceUID = asked.ReferencedSOPInstanceUID
            reason = self._why_not(kept_uid(asked.ReferencedSOPInstanceUID) or "", str(asked.ReferencedSOPClassUID))
            if reason is None:
                kept.append(item)
            else:
                item.FailureReason = reason
                failed.append(item)
        if kept:
            report.ReferencedSOPSequence = kept
        if failed:
            report.FailedSOPSequence = failed
        return report

    def _why_not(self, sop_instance: str, sop_class: str) -> int | None:
        """Why an image is not kept; None if its file is on disk, byte for byte as received."""
        image = self._queue.image(sop_instance)
        if image is None or not self._queue.is_whole(image):
            return _NO_SUCH_INSTANCE
        return None if image.sop_class == sop_class else _CLASS_CONFLICT

    def _send(self, association: Association, reports: Sequence[Dataset]) -> None:
        node = self._nodes.get(association.requestor.ae_title.strip())
        try:
            if node is None:
                for report in reports:
                    _event_report(association, report)
                return
            entity = AE(self._title)
            entity.add_requested_context(STORAGE_COMMITMENT)
            roles = [build_role(STORAGE_COMMITMENT, scp_role=True)]
            with associated(entity, node, self._tls, roles) as own:
                for report in reports:
                    _event_report(own, report)
        except MammoscopeError as error:
            logger.warning("a storage commitment could not be reported: %s", error)
        except Exception as error:
            logger.warning("a storage commitment could not be reported (%s)", place_of(error))


def _event_report(association: Association, report: Dataset) -> None:
    kind = _SOME_NOT if "FailedSOPSequence" in report else _ALL_KEPT
    answer, _ = association.send_n_event_report(report, kind, STORAGE_COMMITMENT, COMMITMENT_INSTANCE)
    if answer.get("Status") != _SUCCESS:
        logger.warning("a report of storage commitment was not accepted")
