"""Messages on the pipes between processes: JSON objects with their length in front, and raw bytes. Nothing is pickled.

A hostile file may take over the process that works on it, so the other process trusts nothing that it sends: every
length is bounded, and the receiver checks every value.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct(">I")
_LONGEST_MESSAGE = 1 << 20


def take_over_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """A worker's requests and replies, on private descriptors, so that nothing a library prints gets mixed in."""
    requests, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, replies


def send_message(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one JSON object."""
    body = json.dumps(message).encode("ascii")
    send_bytes(stream, memoryview(_LENGTH.pack(len(body)) + body))


def receive_message(stream: BinaryIO) -> dict[str, Any]:
    """Read one JSON object.

    Raises
    ------
    EOFError
        The other side has closed the pipe.
    ValueError
        What was received is not a message.
    """
    (length,) = _LENGTH.unpack(_receive(stream, _LENGTH.size))
    if length > _LONGEST_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    message = json.loads(bytes(_receive(stream, length)))
    if not isinstance(message, dict):
        raise ValueError("a message that is not an object")
    return message


def send_bytes(stream: BinaryIO, left: memoryview) -> None:
    """Write all the bytes, in as many writes as the pipe needs."""
    while left:
        left = left[stream.write(left) :]


def receive_into(stream: BinaryIO, buffer: memoryview) -> None:
    """Fill a buffer of bytes; raises EOFError where the other side is gone."""
    while buffer:
        received = stream.readinto(buffer)  # type: ignore[attr-defined]
        if not received:
            raise EOFError
        buffer = buffer[received:]


def _receive(stream: BinaryIO, count: int) -> bytearray:
    data = bytearray(count)
    receive_into(stream, memoryview(data))
    return data
