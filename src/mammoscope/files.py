"""Write files completely or not at all, so that no reader or resumed run finds an incomplete file; and hash them."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from mammoscope.errors import MammoscopeError

_READ_BYTES = 1 << 20


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of ``path``; what the block writes there takes the place of ``path`` at its end.

    The folder is made if it is missing.

    Raises
    ------
    MammoscopeError
        The file cannot be written; names it.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:60]}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        # mkstemp makes files for the owner only; give what a plain open would have given.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise MammoscopeError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as a whole; raises as ``replacing`` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text as a whole; raises as ``replacing`` does."""
    write_bytes(path, content.encode())


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table with every column that one of them has, in the order of their first."""
    stream = StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON as a whole; raises as ``replacing`` does."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def is_special(path: Path) -> bool:
    """Whether there is a pipe, a device or a socket: reading it may never end."""
    return path.exists() and not path.is_file() and not path.is_dir()


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


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
