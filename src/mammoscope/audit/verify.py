"""Check a trail from its first line to its last."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mammoscope.audit.chain import FIRST, WHOLE_LINE, content_of, file_name, files_of, hash_of_torn, lines_of, locked
from mammoscope.errors import MammoscopeError


@dataclass(frozen=True)
class Verified:
    """The result of checking a trail.

    Attributes
    ----------
    chain
        The chain's name, ``""`` if no line is valid.
    entries
        How many analyses it records, up to the first invalid line.
    head
        Hash of the last valid line. Noted elsewhere, it shows later whether lines at the end were removed.
    torn
        Lines that a crash cut off, as ``FILE, line N``. Their content is lost; the chain continues.
    broken
        The first invalid line, as ``FILE, line N: why``; None: all are valid.
    """

    chain: str
    entries: int
    head: str
    torn: tuple[str, ...]
    broken: str | None


def verify_trail(folder: Path, head: str | None = None) -> Verified:
    """Check every line of a trail against its own hash and the line before.

    Parameters
    ----------
    folder
        Where the trail is.
    head
        Hash that was the head earlier: the chain must still contain that line.

    Raises
    ------
    MammoscopeError
        There is no trail, or it cannot be read.
    """
    check, broken = _Check(), None
    try:
        with locked(folder, read_only=True):
            files = files_of(folder)
            if not files:
                raise MammoscopeError(f"{folder}: holds no audit trail")
            try:
                for number, path in enumerate(files, start=1):
                    if path.name != file_name(number):
                        raise _BrokenError(f"{file_name(number)}: is missing")
                    check.file(path)
                if not check.hashes:
                    raise _BrokenError(f"{files[0].name}: has no line of a trail that is whole")
                if head is not None and head not in check.hashes:
                    raise _BrokenError(f"end: no line has the hash {head}: it was changed or removed")
            except _BrokenError as error:
                broken = str(error)
    except OSError as error:
        raise MammoscopeError(f"{folder}: the audit trail cannot be read ({error.strerror})") from None
    return Verified(check.chain, check.entries, check.head, (*check.torn, *check.unannounced), broken)


class _BrokenError(Exception):
    """An invalid line; the text says which, and why."""


@dataclass
class _Check:
    """Goes through a trail, file by file, line by line."""

    chain: str = ""
    entries: int = 0
    head: str = FIRST
    hashes: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    # Places and bytes of lines that were cut off, until the next complete line records them.
    unannounced: dict[str, bytes] = field(default_factory=dict)

    def file(self, path: Path) -> None:
        """Check the lines of the next file."""
        is_begun = False
        for number, line in enumerate(lines_of(path), start=1):
            place = f"{path.name}, line {number}"
            whole = WHOLE_LINE.fullmatch(line)
            if whole is None:
                self.unannounced[place] = line
                continue
            entry = content_of(whole)
            if entry is None:
                raise _BrokenError(f"{place}: was changed")
            self._announce(place, entry)
            if entry["previous"] != self.head:
                raise _BrokenError(f"{place}: does not follow the line before, one or more are missing")
            if is_begun == ("chain" in entry) or self.chain not in ("", entry.get("chain", self.chain)):
                raise _BrokenError(
                    f"{place}: the name of the chain must be in the first line of each file, and only there"
                )
            is_begun = True
            self.chain = entry.get("chain", self.chain)
            self.entries += "chain" not in entry
            self.head = whole[2].decode()
            self.hashes.add(self.head)

    def _announce(self, place: str, entry: dict[str, Any]) -> None:
        if entry.get("torn") != hash_of_torn(list(self.unannounced.values())):
            if self.unannounced:
                raise _BrokenError(f"{next(iter(self.unannounced))}: is not a line of a trail")
            raise _BrokenError(f"{place}: records a line that was cut off, which is missing")
        self.torn += self.unannounced
        self.unannounced.clear()
