"""How many connections a receiver has, and who has them: so that the silent do not keep others out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from weakref import WeakKeyDictionary

MOST_CONNECTIONS, MOST_OF_AN_ADDRESS = 100, 40


@dataclass
class _Connection:
    address: str
    since: float = field(default_factory=time.monotonic)
    is_associated: bool = False


class Connections:
    """Those that are open. Where there are too many, the one is closed that has been silent for longest.

    An association is never closed for a new connection.
    """

    def __init__(self) -> None:
        self._open: WeakKeyDictionary[socket.socket, _Connection] = WeakKeyDictionary()
        self._lock = Lock()

    def admit(self, connection: socket.socket, address: str) -> bool:
        """Take a connection on; False if there are too many associations."""
        with self._lock:
            known = [(one, facts) for one, facts in self._open.items() if one.fileno() >= 0]
            of_address = [(one, facts) for one, facts in known if facts.address == address]
            for those, most in ((of_address, MOST_OF_AN_ADDRESS), (known, MOST_CONNECTIONS)):
                if len(those) >= most and not _close_silent(those):
                    return False
            self._open[connection] = _Connection(address)
            return True

    def associated(self, connection: socket.socket | None) -> None:
        """Note that it has become an association."""
        with self._lock:
            if connection is not None and (facts := self._open.get(connection)) is not None:
                facts.is_associated = True


def _close_silent(connections: Iterable[tuple[socket.socket, _Connection]]) -> bool:
    silent = [(facts.since, one) for one, facts in connections if not facts.is_associated]
    if not silent:
        return False
    _, oldest = min(silent, key=lambda pair: pair[0])
    with suppress(OSError):
        socket.socket.shutdown(oldest, socket.SHUT_RDWR)
    return True
