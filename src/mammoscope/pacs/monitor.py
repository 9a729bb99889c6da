"""A small HTTP server for ``/metrics`` and ``/ready``, beside a service that speaks DICOM."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Lock, Thread
from typing import Any

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.settings import Address
from mammoscope.queue.metrics import CONTENT_TYPE, Readiness

_MOST_AT_ONCE, _REQUEST_SECONDS = 16, 10.0
_FRESH_SECONDS = 5.0  # so that whoever asks often makes no more traffic


class Monitor:
    """Listens from its creation until it is stopped.

    Parameters
    ----------
    address
        Where; port 0 takes a free one.
    metrics
        Gives the text that Prometheus scrapes.
    ready
        Sees whether the service can do its work; asked at most every 5 seconds.

    Raises
    ------
    MammoscopeError
        The address cannot be listened on.
    """

    def __init__(self, address: Address, metrics: Callable[[], bytes], ready: Callable[[], Readiness]) -> None:
        self._metrics, self._ready = metrics, ready
        self._lock, self._seen, self._until = Lock(), Readiness({}), 0.0
        try:
            self._server = _Server((address.host, address.port), partial(_Handler, self))
        except OSError as error:
            reason = error.strerror or error
            raise MammoscopeError(f"{address} cannot be listened on ({reason}), choose another") from None
        self.address = Address(address.host, self._server.server_address[1])
        Thread(target=self._server.serve_forever, args=(0.2,), name="monitor", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, media type and body."""
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics()
        if path == "/ready":
            with self._lock:
                if time.monotonic() >= self._until:
                    self._seen, self._until = self._ready(), time.monotonic() + _FRESH_SECONDS
                seen = self._seen
            status = HTTPStatus.OK if seen.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", json.dumps(seen.to_json()).encode()
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there are /metrics and /ready\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        self._places = BoundedSemaphore(_MOST_AT_ONCE)
        super().__init__(*arguments)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._places.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever ends its own request needs no line in the log."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _REQUEST_SECONDS
    server_version, sys_version = "mammoscope", ""

    def __init__(self, monitor: Monitor, *arguments: Any) -> None:
        self._monitor = monitor
        super().__init__(*arguments)

    def do_GET(self) -> None:
        status, kind, body = self._monitor.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 (its name there)
        """A scrape needs no line in the log."""
