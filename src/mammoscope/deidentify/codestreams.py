"""Blank the comments in a compressed image, and drop the bytes around it. No pixel changes."""

from __future__ import annotations

import re

_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")  # none of them occurs in compressed pixels
_JPEG_END, _COMMENT = 0xD9, 0xFE
_APPLICATION = range(0xE0, 0xF0)
_NEEDED = (b"JFIF\0", b"Adobe", b"mrfx")  # colours depend on these; the longest has 14 bytes
_NEEDED_BYTES = 14
_J2K_START = b"\xff\x4f\xff\x51"
_SOT, _SOD, _EOC, _J2K_COMMENT = 0xFF90, 0xFF93, 0xFFD9, 0xFF64


def without_comments(data: bytes) -> bytes:
    """A JPEG, JPEG-LS or JPEG 2000 codestream whose comments and application data are blank.

    Raises
    ------
    ValueError
        It cannot be parsed to its end.
    """
    return _jpeg(bytearray(data)) if data.startswith(b"\xff\xd8") else _jpeg_2000(bytearray(data))


def _jpeg(data: bytearray) -> bytes:
    position = 2
    while found := _MARKER.search(data, position):
        marker, start = data[found.start() + 1], found.end() + 2
        if marker == _JPEG_END:
            return bytes(data[: found.end()])
        end = found.end() + int.from_bytes(data[found.end() : start], "big")
        if marker == _COMMENT or marker in _APPLICATION:
            _blank(data, start + _NEEDED_BYTES * data.startswith(_NEEDED, start), end)
        position = end
    raise ValueError("ends within its JPEG codestream")


def _jpeg_2000(data: bytearray) -> bytes:
    start = data.find(_J2K_START)
    position, part = start + 2, start
    while 0 < position < len(data):
        marker = int.from_bytes(data[position : position + 2], "big")
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _EOC:
            return bytes(data[start : position + 2])
        if marker == _SOD:  # the pixels of a tile part, whose header states its length
            size = int.from_bytes(data[part + 6 : part + 10], "big")
            position = part + size if size else data.rfind(b"\xff\xd9")
            continue
        if marker == _J2K_COMMENT:
            _blank(data, position + 6, position + 2 + length)
        part = position if marker == _SOT else part
        position += 2 + length
    raise ValueError("ends within its JPEG 2000 codestream")


def _blank(data: bytearray, start: int, end: int) -> None:
    end = min(end, len(data))
    data[start:end] = bytes(max(0, end - start))
