"""A file to analyse, as a source lists it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammoscope.archive.places import is_url
from mammoscope.archive.rows import digest


@dataclass(frozen=True)
class SourceFile:
    """A file, not opened yet.

    Attributes
    ----------
    place
        Its path or URL.
    key
        Hash of its place, size and time: a file that is replaced is another.
    """

    place: str
    key: str

    @property
    def is_remote(self) -> bool:
        """Whether it must be fetched."""
        return is_url(self.place)


Batch = tuple[SourceFile, ...]  # files of one folder, or of one exam of a manifest

LONGEST_BATCH = 10_000


def local_file(path: Path) -> SourceFile:
    """A file of this machine; one that is missing gets its error when it is read."""
    place = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 (a link is a file of its own)
    try:
        facts = path.stat()
        stamp = f"{facts.st_size} {facts.st_mtime_ns}"
    except (OSError, ValueError):
        stamp = "missing"
    return SourceFile(str(path), digest(f"{place}\0{stamp}"))


def remote_file(url: str, facts: Mapping[str, Any]) -> SourceFile:
    """An object, with what its store says of it."""
    stamps = (facts.get(name) for name in ("ETag", "etag", "md5", "LastModified", "last_modified", "mtime", "created"))
    stamp = next((stamp for stamp in stamps if stamp is not None), "")
    return SourceFile(url, digest(f"{url}\0{facts.get('size')} {stamp}"))
