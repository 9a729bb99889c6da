"""The bytes of an input file: read once, hashed, and recognised by content."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from mammoscope.errors import InputError
from mammoscope.readers.limits import Limits
from mammoscope.text import printable, result_name

MAGIC_BYTES = 132  # enough to recognise every format
IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm"})
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PGM_START = re.compile(rb"P[25]\s+[\d#]")
# Value representations that the first elements of a data set (groups 0002 and 0008) have.
_FIRST_VRS = frozenset({b"UL", b"OB", b"UI", b"SH", b"CS", b"DA", b"TM", b"DT", b"LO", b"SQ", b"PN", b"ST", b"AE"})


@dataclass(frozen=True, eq=False)
class Source:
    """An input file in memory.

    Attributes
    ----------
    path
        The file, as the user named it.
    data
        All its bytes.
    sha256
        Their hex digest.
    """

    path: Path
    data: bytes
    sha256: str

    @property
    def name(self) -> str:
        """See ``input_name``."""
        return input_name(self.path)

    def error(self, problem: str) -> InputError:
        """The error that says what is wrong with this file."""
        return InputError(self.path, problem)


def input_name(path: Path) -> str:
    """A file's name without folder or extension, as ``result_name``; the dots of a UID do not start an extension."""
    return result_name(path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name)


def reason_of(error: Exception) -> str:
    """A native decoder's own words, in one line."""
    return printable(" ".join(str(error).split()))[:120] or type(error).__name__


def read_source(path: Path, limits: Limits) -> Source:
    """Read a file once.

    Raises
    ------
    InputError
        It is missing, a folder, empty, too large, or may not be read.
    """
    try:
        if path.is_dir():
            raise InputError(path, "is a folder, expected a file")
        if not path.is_file():
            raise InputError(path, "is not a regular file" if path.exists() else "no such file")
        with path.open("rb") as stream:
            data = stream.read(limits.file_bytes + 1)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({getattr(error, 'strerror', None) or 'not a usable name'})") from None
    if not data:
        raise InputError(path, "is empty")
    if len(data) > limits.file_bytes:
        raise InputError(path, f"is larger than {limits.file_bytes / 2**20:g} MiB")
    return Source(path, data, hashlib.sha256(data).hexdigest())


def data_set_sha256(data: bytes) -> str:
    """Hex digest of the data set in a DICOM file, without the file meta header, which depends on who wrote the file.

    So an image has the same hash whether it came from a file, by C-STORE or by WADO-RS.
    """
    return hashlib.sha256(memoryview(data)[_data_set_start(data[:144]) :]).hexdigest()


def data_set_sha256_of(path: Path) -> str:
    """``data_set_sha256`` of a file, of which a piece at a time is in memory; raises OSError if it cannot be read."""
    with path.open("rb") as stream:
        stream.seek(_data_set_start(stream.read(144)))
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _data_set_start(data: bytes) -> int:
    if data[128:136] == b"DICM\x02\0\0\0":
        return 144 + int.from_bytes(data[140:144], "little")
    return 0


def detect_format(start: bytes) -> str | None:
    """``"DICOM"``, ``"PNG"``, ``"JPEG"``, ``"TIFF"`` or ``"PGM"`` by a file's first bytes; None: another kind."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start[128:132] == b"DICM" or _is_bare_data_set(start):
        return "DICOM"
    if start.startswith(_TIFF_MAGIC):
        return "TIFF"
    if _PGM_START.match(start):
        return "PGM"
    return None


def _is_bare_data_set(start: bytes) -> bool:
    """Whether the bytes start a DICOM data set without preamble: its first element is in group 0002 or 0008."""
    if len(start) < MAGIC_BYTES:
        return False
    explicit = start[4:6] in _FIRST_VRS
    if start[:2] in (b"\x02\x00", b"\x08\x00"):
        element, length = int.from_bytes(start[2:4], "little"), int.from_bytes(start[4:8], "little")
        # Implicit VR: only the tag and a short length show that it is a data set.
        return explicit or (start[0] == 8 and element <= 0x0018 and 0 < length <= 64 and length % 2 == 0)
    return explicit and start[:2] == b"\x00\x08"
