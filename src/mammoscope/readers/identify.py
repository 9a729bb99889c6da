"""Read the exam key of a file from its header alone, before the file is analysed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mammoscope.errors import InputError
from mammoscope.readers.exam_key import RUN_SECRET, ExamSecret
from mammoscope.readers.limits import DEFAULT_LIMITS, Limits
from mammoscope.readers.source import MAGIC_BYTES, Source, detect_format

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
    path = Path(path)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            if detect_format(stream.read(MAGIC_BYTES)) != "DICOM":
                return None
            return _key_in(path, stream, limits, secret)
    except (OSError, ValueError, MemoryError):
        return None


def _key_in(path: Path, stream: BinaryIO, limits: Limits, secret: ExamSecret) -> str | None:
    # pydicom is loaded when a file needs it.
    from mammoscope.readers.dicom.exam_identity import exam_key_of  # noqa: PLC0415
    from mammoscope.readers.dicom.header import read_header  # noqa: PLC0415

    for data, is_whole in _starts(stream, min(limits.file_bytes, _MOST_BYTES)):
        try:
            file = read_header(Source(path, data, sha256=""))
        except InputError:
            continue  # cut off within the header, where there is more of the file
        if is_whole or file.pixels is not None:
            return exam_key_of(file.header, secret)
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
