"""Receive images by C-STORE (PS3.4 B), as the called side: on disk and in the queue before the answer is success."""

from __future__ import annotations

import logging
import socket
import sqlite3
from socketserver import BaseServer
from threading import Lock, Thread
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from mammoscope.errors import MammoscopeError, place_of
from mammoscope.pacs.commitment import STORAGE_COMMITMENT, Commitments
from mammoscope.pacs.image_place import key_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Admission
from mammoscope.pacs.settings import Listening
from mammoscope.readers.dicom.admission import FOR_PROCESSING, IMAGE_CLASSES
from mammoscope.readers.dicom.compressed import READABLE_SYNTAXES
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.readers.uids import is_standard_uid, kept_uid

logger = logging.getLogger(__name__)

_VERIFICATION = UID("1.2.840.10008.1.1")
SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
_REJECTED_FOR_GOOD, _BY_US, _CALLER_UNKNOWN = 0x01, 0x01, 0x03
_MOST_ASSOCIATIONS = 50
_IDLE_SECONDS, _HANDSHAKE_SECONDS = 60, 30


class Receiver:
    """Listens from ``start`` to ``stop``.

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

    Raises
    ------
    MammoscopeError
        The address cannot be listened on, or a TLS file cannot be used.
    """

    def __init__(self, listening: Listening, queue: ImageQueue, hold: float, commitments: Commitments | None) -> None:
        self._listening, self._queue, self._hold, self._commitments = listening, queue, hold, commitments
        self._sizes = _Sizes()
        self._entity = AE(listening.title)
        self._entity.require_called_aet = True
        self._entity.maximum_associations = _MOST_ASSOCIATIONS
        self._entity.acse_timeout = self._entity.dimse_timeout = self._entity.network_timeout = _IDLE_SECONDS
        self._entity.add_supported_context(_VERIFICATION)
        for sop_class in sorted(IMAGE_CLASSES):
            self._entity.add_supported_context(sop_class, list(READABLE_SYNTAXES))
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._check_caller),
            (evt.EVT_DATA_RECV, self._sizes.add),
            (evt.EVT_CONN_CLOSE, self._sizes.forget),
            (evt.EVT_C_STORE, self._store_image),
        ]
        if commitments is not None:
            self._entity.add_supported_context(STORAGE_COMMITMENT)
            handlers += [(evt.EVT_N_ACTION, commitments.requested), (evt.EVT_DIMSE_SENT, commitments.answered)]
        try:
            self._server = self._entity.make_server(
                (listening.host, listening.port),
                ae_title=listening.title,
                ssl_context=listening.tls.for_listening(),
                evt_handlers=handlers,
                server_class=_Server,
                allows=listening.allows,
            )
        except OSError as error:
            raise MammoscopeError(
                f"{listening.host}:{listening.port} cannot be listened on ({error.strerror or error}), choose another"
            ) from None
        self.port: int = self._server.server_address[1]

    def serve(self) -> None:
        """Listen until ``stop`` is called from another thread."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """Stop listening; open associations are aborted."""
        BaseServer.shutdown(self._server)  # pynetdicom's own is for servers that its start_server made
        self._server.server_close()
        for association in self._server.active_associations:
            association.abort()

    def _check_caller(self, event: evt.Event) -> None:
        association = event.assoc
        request = cast(A_ASSOCIATE, association.requestor.primitive)
        title, address = request.calling_ae_title.strip(), association.requestor.address
        if self._listening.allows(title, address):
            return
        logger.warning("%s called and is not allowed to with that title", address)
        association.acse.send_reject(_REJECTED_FOR_GOOD, _BY_US, _CALLER_UNKNOWN)
        evt.trigger(association, evt.EVT_REJECTED, {})
        association.kill()

    def _store_image(self, event: evt.Event) -> int:
        self._sizes.forget(event)
        request = cast(C_STORE, event.request)
        sop_instance, sop_class = kept_uid(request.AffectedSOPInstanceUID), request.AffectedSOPClassUID
        if sop_instance is None or sop_class not in IMAGE_CLASSES:
            logger.warning("an image was refused: its SOP Instance UID is none, or its SOP class is no mammogram's")
            return CANNOT_UNDERSTAND
        if not is_standard_uid(sop_instance):
            logger.warning(
                "%s: its UID is not written as a UID should be; it is kept as it stands", key_of(sop_instance)
            )
        wait = self._hold if sop_class in FOR_PROCESSING else 0.0
        try:
            admission = self._queue.admit(sop_instance, sop_class, event.encoded_dataset(), wait)
        except (OSError, sqlite3.Error, MemoryError) as error:
            logger.error("%s: refused, it cannot be kept (%s)", key_of(sop_instance), place_of(error))
            return OUT_OF_RESOURCES
        if admission is Admission.OTHER:
            logger.warning("%s: refused, another image has arrived with its UID", key_of(sop_instance))
            return CANNOT_UNDERSTAND
        logger.info("%s: %s", key_of(sop_instance), "received" if admission is Admission.NEW else "received again")
        return SUCCESS


class _Sizes:
    """Bytes that each association has sent since its last image; one that sends too much is aborted."""

    def __init__(self) -> None:
        self._bytes: dict[Association, int] = {}
        self._lock = Lock()

    def add(self, event: evt.Event) -> None:
        with self._lock:
            before = self._bytes.get(event.assoc, 0)
            total = self._bytes[event.assoc] = before + len(event.data)
        if before <= DEFAULT_LIMITS.file_bytes < total:
            logger.warning("an association was aborted: its image is larger than %d bytes", DEFAULT_LIMITS.file_bytes)
            # The thread that is told of the bytes would wait for itself.
            Thread(target=event.assoc.abort, daemon=True).start()

    def forget(self, event: evt.Event) -> None:
        with self._lock:
            self._bytes.pop(event.assoc, None)


class _Server(ThreadedAssociationServer):
    """Rejects unknown addresses before a byte is read, and waits for no TLS handshake while others call."""

    request_queue_size = 64

    def __init__(self, *arguments: Any, allows: Any, **options: Any) -> None:
        self._allows = allows
        super().__init__(*arguments, **options)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if self._allows(None, client_address[0]):
            return True
        logger.warning("%s called and is not allowed to", client_address[0])
        return False

    def get_request(self) -> tuple[socket.socket, Any]:
        assert self.socket is not None
        client, address = self.socket.accept()
        if self.ssl_context:
            client.settimeout(_HANDSHAKE_SECONDS)
            client = self.ssl_context.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return client, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.ssl_context:
            request.do_handshake()
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.warning("%s called and did not speak %s", client_address[0], "TLS" if self.ssl_context else "DICOM")
