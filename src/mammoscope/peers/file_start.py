"""Look at the start of a DICOM file, without a parser: whether it is one, and of which instance (PS3.10 7.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_PREFIX_END = 132
_GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_META_START = 144  # after the group length
_LONGEST_META = 1 << 16
_SOP_INSTANCE, _TRANSFER_SYNTAX = b"\x02\x00\x03\x00", b"\x02\x00\x10\x00"
_LONG_VRS = frozenset({b"OB", b"OW", b"UN", b"UT", b"SQ"})  # of those that group 0002 has or might have


def of_instance(blocks: Iterable[bytes], sop_instance: str) -> Iterator[bytes]:
    """The blocks of a file, unless it says at its start that it is none or another instance's.

    Raises
    ------
    ValueError
        It is no DICOM file, or of another instance.
    """
    coming, start = iter(blocks), b""
    while len(start) < _META_START or len(start) < meta_end(start):
        block = next(coming, None)
        if block is None:
            break
        start += block
    if start[128:_PREFIX_END] != b"DICM":
        raise ValueError("no DICOM file")
    if (stated := _sop_instance_in(start)) is not None and stated != sop_instance:
        raise ValueError("another instance")
    yield start
    yield from coming


def meta_end(start: bytes) -> int:
    """Where the file meta header ends; 0 if it does not say."""
    if start[_PREFIX_END:140] != _GROUP_LENGTH:
        return 0
    return min(_META_START + int.from_bytes(start[140:_META_START], "little"), _LONGEST_META)


def transfer_syntax_in(start: bytes) -> str | None:
    """The Transfer Syntax UID; None if the header does not state it where it should."""
    return _uid_in(start, _TRANSFER_SYNTAX)


def _sop_instance_in(start: bytes) -> str | None:
    """Media Storage SOP Instance UID; None if the header does not state it where it should."""
    return _uid_in(start, _SOP_INSTANCE)


def _uid_in(start: bytes, tag: bytes) -> str | None:
    position, end = _META_START, min(meta_end(start), len(start))
    while position + 8 <= end:
        is_long = start[position + 4 : position + 6] in _LONG_VRS
        value = position + (12 if is_long else 8)
        length = int.from_bytes(start[value - 4 : value] if is_long else start[value - 2 : value], "little")
        if start[position : position + 4] == tag:
            return start[value : value + length].rstrip(b"\0 ").decode("ascii", "replace")
        position = value + length
    return None
