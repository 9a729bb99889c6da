"""Untrusted ZIP archives: entries are counted, measured and copied out, never extracted by their path."""

from __future__ import annotations

import errno
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mammoscope.readers.inputs import is_passed_over, masks_among
from mammoscope.readers.source import IMAGE_SUFFIXES, MAGIC_BYTES, detect_format
from mammoscope.server.settings import UploadLimits
from mammoscope.text import printable

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_BLOCK = 1 << 20
_RATIO = 200  # a mammogram that is mostly black shrinks to a fiftieth
_RATIO_FREE_BYTES = 1 << 20
_LARGEST_DIRECTORY = 4 << 20
_MOST_ENTRIES = 10_000
_END = struct.Struct("<4s4H2LH")
_END_MAGIC, _ZIP64_LOCATOR_MAGIC, _ZIP64_LOCATOR_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20
_LONGEST_COMMENT = 65535
_ENCRYPTED = 0x1
_LONGEST_NAME = 200


class TooMuchError(Exception):
    """An upload is larger than a limit; the text is one sentence for the client."""


class Budget:
    """Counts what an upload holds, against its limits."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits, self._files, self._bytes = limits, 0, 0

    def take_file(self) -> None:
        """Count one file; raises TooMuchError."""
        self._files += 1
        if self._files > self._limits.files:
            raise TooMuchError(f"the upload has more than {self._limits.files} files")

    def take_bytes(self, count: int) -> None:
        """Count bytes of files; raises TooMuchError."""
        self._bytes += count
        if self._bytes > self._limits.bytes:
            raise TooMuchError(f"the upload has more than {self._limits.bytes} bytes")


@dataclass(frozen=True)
class Received:
    """A file of an upload.

    Attributes
    ----------
    name
        To be shown.
    problem
        Why it will not be analysed; None if it will.
    part
        Place in the form of the file, or of the archive that it was in.
    source
        The folder or archive that it was in: on the sender's word, only files of one are an exam.
    """

    name: str
    problem: str | None = None
    part: int = 0
    source: str = ""


def shown_name(name: str) -> str:
    """The last part of a path as text of one line, whatever system the path came from."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return printable(last)[:_LONGEST_NAME] or "unnamed"


def folder_of(name: str) -> str:
    """A path without its last part, whatever system it came from."""
    return name.replace("\\", "/").rstrip("/").rpartition("/")[0]


def is_archive(path: Path) -> bool:
    """Whether a file starts as a ZIP archive does."""
    with path.open("rb") as stream:
        return stream.read(4) in ZIP_MAGIC


def expand(archive: Path, shown: str, new_file: Callable[[], Path], budget: Budget) -> Iterator[Received]:
    """Copy the images of an archive out.

    Entries that are not images, or are skipped in folders too (masks of other entries among them), are left out.

    Parameters
    ----------
    archive, shown
        The file, and its name for who sent it.
    new_file
        Gives the place for the next file.
    budget
        Is charged for each.

    Yields
    ------
    Received
        One for each image, and one for each entry, or for the archive, that is refused.

    Raises
    ------
    TooMuchError
        The archive, or what it holds, is larger than a limit.
    """
    with archive.open("rb") as stream:
        problem = _directory_problem(stream)
        if problem is not None:
            yield Received(shown, problem)
            return
        try:
            with zipfile.ZipFile(stream) as opened:
                masks = {str(path) for path in masks_among(map(_place_of, opened.infolist()))}
                for entry in opened.infolist():
                    if str(_place_of(entry)) in masks:
                        continue
                    received = _copy(opened, entry, shown, new_file, budget)
                    if received is not None:
                        budget.take_file()
                        yield received
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
            if getattr(error, "errno", None) in (
                errno.ENOSPC,
                getattr(errno, "EDQUOT", errno.ENOSPC),
            ):  # the disk's fault, not the archive's
                raise
            yield Received(shown, "is a damaged ZIP archive")


def _place_of(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _copy(
    opened: zipfile.ZipFile, entry: zipfile.ZipInfo, shown: str, new_file: Callable[[], Path], budget: Budget
) -> Received | None:
    """Copy one entry out; None where it is left out."""
    name = shown_name(entry.filename)
    if entry.is_dir() or is_passed_over(_place_of(entry)):
        return None
    if entry.flag_bits & _ENCRYPTED:
        return Received(name, "is encrypted, which is not supported: send the archive without a password")
    if stat.S_ISLNK(entry.external_attr >> 16):
        return Received(name, "is a link within the ZIP archive, expected a file")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Received(name, "is compressed in a way that is not supported, expected Deflate")
    if entry.file_size > _RATIO_FREE_BYTES and entry.file_size > _RATIO * entry.compress_size:
        raise TooMuchError(f"{shown} holds a file that grows more than {_RATIO}-fold when it is opened")
    try:
        with opened.open(entry) as source:
            start = source.read(MAGIC_BYTES)
            if start[:4] in ZIP_MAGIC:
                return Received(name, "is a ZIP archive within a ZIP archive, which is not opened")
            if Path(name).suffix.lower() not in IMAGE_SUFFIXES and detect_format(start) is None:
                return None
            budget.take_bytes(len(start))
            with new_file().open("wb") as target:
                target.write(start)
                while block := source.read(_BLOCK):
                    budget.take_bytes(len(block))
                    target.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return Received(name, "is damaged in the ZIP archive")
    return Received(name, source=folder_of(entry.filename))


def _directory_problem(stream: BinaryIO) -> str | None:
    """What is wrong with an archive's end record, read before ``zipfile`` takes the whole directory into memory."""
    size = stream.seek(0, 2)
    start = max(0, size - _END.size - _LONGEST_COMMENT - _ZIP64_LOCATOR_BYTES)
    stream.seek(start)
    tail = stream.read()
    place = len(tail) - _END.size
    if not (place >= 0 and tail[place:].startswith(_END_MAGIC) and tail.endswith(b"\0\0")):
        place = tail.rfind(_END_MAGIC)
    if place < 0 or len(tail) - place < _END.size:
        return "is a damaged ZIP archive"
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack_from(tail, place)
    if tail[max(0, place - _ZIP64_LOCATOR_BYTES) : place].startswith(_ZIP64_LOCATOR_MAGIC):
        return "is a ZIP64 archive, which is not opened: send its files, or several smaller archives"
    if entries > _MOST_ENTRIES or directory_bytes > _LARGEST_DIRECTORY:
        raise TooMuchError(f"a ZIP archive has more than {_MOST_ENTRIES} entries")
    return None
