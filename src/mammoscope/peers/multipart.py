"""Messages of the type multipart/related (RFC 2387), as WADO-RS and STOW-RS use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from uuid import uuid4

_LONGEST_HEAD = 1 << 14
_HEAD_END = b"\r\n\r\n"


def parameters_of(content_type: str) -> tuple[str, str]:
    """The media type in small letters, and the boundary; empty if there is none."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary", "")
    return message.get_content_type(), boundary if isinstance(boundary, str) else ""


def joined(parts: Sequence[bytes], kind: str) -> tuple[bytes, str]:
    """A message of several parts of one media type, and its Content-Type."""
    boundary = uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
    body = b"".join(piece for part in parts for piece in (head, part, b"\r\n"))
    return body + f"--{boundary}--\r\n".encode(), f'multipart/related; type="{kind}"; boundary="{boundary}"'


def only_part(blocks: Iterable[bytes], boundary: str) -> Iterator[bytes]:
    """The content of a message's only part, in pieces; no more than two of the blocks are held.

    Raises
    ------
    ValueError
        The message is none, was cut off, or has several parts.
    """
    coming = iter(blocks)
    delimiter = b"\r\n--" + boundary.encode()
    held = b"\r\n"  # the first delimiter need not have one before it
    while (start := held.find(delimiter)) < 0 or (end := held.find(_HEAD_END, start)) < 0:
        block = next(coming, None)
        if block is None or len(held) > _LONGEST_HEAD:
            raise ValueError("the message has no part")
        held += block
    held = held[end + len(_HEAD_END) :]
    while (end := held.find(delimiter)) < 0:
        safe = max(0, len(held) - len(delimiter))
        if safe:
            yield held[:safe]
        block = next(coming, None)
        if block is None:
            raise ValueError("the message was cut off")
        held = held[safe:] + block
    yield held[:end]
    held = held[end + len(delimiter) :]
    while len(held) < 2:
        block = next(coming, None)
        if block is None:
            raise ValueError("the message was cut off")
        held += block
    if not held.startswith(b"--"):
        raise ValueError("the message has several parts")
