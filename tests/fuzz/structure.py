"""Where the elements of a DICOM file lie, found without pydicom, so that a mutation can aim at one."""

from __future__ import annotations

from dataclasses import dataclass

LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
_ITEM_GROUP = 0xFFFE
_MOST_ELEMENTS = 2000


@dataclass(frozen=True)
class Encoding:
    """How the elements of a data set are written."""

    explicit: bool
    order: str

    def tag(self, tag: int) -> bytes:
        """The four bytes of a tag."""
        return (tag >> 16).to_bytes(2, self.order) + (tag & 0xFFFF).to_bytes(2, self.order)  # type: ignore[arg-type]

    def header(self, tag: int, vr: bytes, length: int) -> bytes:
        """Tag, value representation and length; a length that does not fit is cut to its lower bits."""
        wide = (length & UNDEFINED).to_bytes(4, self.order)  # type: ignore[arg-type]
        if not self.explicit or tag >> 16 == _ITEM_GROUP:
            return self.tag(tag) + wide
        if vr in LONG_VRS:
            return self.tag(tag) + vr + b"\0\0" + wide
        return self.tag(tag) + vr + (length & 0xFFFF).to_bytes(2, self.order)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Element:
    """One element, or the head of an item: bytes ``start`` to ``value`` are its header, up to ``end`` its value."""

    start: int
    value: int
    end: int
    tag: int
    vr: bytes
    encoding: Encoding


def elements(data: bytes) -> list[Element]:
    """Every element that can be told, those in sequences and the fragments of pixel data among them, in file order."""
    found: list[Element] = []
    position = 132 if data[128:132] == b"DICM" else 0
    encoding = Encoding(explicit=True, order="little")
    in_meta, in_pixels = data[position : position + 2] == b"\2\0", False
    while position + 8 <= len(data) and len(found) < _MOST_ELEMENTS:
        if in_meta and data[position : position + 2] != b"\2\0":
            in_meta = False
        if not in_meta and (not found or found[-1].tag >> 16 == 2):
            encoding = _guessed(data, position)
        element = _element(data, position, encoding, in_pixels=in_pixels)
        found.append(element)
        in_pixels |= element.tag == PIXEL_DATA
        position = element.end
    return found


def _guessed(data: bytes, position: int) -> Encoding:
    explicit = data[position + 4 : position + 6].isalpha() and data[position + 4 : position + 6].isupper()
    return Encoding(explicit, "big" if explicit and data[position : position + 1] == b"\0" else "little")


def _element(data: bytes, start: int, encoding: Encoding, *, in_pixels: bool) -> Element:
    def number(at: int, count: int) -> int:
        return int.from_bytes(data[at : at + count], encoding.order)  # type: ignore[arg-type]

    tag = number(start, 2) << 16 | number(start + 2, 2)
    vr = b""
    value, length = start + 8, number(start + 4, 4)
    if encoding.explicit and tag >> 16 != _ITEM_GROUP:
        vr = data[start + 4 : start + 6]
        value, length = (start + 12, number(start + 8, 4)) if vr in LONG_VRS else (start + 8, number(start + 6, 2))
    # What is inside a sequence or an item follows its header, so it is walked like everything else.
    inside = length == UNDEFINED or vr == b"SQ" or (tag >> 16 == _ITEM_GROUP and not in_pixels)
    return Element(start, value, value if inside else min(value + length, len(data)), tag, vr, encoding)
