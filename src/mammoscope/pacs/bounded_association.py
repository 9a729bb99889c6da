"""Bounds on what another DICOM application may send, on associations that it or mammoscope opens."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from functools import partial
from typing import cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

_LARGEST_PDU = 1 << 20  # bytes; a request for 128 presentation contexts has some 100,000, data come in 16,382
_PDU_SECONDS = 60.0
_BLOCK = 1 << 16


def bound_reading(event: evt.Event) -> None:
    """For ``EVT_CONN_OPEN``: refuse a PDU by the length in its header, before it is read, and one that does not end."""
    transport = cast(AssociationSocket, event.assoc.dul.socket)
    transport.recv = partial(_read, transport)  # type: ignore[method-assign]


def cut(association: Association) -> None:
    """End an association at once, from whatever thread: nobody waits for it any longer, also not to abort it."""
    transport = association.dul.socket
    if transport is not None and transport.socket is not None:
        with suppress(OSError):
            # Not the method of an SSL socket, which takes its state from under the thread that reads.
            socket.socket.shutdown(transport.socket, socket.SHUT_RDWR)


def _read(transport: AssociationSocket, size: int) -> bytearray:
    """Read so many bytes, or those before the other side closes; OSError if they are too many or take too long."""
    connection, end, read = transport.socket, time.monotonic() + _PDU_SECONDS, bytearray()
    if connection is None:
        return read
    if size > _LARGEST_PDU:
        connection.close()
        raise ConnectionError(f"a PDU of {size} bytes")
    try:
        while len(read) < size:
            if (left := end - time.monotonic()) <= 0:
                raise TimeoutError
            connection.settimeout(left)
            if not (block := connection.recv(min(_BLOCK, size - len(read)))):
                break
            read += block
        connection.settimeout(_PDU_SECONDS)  # for what is sent
    except OSError:
        connection.close()
        raise
    return read
