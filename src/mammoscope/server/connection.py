"""Connections that send nothing, or never finish the head of a request, keep nobody out."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
MOST_CONNECTIONS = 256


class BoundedConnection(H11Protocol):
    """A connection whose request must have its whole head within some seconds.

    Where there are too many connections, the one is closed that has been without a request for longest; a request under
    way is never ended for a new connection.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._since = time.monotonic()
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def awaits_head(self) -> bool:
        """Whether no request has arrived, or is under way."""
        return self.conn.their_state is h11.IDLE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, and make room if there are too many."""
        super().connection_made(transport)
        self._time_head()
        if len(self.connections) <= most_connections():
            return
        others = [cast(BoundedConnection, one) for one in self.connections if one is not self]
        waiting = [one for one in others if one.awaits_head]
        min(waiting, key=lambda one: one._since, default=self).abort()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, and start or stop the clock."""
        super().data_received(data)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close the connection at once."""
        self._stop_timer()
        self.connections.discard(self)
        self.transport.abort()

    def _time_head(self) -> None:
        if not self.awaits_head:
            self._stop_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._end_of_patience)

    def _end_of_patience(self) -> None:
        self._head_timer = None
        if self.awaits_head:
            self.abort()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def most_connections() -> int:
    """So many that files can still be opened beside them."""
    if sys.platform == "win32":
        return MOST_CONNECTIONS
    import resource  # noqa: PLC0415 (Windows has none)

    return min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
