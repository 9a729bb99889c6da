"""Write so that it is still there after the power has failed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mammoscope.files import replacing


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
