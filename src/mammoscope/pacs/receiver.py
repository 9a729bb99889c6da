"""Receive images by C-STORE (PS3.4 B), as the called side: on disk and in the queue before the answer is success."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, DEFAULT_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.commitment import STORAGE_COMMITMENT, Commitments
from mammoscope.pacs.commitment_user import CommitmentUser
from mammoscope.pacs.dimse import VERIFICATION
from mammoscope.pacs.image_place import key_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.listener import Listener
from mammoscope.pacs.queued_image import Admission
from mammoscope.pacs.settings import Listening
from mammoscope.readers.dicom.admission import FOR_PROCESSING, IMAGE_CLASSES
from mammoscope.readers.dicom.compressed import READABLE_SYNTAXES
from mammoscope.readers.uids import is_standard_uid, kept_uid

logger = logging.getLogger(__name__)

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
_HIGH = 0x0001  # of the priorities of C-STORE (PS3.7 9.3.1.1)


class Receiver(Listener):
    """Listens from ``serve`` to ``stop``, and queues images.

    Parameters
    ----------
    listening
        Where to listen, and who may call.
    queue
        The queue.
    hold
        Seconds that an image For Processing waits for the same exposure For Presentation.
    commitments
        Answers requests for storage commitment; None: they are not offered.
    reports
        Takes an archive's reports of storage commitment; None: none was asked for.

    Raises
    ------
    MammoscopeError
        The address cannot be listened on, or a TLS file cannot be used.
    """

    def __init__(
        self,
        listening: Listening,
        queue: ImageQueue,
        hold: float,
        commitments: Commitments | None,
        reports: CommitmentUser | None = None,
    ) -> None:
        self._queue, self._hold = queue, hold
        contexts: list[tuple[str, Sequence[str]]] = [(VERIFICATION, DEFAULT_TRANSFER_SYNTAXES)]
        for context in AllStoragePresentationContexts:  # whole studies are sent, and one refused would stop them
            is_image = context.abstract_syntax in IMAGE_CLASSES
            contexts.append((str(context.abstract_syntax), READABLE_SYNTAXES if is_image else ALL_TRANSFER_SYNTAXES))
        handlers: list[tuple[Any, ...]] = [(evt.EVT_C_STORE, self._store_image)]
        if commitments is not None or reports is not None:
            contexts.append((STORAGE_COMMITMENT, DEFAULT_TRANSFER_SYNTAXES))
        if reports is not None:
            handlers.append((evt.EVT_N_EVENT_REPORT, reports.take))
        if commitments is not None:
            handlers += [(evt.EVT_N_ACTION, commitments.requested), (evt.EVT_DIMSE_SENT, commitments.answered)]
        super().__init__(
            listening, contexts, handlers, _is_image, either_role=() if reports is None else (STORAGE_COMMITMENT,)
        )

    def _store_image(self, event: evt.Event) -> int:
        self.handled(event)
        request = cast(C_STORE, event.request)
        sop_instance, sop_class = kept_uid(request.AffectedSOPInstanceUID), request.AffectedSOPClassUID
        if sop_instance is None or sop_class is None:
            logger.warning("an object was refused: its SOP Instance UID is none, or its SOP class is missing")
            return CANNOT_UNDERSTAND
        if not is_standard_uid(sop_instance):
            logger.warning(
                "%s: its UID is not written as a UID should be; it is kept as it stands", key_of(sop_instance)
            )
        try:
            if sop_class not in IMAGE_CLASSES:
                is_ours = self._queue.memory.is_result(sop_instance)
                what = "a result of mammoscope" if is_ours else f"no mammogram ({UID(sop_class).name})"
                logger.info("%s: set aside, it is %s", key_of(sop_instance), what)
                return SUCCESS
            wait = self._hold if sop_class in FOR_PROCESSING else 0.0
            is_urgent = request.Priority == _HIGH
            content = event.encoded_dataset()
            admission = self._queue.admit(sop_instance, sop_class, content, wait, is_urgent=is_urgent)
        except (OSError, MammoscopeError, MemoryError) as error:
            reason = error if isinstance(error, MammoscopeError) else place_of(error)
            logger.error("%s: refused, it cannot be kept (%s)", key_of(sop_instance), reason)
            return OUT_OF_RESOURCES
        logger.info("%s: %s", key_of(sop_instance), _SAID[admission])
        return SUCCESS


_SAID = {
    Admission.NEW: "received",
    Admission.KNOWN: "received again",
    Admission.CHANGED: "received in another version, which takes the place of the earlier one",
}


def _is_image(command: Dataset) -> bool:
    """Of objects that are set aside nothing is held, however large they are."""
    return command.get("AffectedSOPClassUID") in IMAGE_CLASSES
