"""Whether an image says that it is urgent: read from its header without a parser, in bounds."""

from __future__ import annotations

from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from mammoscope.peers.file_start import meta_end, transfer_syntax_in

_MOST_BYTES, _MOST_ELEMENTS = 1 << 20, 20_000
# Study Priority ID (retired) and Requested Procedure Priority.
_PRIORITIES = (0x0032_000C, 0x0040_1003)
_URGENT = frozenset({"HIGH", "STAT", "URGENT"})
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_UNDEFINED = 0xFFFF_FFFF
_UNREADABLE = (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)


def is_urgent_file(path: Path) -> bool:
    """Whether a DICOM file states a priority of HIGH, STAT or URGENT; raises OSError if it cannot be opened."""
    with path.open("rb") as stream:
        return is_urgent(stream.read(_MOST_BYTES))


def is_urgent(start: bytes) -> bool:
    """As ``is_urgent_file``, from its first bytes; False as well where they do not make sense."""
    syntax = transfer_syntax_in(start)
    if syntax is None or syntax in _UNREADABLE:
        return False
    is_explicit = syntax != ImplicitVRLittleEndian
    position, depth = meta_end(start), 0  # depth: within sequences and items whose length is not stated
    for _ in range(_MOST_ELEMENTS):
        if position + 8 > len(start):
            return False
        tag = int.from_bytes(start[position : position + 2], "little") << 16
        tag |= int.from_bytes(start[position + 2 : position + 4], "little")
        if depth == 0 and tag > _PRIORITIES[-1]:
            return False
        position, length = _value_at(start, position, is_explicit=is_explicit and tag >> 16 != 0xFFFE)
        if tag in (_ITEM_END, _SEQUENCE_END):
            depth -= 1
        elif length == _UNDEFINED:
            depth += 1
        else:
            if depth == 0 and tag in _PRIORITIES and _text(start[position : position + min(length, 64)]) in _URGENT:
                return True
            position += length
    return False


def _value_at(start: bytes, position: int, *, is_explicit: bool) -> tuple[int, int]:
    """Where the value of an element is, and its length."""
    if not is_explicit:
        return position + 8, int.from_bytes(start[position + 4 : position + 8], "little")
    if start[position + 4 : position + 6] in _LONG_VRS:
        return position + 12, int.from_bytes(start[position + 8 : position + 12], "little")
    return position + 8, int.from_bytes(start[position + 6 : position + 8], "little")


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0").upper()
