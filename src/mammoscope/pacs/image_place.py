"""How an image is called, and where its files are. Names come from a hash of its UID, never from its header."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from mammoscope.files import replacing

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5 9.1); pydicom's own check quotes one that is none in a warning."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def key_of(sop_instance: str) -> str:
    """The name that an image has on disk and in logs."""
    return hashlib.sha256(sop_instance.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ImagePlace:
    """The folder of one image.

    Attributes
    ----------
    folder
        ``DATA/files/<key>``.
    """

    folder: Path

    @property
    def image(self) -> Path:
        """The image as it came, as a DICOM file."""
        return self.folder / "image.dcm"

    @property
    def analysis(self) -> Path:
        """What the analysis says, as JSON."""
        return self.folder / "analysis.json"

    def result(self, kind: str) -> Path:
        """One DICOM object with results."""
        return self.folder / f"{kind}.result.dcm"

    def results(self) -> list[Path]:
        """The DICOM objects that are there."""
        return sorted(self.folder.glob("*.result.dcm"))


def write_durably(path: Path, content: bytes) -> None:
    """Write a file as a whole, so that it is still there after the power has failed.

    Raises
    ------
    MammoscopeError
        It cannot be written; names it.
    """
    with replacing(path) as temporary:
        sync(temporary, content)
    sync_folder(path.parent)


def sync(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; Windows writes them with the files."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
