"""Listen for associations: who may call, how many at once, and how much each may send."""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from io import BytesIO
from socketserver import BaseServer
from threading import Event, Lock, Thread
from typing import Any, cast

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.bounded_association import bound_reading
from mammoscope.pacs.connections import Connections
from mammoscope.pacs.settings import Listening
from mammoscope.peers.limits import LARGEST_IMAGE

logger = logging.getLogger(__name__)

Contexts = Iterable[tuple[str, Sequence[str]]]

_REJECTED_FOR_GOOD, _BY_US, _CALLER_UNKNOWN = 0x01, 0x01, 0x03
_MOST_ASSOCIATIONS = 1000  # counts threads that still end, too; ``Connections`` bounds those that are open
_IDLE_SECONDS, _HANDSHAKE_SECONDS, _CHECK_SECONDS = 60, 15, 5
_LARGEST_OTHER = 1 << 34  # bytes


class Listener:
    """Takes associations from ``serve`` to ``stop``.

    Parameters
    ----------
    listening
        Where to listen, and who may call.
    contexts
        SOP classes that are accepted, each with its transfer syntaxes.
    handlers
        What to do with what arrives, as pynetdicom takes them.
    keeps
        Whether the content of an object is to be held in memory, by the command set that comes before it.
    either_role
        SOP classes of which callers may be user or provider.

    Raises
    ------
    MammoscopeError
        The address cannot be listened on, or a TLS file cannot be used.
    """

    def __init__(
        self,
        listening: Listening,
        contexts: Contexts,
        handlers: Sequence[tuple[Any, ...]],
        keeps: Callable[[Dataset], bool],
        *,
        either_role: Container[str] = (),
    ) -> None:
        self._listening = listening
        self._sizes, self._connections = _Sizes(keeps), Connections()
        entity = AE(listening.title)
        entity.require_called_aet = True
        entity.maximum_associations = _MOST_ASSOCIATIONS
        entity.acse_timeout = _HANDSHAKE_SECONDS
        entity.dimse_timeout = entity.network_timeout = _IDLE_SECONDS
        for sop_class, syntaxes in contexts:
            role = True if sop_class in either_role else None
            entity.add_supported_context(sop_class, list(syntaxes), role, role)
        ours: list[Any] = [
            (evt.EVT_CONN_OPEN, bound_reading),
            (evt.EVT_REQUESTED, self._check_caller),
            (evt.EVT_ACCEPTED, self._note_association),
            (evt.EVT_DATA_RECV, self._sizes.add),
            (evt.EVT_DIMSE_RECV, self._sizes.complete),
            (evt.EVT_CONN_CLOSE, self._sizes.forget),
        ]
        try:
            self._server = entity.make_server(
                (listening.host, listening.port),
                ae_title=listening.title,
                ssl_context=listening.tls.for_listening(),
                evt_handlers=[*ours, *handlers],
                server_class=_Server,
                allows=listening.allows,
                connections=self._connections,
            )
        except OSError as error:
            raise MammoscopeError(
                f"{listening.host}:{listening.port} cannot be listened on ({error.strerror or error}), choose another"
            ) from None
        self.port: int = self._server.server_address[1]

    def serve(self) -> None:
        """Listen until ``stop`` is called from another thread."""
        self._server.serve_forever(poll_interval=0.2)

    def check(self) -> str | None:
        """See whether it takes connections, by one to itself; what is wrong, None if nothing is."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._listening.host, self._listening.host)  # noqa: S104
        return cast(_Server, self._server).take_one_from_here(host, self.port)

    def stop(self) -> None:
        """Stop listening; open associations are aborted."""
        BaseServer.shutdown(self._server)  # pynetdicom's own is for servers that its start_server made
        self._server.server_close()
        for association in self._server.active_associations:
            association.abort()

    def handled(self, event: evt.Event) -> None:
        """Note that a handler has begun with an object that has arrived: to be called by the handler of C-STORE."""
        self._sizes.handled(event)

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

    def _note_association(self, event: evt.Event) -> None:
        transport = event.assoc.dul.socket
        self._connections.associated(None if transport is None else transport.socket)


class _Sizes:
    """Bytes that each association has sent and that were not handled; one that sends too much is aborted."""

    def __init__(self, keeps: Callable[[Dataset], bool]) -> None:
        self._keeps = keeps
        self._bytes: dict[Association, int] = {}
        self._complete: dict[Association, deque[int]] = {}
        self._lock = Lock()

    def add(self, event: evt.Event) -> None:
        most = self._most_of(event.assoc)
        with self._lock:
            before = self._bytes.get(event.assoc, 0)
            total = self._bytes[event.assoc] = before + len(event.data)
        if before <= most < total:
            logger.warning("an association was aborted: it sent more than %d bytes at once", most)
            # The thread that is told of the bytes would wait for itself.
            Thread(target=event.assoc.abort, daemon=True).start()

    def complete(self, event: evt.Event) -> None:
        """A message has arrived as a whole. Those after it, which nobody may send so early, count beside it."""
        with self._lock:
            done = self._complete.setdefault(event.assoc, deque())
            size = self._bytes.get(event.assoc, 0) - sum(done)
            if isinstance(event.message, C_STORE_RQ):
                done.append(size)
            else:
                self._bytes[event.assoc] = sum(done)

    def handled(self, event: evt.Event) -> None:
        with self._lock:
            done = self._complete.get(event.assoc)
            if done:
                self._bytes[event.assoc] -= done.popleft()

    def forget(self, event: evt.Event) -> None:
        with self._lock:
            self._bytes.pop(event.assoc, None)
            self._complete.pop(event.assoc, None)

    def _most_of(self, association: Association) -> int:
        """Bytes that the message which is coming in may have."""
        message = association.dimse.message
        if message is None or not message.command_set:
            return LARGEST_IMAGE  # of those before it
        if not isinstance(message, C_STORE_RQ) or self._keeps(message.command_set):
            return LARGEST_IMAGE
        if not isinstance(message.data_set, _Nothing):
            message.data_set = _Nothing()
        return _LARGEST_OTHER


class _Nothing(BytesIO):
    """Takes what is to be set aside, and keeps none of it."""

    def write(self, content: Any) -> int:
        return len(content)


class _Shared(list[PresentationContext]):
    """Contexts that associations only read: a copy of all storage classes for each connection takes longer than it."""

    def __deepcopy__(self, memo: object) -> _Shared:
        return self


class _Server(ThreadedAssociationServer):
    """Rejects unknown addresses before a byte is read, and waits for no TLS handshake while others call."""

    request_queue_size = 64

    def __init__(self, *arguments: Any, allows: Any, connections: Connections, **options: Any) -> None:
        self._allows, self._connections = allows, connections
        self._expected: tuple[Any, ...] | None = None
        self._taken = Event()
        super().__init__(*arguments, **options)
        self.contexts = _Shared(self.contexts)

    def take_one_from_here(self, host: str, port: int) -> str | None:
        """Connect to itself; None if the connection was taken, otherwise what is wrong. One thread at a time."""
        self._taken.clear()
        try:
            with socket.socket(self.address_family, socket.SOCK_STREAM) as caller:
                caller.settimeout(_CHECK_SECONDS)
                caller.bind((host, 0))
                self._expected = caller.getsockname()
                caller.connect((host, port))
                return None if self._taken.wait(_CHECK_SECONDS) else "takes no connection"
        except OSError as error:
            return f"takes no connection ({error.strerror or type(error).__name__})"

    def verify_request(self, request: Any, client_address: Any) -> bool:
        if client_address == self._expected:
            self._taken.set()
            return False
        if not self._allows(None, client_address[0]):
            logger.warning("%s called and is not allowed to", client_address[0])
            return False
        if not self._connections.admit(request, client_address[0]):
            logger.warning("%s called, and there are too many associations", client_address[0])
            return False
        return True

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
