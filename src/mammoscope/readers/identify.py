"""Read of which exam, and whose, a file is from its header alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from mammoscope.errors import InputError
from mammoscope.readers.exam_key import RUN_SECRET, ExamSecret
from mammoscope.readers.identity import Identity
from mammoscope.readers.limits import DEFAULT_LIMITS, Limits
from mammoscope.readers.source import MAGIC_BYTES, Source, detect_format
from mammoscope.readers.stated_image import StatedImage

if TYPE_CHECKING:
    from mammoscope.readers.dicom.header import Header

Said = TypeVar("Said")

# A header is some kilobytes; one with large private elements before its pixels is read again, and further.
_FIRST_BYTES, _GROWTH = 1 << 18, 16
_MOST_BYTES = 8 << 20


def read_exam_key(path: Path, limits: Limits = DEFAULT_LIMITS, secret: ExamSecret = RUN_SECRET) -> str | None:
    """The exam key that ``read_mammogram`` would give an image, from its header alone: no pixel is read.

    Returns
    -------
    str or None
        None if the file states no study, is not DICOM, has a header of more than 8 MiB, or cannot be read: it is a
        separate exam.
    """
    # pydicom is loaded when a file needs it.
    from mammoscope.readers.dicom.exam_identity import exam_key_of  # noqa: PLC0415

    return _of_header(path, limits, lambda header: exam_key_of(header, secret))


def read_identity(path: Path, limits: Limits = DEFAULT_LIMITS) -> Identity | None:
    """Patient and study as a reader is shown them; None where no header can be read, or it names none."""
    from mammoscope.readers.dicom.shown_identity import identity_of  # noqa: PLC0415

    return _of_header(path, limits, identity_of)


def read_stated_image(path: Path, limits: Limits = DEFAULT_LIMITS) -> StatedImage | None:
    """What results refer to an image by; None where no header can be read, or it lacks a UID that a reference needs."""
    from mammoscope.readers.dicom.stated import stated_image_of  # noqa: PLC0415

    return _of_header(path, limits, stated_image_of)


def _of_header(path: Path, limits: Limits, say: Callable[[Header], Said | None]) -> Said | None:
    path = Path(path)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            if detect_format(stream.read(MAGIC_BYTES)) != "DICOM":
                return None
            return _said_in(path, stream, limits, say)
    except (OSError, ValueError, MemoryError):
        return None


def _said_in(path: Path, stream: BinaryIO, limits: Limits, say: Callable[[Header], Said | None]) -> Said | None:
    from mammoscope.readers.dicom.header import read_header  # noqa: PLC0415

    for data, is_whole in _starts(stream, min(limits.file_bytes, _MOST_BYTES)):
        try:
            file = read_header(Source(path, data, sha256=""))
        except InputError:
            continue  # cut off within the header, where there is more of the file
        if is_whole or file.pixels is not None:
            return say(file.header)
    return None


def _starts(stream: BinaryIO, most: int) -> Iterator[tuple[bytes, bool]]:
    """The first bytes of a file, in growing pieces, and whether they are all; at most ``most`` bytes."""
    stream.seek(0)
    data, size = b"", _FIRST_BYTES
    while True:
        size = min(size, most)
        data += stream.read(size - len(data))
        yield data, len(data) < size
        if len(data) < size or size == most:
            return
        size *= _GROWTH
