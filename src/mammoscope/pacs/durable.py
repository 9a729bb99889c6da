"""Write files that survive a power failure."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mammoscope.files import replacing


def write_durably(path: Path, content: bytes) -> None:
    """Write a file as a whole, so that it survives a power failure.

    Raises
    ------
    MammoscopeError
        It cannot be written; names it.
    """
    with replacing(path) as temporary:
        sync(temporary, content)
    sync_folder(path.parent)


def sync(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows writes them with the files."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
