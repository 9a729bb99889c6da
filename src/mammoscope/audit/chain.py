"""The files of a trail: lines of JSON, each with its own hash and that of the line before."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammoscope.errors import MammoscopeError

FIRST = "0" * 64  # the first line's value for the hash of the line before
FILE_BYTES = 1 << 20  # about 1,700 analyses; adding a line reads its file
WHOLE_LINE = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"\}')
_FILE_NAME = re.compile(r"audit-\d{6}\.jsonl")
_LOCK = "audit.lock"
_WAY_OUT = "check it with 'mammoscope audit verify', then start another in a new folder"


@dataclass(frozen=True)
class _End:
    """The end of a trail: its last complete line, that line's file, and the lines after it, which a crash cut off."""

    whole: re.Match[bytes] | None
    file: Path | None
    torn: list[bytes]


def append(folder: Path, entry: dict[str, Any], file_bytes: int) -> None:
    """Write a line after the last complete one, at once and to the disk; for use while the folder is locked.

    Raises
    ------
    OSError
        The folder cannot be read or written to.
    MammoscopeError
        The last line was changed, so that nothing can follow it.
    """
    files = files_of(folder)
    end = _end_of(files)
    path = files[-1] if files else folder / file_name(1)
    is_begun = end.file == path
    if is_begun and path.stat().st_size >= file_bytes:
        path, is_begun = folder / file_name(_number_of(path) + 1), False
    new = [entry]
    if not is_begun:
        chain = secrets.token_hex(16) if end.whole is None else _chain_of(files)
        new.insert(0, {"chain": chain, "time": entry["time"]})
    if end.torn:
        new[0] = {"torn": hash_of_torn(end.torn), **new[0]}
    text, previous = b"", FIRST if end.whole is None else end.whole[2].decode()
    for content in new:
        line, previous = _sealed({**content, "previous": previous})
        text += line + b"\n"
    with path.open("ab") as stream:
        stream.write(text if _ends_a_line(path) else b"\n" + text)
        stream.flush()
        os.fsync(stream.fileno())


def _end_of(files: list[Path]) -> _End:
    torn: list[bytes] = []
    for file in reversed(files):
        lines = lines_of(file)
        while lines:
            if whole := WHOLE_LINE.fullmatch(lines[-1]):
                if content_of(whole) is None:
                    raise MammoscopeError(f"{file}: line {len(lines)} was changed; {_WAY_OUT}")
                return _End(whole, file, torn)
            torn.insert(0, lines.pop())
    return _End(None, None, torn)


def _sealed(content: dict[str, Any]) -> tuple[bytes, str]:
    """A line and its hash, which is over all of the line before it."""
    body = json.dumps(content, separators=(",", ":")).encode()[:-1]
    seal = hashlib.sha256(body).hexdigest()
    return body + f',"hash":"{seal}"}}'.encode(), seal


def content_of(whole: re.Match[bytes]) -> dict[str, Any] | None:
    """The content of a complete line; None if its hash does not match, or it is not a line of a trail."""
    if hashlib.sha256(whole[1]).hexdigest().encode() != whole[2]:
        return None
    try:
        content = json.loads(whole[0])
    except ValueError:
        return None
    return content if isinstance(content, dict) and "previous" in content else None


def hash_of_torn(lines: list[bytes]) -> str | None:
    """Hash of lines that a crash cut off, which the next line holds; None where there are none."""
    return hashlib.sha256(b"\n".join(lines)).hexdigest() if lines else None


def _chain_of(files: list[Path]) -> str:
    for line in lines_of(files[0]):
        whole = WHOLE_LINE.fullmatch(line)
        content = whole and content_of(whole)
        if content and "chain" in content:
            return str(content["chain"])
    raise MammoscopeError(f"{files[0]}: does not name its chain; {_WAY_OUT}")


def lines_of(path: Path) -> list[bytes]:
    """The lines of a file; the last one may lack its end."""
    lines = path.read_bytes().split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _ends_a_line(path: Path) -> bool:
    return path.read_bytes()[-1:] in (b"", b"\n")


def files_of(folder: Path) -> list[Path]:
    """The files of a trail in their order."""
    return sorted(path for path in folder.iterdir() if _FILE_NAME.fullmatch(path.name))


def file_name(number: int) -> str:
    """The name of a trail's file, counted from 1."""
    return f"audit-{number:06}.jsonl"


def _number_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


@contextmanager
def locked(folder: Path, *, read_only: bool = False) -> Iterator[None]:
    """Lock the folder for one thread of one process at a time; a lock ends with the process that holds it.

    With ``read_only``, a folder without a lock file, such as a copy, is not locked.
    """
    path = folder / _LOCK
    if read_only and not path.exists():
        yield
        return
    with path.open("rb" if read_only else "ab") as stream:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 (only there)

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl  # noqa: PLC0415 (not on Windows)

            fcntl.flock(stream, fcntl.LOCK_SH if read_only else fcntl.LOCK_EX)
        yield
