"""The header of a DICOM file: every value is read here, so that an invalid one gives a clear error, no traceback."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from itertools import takewhile
from typing import Any, Literal

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import PersonName

from mammoscope.errors import InputError
from mammoscope.readers.source import Source

_PIXEL_DATA = 0x7FE00010  # floating-point pixels lie before it, and are skipped
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
_SHOWN_CHARACTERS = 40
_PATIENT_KEYWORDS = ("PatientName", "PatientID", "PatientBirthDate")
# Enhanced objects keep what concerns one frame here (PS3.3 C.7.6.16), its own before what all frames share.
_FUNCTIONAL_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_FRAME_MACROS = (
    "PixelMeasuresSequence",
    "FrameAnatomySequence",
    "FrameVOILUTSequence",
    "PixelValueTransformationSequence",
)
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
_WORD = re.compile(r"\w{3,}")  # shorter parts of a name or a number occur in many texts


@dataclass(frozen=True)
class PixelElement:
    """Where the pixel data lies in the file.

    Attributes
    ----------
    offset, length
        First byte of the value and how many there are; None: encapsulated, the length is not defined.
    """

    tag: int
    offset: int
    length: int | None


class Header:
    """Checked access to the values of a data set, or of one item of a sequence.

    A value that is present but invalid adds a sentence to ``warnings`` and counts as not known; the
    ``required_`` methods raise instead.
    """

    def __init__(
        self, source: Source, dataset: Dataset, around: Header | None = None, then: Iterable[Dataset] = ()
    ) -> None:
        self._source = source
        self._dataset = dataset
        self._then = tuple(then)  # where to look for elements that the data set itself lacks
        self.warnings: list[str] = around.warnings if around else []
        self._patient: frozenset[str] = around._patient if around else self._words_of_patient()

    def error(self, problem: str) -> InputError:
        """The error that says what is wrong with this file."""
        return self._source.error(problem)

    def has(self, keyword: str) -> bool:
        """Whether the element is present and not empty."""
        return self.value(keyword) not in (None, "", b"")

    def text(self, keyword: str) -> str | None:
        """A text, stripped; several values are joined by backslashes; None where there is none."""
        return _joined(self.value(keyword)) or None

    def code(self, keyword: str) -> str | None:
        """A code string in capitals, the first where there are several."""
        text = self.text(keyword)
        return None if text is None else text.split("\\")[0].strip().upper()

    def number(self, keyword: str, low: float, high: float) -> float | None:
        """A number in ``[low, high]``, the first if there are several; else None, with a warning."""
        value = self.value(keyword)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        return self._checked(keyword, value[0] if _is_several(value) and len(value) else value, low, high)

    def numbers(self, keyword: str, count: int, low: float, high: float) -> tuple[float, ...] | None:
        """Exactly ``count`` numbers in ``[low, high]``; else None, with a warning."""
        value = self.value(keyword)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        values = list(value) if _is_several(value) else [value]
        if len(values) != count:
            self.warnings.append(f"{described(keyword)} is {self.shown(keyword)}, expected {count} numbers: not used.")
            return None
        checked = [self._checked(keyword, one, low, high) for one in values]
        return None if None in checked else tuple(one for one in checked if one is not None)

    def required_integer(self, keyword: str, low: int, high: int) -> int:
        """A whole number in ``[low, high]``.

        Raises
        ------
        InputError
            It is missing, not a whole number, or out of range.
        """
        value = self.value(keyword)
        if value is None:
            raise self.error(f"{described(keyword)} is missing, it must be in the range ({low}, {high})")
        try:
            number = int(value)
            exact = number == value
        except (TypeError, ValueError, OverflowError):
            exact = False
        if not exact or not low <= number <= high:
            raise self.error(f"{described(keyword)} is {self.shown(keyword)}, it must be in the range ({low}, {high})")
        return number

    def items(self, keyword: str) -> list[Header]:
        """The items of a sequence; empty where it is missing."""
        value = self.value(keyword)
        if not _is_several(value):
            return []
        return [Header(self._source, item, self) for item in value if isinstance(item, Dataset)]

    def has_private(self, group: int, creator: str) -> bool:
        """Whether this private group has a block of a creator whose name starts with ``creator`` (PS3.5 7.8)."""
        blocks = (_joined(self._at(Tag(group, element))) for element in range(0x10, 0x100))
        return any(block.startswith(creator) for block in blocks)

    def overlay_bits(self) -> set[int]:
        """Bits of the pixels' words in which overlay planes are said to lie, as old files have them (PS3.3 C.9.2)."""
        bits = set()
        for group in _OVERLAY_GROUPS:
            allocated, position = (self._at(Tag(group, element)) for element in (0x0100, 0x0102))
            if Tag(group, 0x3000) not in self._dataset and isinstance(position, int) and allocated not in (None, 1):
                bits.add(position)
        return bits

    def of_frame(self) -> Header:
        """This header, then the functional groups of the first frame, then the shared ones."""
        macros = [
            macro._dataset
            for groups in _FUNCTIONAL_GROUPS
            for group in self.items(groups)[:1]
            for keyword in _FRAME_MACROS
            for macro in group.items(keyword)[:1]
        ]
        return Header(self._source, self._dataset, self, macros)

    def shown(self, keyword: str) -> str:
        """The value for an error message: quoted where it is text, shortened, printable."""
        value = self.value(keyword)
        if isinstance(value, int | float):
            number = _shortened(str(value))
            return "a number that names the patient" if self.names_patient(number) else number
        return self._quoted(_joined(value))

    def shown_uid(self, uid: UID) -> str:
        """The name that a UID is registered under, for an error message; else the UID as ``shown`` gives a text."""
        return f"'{uid.name}'" if uid.name != uid else self._quoted(uid)

    def names_patient(self, text: str) -> bool:
        """Whether a text contains a word of the patient's name, the ID or the birth date, as this file states them."""
        return not self._patient.isdisjoint(_WORD.findall(text.casefold()))

    def _quoted(self, text: str) -> str:
        text = _shortened(text)
        # A caret separates the components of a person's name, and occurs in no value that may be quoted in a message.
        return "a text that names the patient" if "^" in text or self.names_patient(text) else f"'{text}'"

    def _words_of_patient(self) -> frozenset[str]:
        texts = (self.text(keyword) or "" for keyword in _PATIENT_KEYWORDS)
        return frozenset(word for text in texts for word in _WORD.findall(text.casefold()))

    @property
    def is_little_endian(self) -> bool:
        """Byte order of the data set."""
        return self._dataset.original_encoding[1] is not False

    def value(self, keyword: str) -> Any:
        """The value as pydicom gives it, None where it is missing; raw text where it cannot be converted."""
        return self._at(Tag(_tag(keyword)))

    def _at(self, tag: BaseTag) -> Any:
        dataset = next((one for one in (self._dataset, *self._then) if tag in one), self._dataset)
        try:
            element = dataset.get(tag)
            return None if element is None else element.value
        except MemoryError:
            raise
        except Exception:  # pydicom converts on access, and what a hostile value makes it raise is not bounded
            raw = getattr(dataset.get_item(tag, keep_deferred=True), "value", None)
            return raw.decode("ascii", "replace") if isinstance(raw, bytes) else ""

    def _checked(self, keyword: str, value: Any, low: float, high: float) -> float | None:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if low <= number <= high:
            return number
        expected = f"expected a number from {low:g} to {high:g}"
        self.warnings.append(f"{described(keyword)} is {self.shown(keyword)}, {expected}: not used.")
        return None


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A DICOM file with its header read and its pixels still encoded."""

    source: Source
    header: Header
    transfer_syntax: UID
    pixels: PixelElement | None


def described(keyword: str) -> str:
    """A keyword with its tag, as in ``Modality (0008,0060)``."""
    tag = Tag(_tag(keyword))
    return f"{keyword} ({tag.group:04X},{tag.element:04X})"


def read_header(source: Source) -> DicomFile:
    """Read everything before the pixel data. Nothing is inflated: a deflated file is refused by its meta header.

    Raises
    ------
    InputError
        The file is deflated, or its header cannot be read.
    """
    stream = BytesIO(source.data)
    stream.seek(132 if source.data[128:132] == b"DICM" else 0)
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be those of a patient.
        warnings.simplefilter("ignore")
        try:
            meta = read_dataset(stream, False, True, stop_when=_is_after_meta)
            named = Header(source, meta).text("TransferSyntaxUID")
            syntax = UID(named) if named else _guess_transfer_syntax(source.data, stream.tell())
            if syntax == DeflatedExplicitVRLittleEndian:
                raise source.error(f"Transfer Syntax UID (0002,0010) is '{syntax.name}', which is not supported")
            dataset = read_dataset(
                stream,
                is_implicit_VR=syntax == ImplicitVRLittleEndian,
                is_little_endian=syntax != ExplicitVRBigEndian,
                stop_when=_is_pixel_data,
            )
        except (InputError, MemoryError):
            raise
        except RecursionError:
            raise source.error("its DICOM header cannot be read: sequences within sequences without end") from None
        except Exception as error:  # what a damaged header makes pydicom raise is not bounded
            raise source.error(f"its DICOM header cannot be read ({type(error).__name__})") from None
    if not dataset:
        raise source.error("its DICOM header is empty or cut off")
    return DicomFile(source, Header(source, dataset), syntax, _pixel_element(source, dataset, stream.tell()))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def _joined(value: Any) -> str:
    """A value as text, several joined by backslashes. Not the items of a sequence, which may name the patient."""
    parts = value if _is_several(value) else [value]
    return "\\".join(str(part) for part in parts if part is not None and not isinstance(part, Dataset)).strip(" \0")


def _shortened(text: str) -> str:
    """A text for a message, up to the first unprintable character: a damaged value may go on into other elements."""
    readable = "".join(takewhile(str.isprintable, text))
    if len(readable) == len(text) <= _SHOWN_CHARACTERS:
        return text
    return readable[: _SHOWN_CHARACTERS - 1] + "…"


def _is_several(value: Any) -> bool:
    return not isinstance(value, str | bytes | PersonName) and hasattr(value, "__iter__") and hasattr(value, "__len__")


def _is_after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


def _is_pixel_data(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) >= _PIXEL_DATA


def _guess_transfer_syntax(data: bytes, start: int) -> UID:
    """The uncompressed transfer syntax that the first element of a data set is written in."""
    explicit = data[start + 4 : start + 6].isalpha() and data[start + 4 : start + 6].isupper()
    if explicit and data[start : start + 1] == b"\0":
        return ExplicitVRBigEndian
    return ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian


def _pixel_element(source: Source, dataset: Dataset, start: int) -> PixelElement | None:
    """The element that reading stopped at; None at the end of the file."""
    data = source.data
    is_implicit, is_little = dataset.original_encoding
    order: Literal["little", "big"] = "big" if is_little is False else "little"
    if start + 8 > len(data):
        return None
    group, element = (int.from_bytes(data[i : i + 2], order) for i in (start, start + 2))
    if is_implicit:
        offset, length = start + 8, int.from_bytes(data[start + 4 : start + 8], order)
    elif data[start + 4 : start + 6] in _LONG_VRS:
        offset, length = start + 12, int.from_bytes(data[start + 8 : start + 12], order)
    else:
        offset, length = start + 8, int.from_bytes(data[start + 6 : start + 8], order)
    return PixelElement(group << 16 | element, offset, None if length == 0xFFFFFFFF else length)
