"""Ask a DICOMweb server, whose answers are bounded in bytes, decompressed bytes and time, and stay at its address."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from threading import Lock
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from mammoscope.peers.bounds import AnswerError, Bounds
from mammoscope.peers.web_server import WebServer
from mammoscope.processes.child import Deadline

_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of an answer
_BLOCK = 1 << 16
_MOST_REDIRECTS = 5
_SAME_METHOD = frozenset({307, 308})
_REDIRECTS = frozenset({301, 302, 303}) | _SAME_METHOD


class NoConnectionError(AnswerError):
    """The server cannot be reached."""


class Answer:
    """The answer to one request, while it arrives.

    Attributes
    ----------
    status
        The HTTP status.
    content_type
        The value of its Content-Type; empty if there is none.
    """

    def __init__(self, response: requests.Response, bounds: Bounds) -> None:
        self.status = response.status_code
        self.content_type = str(response.headers.get("Content-Type", ""))
        self.has_more = str(response.headers.get("Warning", "")).startswith("299")  # PS3.18 8.3.4.4
        self._response, self._bounds = response, bounds

    def blocks(self) -> Iterator[bytes]:
        """Its body in pieces; raises ``AnswerError`` if there is more than allowed, or less than announced."""
        total = 0
        for block in self._response.raw.stream(_BLOCK, decode_content=True):
            total += len(block)
            if total > self._bounds.size:
                raise AnswerError(f"gave more than {self._bounds.size >> 20} MiB")
            yield block
        # Where a head ends early, the library takes what there is of it, and no body.
        if total == 0 and self.status == 200 and not _states_its_length(self._response):
            raise AnswerError("ended the connection")

    def body(self) -> bytes:
        """The whole body; raises as ``blocks`` does."""
        whole = bytearray()
        for block in self.blocks():
            whole += block
        return bytes(whole)


def _states_its_length(response: requests.Response) -> bool:
    return "Content-Length" in response.headers or "Transfer-Encoding" in response.headers


class BoundedHttp:
    """Requests to one server, one at a time; threads need one of these each.

    Parameters
    ----------
    server
        The server. Credentials are sent to no other.
    """

    def __init__(self, server: WebServer) -> None:
        self._sockets = _Sockets()
        session = self._session = _Session()
        session.trust_env = False  # no proxies and no password file from the environment
        session.adapters.clear()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Adapter(self._sockets))
        if server.user is not None:
            session.auth = (server.user, server.password or "")
        if server.token is not None:
            session.headers["Authorization"] = f"Bearer {server.token}"
        tls = server.tls
        session.verify = True if tls.authority is None else str(tls.authority)
        if tls.certificate is not None and tls.key is not None:
            session.cert = (str(tls.certificate), str(tls.key))

    def interrupt(self) -> None:
        """End the request under way, from another thread, and allow no further one."""
        self._sockets.shut_for_good()

    @contextmanager
    def asking(
        self, method: str, url: str, bounds: Bounds, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[Answer]:
        """The answer to a request, to be read within the block.

        Raises
        ------
        NoConnectionError
            The server cannot be reached.
        AnswerError
            There is no answer, or not one within bounds; also while it is read.
        """
        self._sockets.open()
        with Deadline(bounds.seconds, self._sockets.shut) as deadline:
            try:
                with closing(self._answer(method, url, headers, body)) as response:
                    yield Answer(response, bounds)
                if deadline.passed:
                    raise AnswerError(f"took more than {bounds.seconds:g} s")
            except (AnswerError, requests.RequestException, HTTPError) as error:
                if deadline.passed:
                    raise AnswerError(f"took more than {bounds.seconds:g} s") from None
                raise (error if isinstance(error, AnswerError) else _problem(error)) from None

    def _answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> requests.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._session.request(
                method, url, headers=headers, data=body, timeout=_TIMEOUT, stream=True, allow_redirects=False
            )
            target = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or target is None:
                return response
            response.close()
            there = urljoin(url, target)
            if _origin(there) != _origin(url):
                raise AnswerError("points to another address, which is not followed")
            if method != "GET" and response.status_code not in _SAME_METHOD:
                raise AnswerError(f"answers {response.status_code}, which would store nothing")
            url = there
        raise AnswerError(f"points elsewhere more than {_MOST_REDIRECTS} times")


class _Session(requests.Session):
    """Leaves redirects to us: it would read the whole body of each, also where it is not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Sockets:
    """The sockets of one client's connections, to be shut from another thread, which ends every wait for them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: list[socket.socket] = []
        self._is_shut = self._is_over = False

    def open(self) -> None:
        with self._lock:
            self._is_shut = self._is_over

    def add(self, connected: socket.socket) -> None:
        with self._lock:
            self._known = [known for known in self._known if known.fileno() >= 0] + [connected]
            if self._is_shut:
                _shut(connected)

    def shut(self) -> None:
        with self._lock:
            self._is_shut = True
            for known in self._known:
                _shut(known)

    def shut_for_good(self) -> None:
        self._is_over = True
        self.shut()


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        # Not the method of an SSL socket, which takes its state from under the thread that reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Makes connections whose sockets are known."""

    def __init__(self, sockets: _Sockets) -> None:
        self._sockets = sockets
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        sockets = self._sockets

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(cast(socket.socket, self.sock))

        class Encrypted(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.add(cast(socket.socket, self.sock))

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _problem(error: Exception) -> AnswerError:
    """What a user may read of an exception of the HTTP library."""
    text = f"{type(error).__name__} {error}"
    if isinstance(error, requests.exceptions.SSLError) or "SSLError" in text:
        other_host = "Hostname mismatch" in text or "IP address mismatch" in text
        reason = "its TLS certificate is for another host" if other_host else "TLS failed"
        return NoConnectionError(f"cannot be reached: {reason}")
    if "NewConnectionError" in text or "NameResolutionError" in text or isinstance(error, requests.ConnectTimeout):
        return NoConnectionError("cannot be reached")
    if "ReadTimeout" in text:
        return AnswerError("gave no answer in time")
    return AnswerError("ended the connection")
