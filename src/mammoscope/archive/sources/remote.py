"""Images below a URL, by fsspec: object stores and whatever else it reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from mammoscope.archive.places import filesystem_of, is_url, remote_errors
from mammoscope.archive.sources.file import LONGEST_BATCH, Batch, remote_file
from mammoscope.archive.sources.folder import Refuse
from mammoscope.archive.sources.pattern import Pattern, is_pattern, split
from mammoscope.errors import InputError
from mammoscope.readers.inputs import holds_masks, is_passed_over, masks_among
from mammoscope.readers.source import IMAGE_SUFFIXES, MAGIC_BYTES, detect_format


def remote_batches(url: str, refuse: Refuse) -> Iterator[Batch]:
    """The images at or below a URL, or that match its glob.

    An object without an image's extension is taken if its first bytes say that it is an image: a request for each.

    Yields
    ------
    tuple of SourceFile
        Images of one folder, at most 10,000, sorted by name.

    Raises
    ------
    MammoscopeError
        The place cannot be reached or listed.
    """
    start, pattern = url, None
    if is_pattern(url):
        start, parts = split(url)
        pattern = Pattern.of(parts)
    with remote_errors(start):
        files, root = filesystem_of(start)
        if pattern is None and files.isfile(root):
            yield (remote_file(url, files.info(root)),)
        elif files.exists(root):
            yield from _below(files, root, refuse, pattern)
        else:
            refuse(InputError(start, "no such object or folder"))


def _below(files: Any, folder: str, refuse: Refuse, pattern: Pattern | None) -> Iterator[Batch]:
    """The images of a folder, then those of each folder in it."""
    try:
        listed = files.ls(folder, detail=True)
    except Exception as error:  # each library has errors of its own
        refuse(InputError(folder, f"cannot be listed ({type(error).__name__})"))
        return
    found = sorted(
        (one for one in listed if one["type"] == "file" and _is_wanted(files, one, pattern)),
        key=lambda one: str(one["name"]),
    )
    masks = masks_among(PurePosixPath(one["name"]) for one in found) if pattern is None else set()
    images = [one for one in found if PurePosixPath(one["name"]) not in masks]
    for first in range(0, len(images), LONGEST_BATCH):
        yield tuple(remote_file(_url(files, one), one) for one in images[first : first + LONGEST_BATCH])
    folders = [str(one["name"]).rstrip("/") for one in listed if one["type"] == "directory"]
    names = [name.rpartition("/")[2] for name in folders]
    for folder_in_it, name in zip(folders, names, strict=True):
        below = None if pattern is None else pattern.below(name)
        is_wanted = below is not None or (pattern is None and not holds_masks(name, names))
        if is_wanted and not name.startswith("."):
            yield from _below(files, folder_in_it, refuse, below)


def _url(files: Any, facts: Mapping[str, Any]) -> str:
    url = str(files.unstrip_protocol(str(facts["name"])))
    return url if is_url(url) else str(facts["name"])


def _is_wanted(files: Any, facts: Mapping[str, Any], pattern: Pattern | None) -> bool:
    path = PurePosixPath(str(facts["name"]))
    if is_passed_over(PurePosixPath(path.name)) or not (pattern is None or pattern.takes(path.name)):
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        return detect_format(files.cat_file(str(path), start=0, end=MAGIC_BYTES)) is not None
    except Exception:  # it cannot be read now; trying gives its error
        return True
