"""The compressed frame of a DICOM file, out of the items that pack it (PS3.5 A.4), also where they are packed wrongly.

What is missing or wrong is told, and never hides that a part of the image is missing: decoding finds that out.
"""

from __future__ import annotations

from mammoscope.readers.dicom.codestreams import is_codestream
from mammoscope.readers.dicom.header import DicomFile, described

_ITEM, _END_OF_ITEMS = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_MOST_SEGMENTS, _RLE_HEADER = 15, 64
_PADDING = 1  # a value has an even number of bytes, by one of padding


def is_packed(file: DicomFile) -> bool:
    """Whether the pixel data is a compressed frame: by its first bytes, where its length does not fit the syntax."""
    assert file.pixels is not None
    if file.pixels.length is None:
        return True
    return file.transfer_syntax.is_encapsulated and _starts_frame(_first_bytes(file))


def is_compressed_instead(file: DicomFile, needed: int) -> bool:
    """Whether pixel data that is shorter than an uncompressed image is a compressed one."""
    assert file.pixels is not None and file.pixels.length is not None
    return file.pixels.length < needed and is_codestream(_first_bytes(file))


def packed_frame(file: DicomFile) -> bytes:
    """The one frame: every item after the offset table, joined. Adds a warning for each fault of the packing.

    Raises
    ------
    InputError
        The frame is empty, is cut off, or there is none.
    """
    assert file.pixels is not None
    place, notes = file.pixels, file.header.warnings
    end = len(file.source.data) if place.length is None else min(len(file.source.data), place.offset + place.length)
    if place.length is not None:
        notes.append(
            "The pixel data has a stated length, unlike compressed pixel data; its first bytes say what it is."
        )
    first = _first_bytes(file)
    if first.startswith(_ITEM):
        fragments = _fragments(file, place.offset, end)
        frame = b"".join(fragments if _is_frame(fragments[0]) else fragments[1:])
        if _is_frame(fragments[0]):
            notes.append("The compressed pixel data has no offset table, not even an empty one.")
    elif _is_frame(first):
        frame = file.source.data[place.offset : end]
        notes.append("The compressed pixel data is not packed in items.")
    else:
        raise file.source.error("its pixel data is not a sequence of fragments")
    if not frame:
        raise file.source.error(f"its {described('PixelData')} is empty")
    return frame


def _fragments(file: DicomFile, position: int, end: int) -> list[bytes]:
    """The items of the sequence, the offset table first."""
    data, fragments = file.source.data, list[bytes]()
    is_short = False
    while data[position : position + 4] == _ITEM and position < end:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length
        if position > end + _PADDING:
            raise file.source.error(f"is cut off: a fragment of its pixel data should have {length} bytes")
        is_short = position > end
        fragments.append(data[position - length : min(position, end)])
    rest = data[position : min(end, position + 8)]
    if rest.strip(b"\0") and not rest.startswith(_END_OF_ITEMS):
        raise file.source.error("its pixel data is not a sequence of fragments")
    if is_short:
        file.header.warnings.append("The last byte of the compressed pixel data is missing.")
    if not rest.startswith(_END_OF_ITEMS) and file.pixels is not None and file.pixels.length is None:
        file.header.warnings.append(
            "The end of the compressed pixel data is not marked (no Sequence Delimitation Item)."
        )
    return fragments


def _first_bytes(file: DicomFile) -> bytes:
    assert file.pixels is not None
    return file.source.data[file.pixels.offset : file.pixels.offset + _RLE_HEADER]


def _starts_frame(first: bytes) -> bool:
    return first.startswith(_ITEM) or _is_frame(first)


def _is_frame(first: bytes) -> bool:
    """Whether bytes start a frame, and not an offset table, whose first entry is 0."""
    return is_codestream(first) or is_run_lengths(first)


def is_run_lengths(data: bytes) -> bool:
    """Whether bytes start with the header of RLE segments (PS3.5 G.5): their number, and where each starts."""
    count = int.from_bytes(data[:4], "little")
    if len(data) < _RLE_HEADER or not 0 < count <= _MOST_SEGMENTS:
        return False
    starts = [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(1, 16)]
    return starts[0] == _RLE_HEADER and starts[:count] == sorted(set(starts[:count])) and not any(starts[count:])
