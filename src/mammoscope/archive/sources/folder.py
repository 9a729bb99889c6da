"""Images of a folder, as ``find_inputs`` finds them, but listed as they are needed: no list of all is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from mammoscope.archive.sources.file import LONGEST_BATCH, Batch, local_file
from mammoscope.archive.sources.pattern import Pattern
from mammoscope.errors import InputError
from mammoscope.readers.inputs import holds_masks, is_candidate, masks_among

Refuse = Callable[[InputError], None]


def folder_batches(folder: Path, refuse: Refuse, pattern: Pattern | None = None) -> Iterator[Batch]:
    """The images below a folder, at any depth.

    Parameters
    ----------
    folder
        Where to look.
    refuse
        Called with the error of each folder that cannot be listed.
    pattern
        What paths below the folder must match; None: all images but hidden ones, own results and masks of others. In a
        folder of more than 10,000 files a mask is left out only if it is listed with its image.

    Yields
    ------
    tuple of SourceFile
        Images of one folder, at most 10,000, sorted by name among themselves.
    """
    if pattern is None and _holds_masks(folder):
        return
    files = _files_of(folder, refuse, pattern)
    while found := list(islice(files, LONGEST_BATCH)):
        masks = masks_among(found) if pattern is None else set()
        if images := sorted(set(found) - masks):
            yield tuple(local_file(path) for path in images)
    for inner, below in _folders_of(folder, pattern):
        yield from folder_batches(inner, refuse, below)


def _files_of(folder: Path, refuse: Refuse, pattern: Pattern | None) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                if (pattern is None or pattern.takes(entry.name)) and is_candidate(path):
                    yield path
    except OSError as error:
        refuse(InputError(folder, f"cannot be listed ({error.strerror})"))


def _folders_of(folder: Path, pattern: Pattern | None) -> Iterator[tuple[Path, Pattern | None]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                below = None if pattern is None else pattern.below(entry.name)
                is_wanted = pattern is None or below is not None
                if is_wanted and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path), below
    except OSError:  # said when its files were listed
        return


def _holds_masks(folder: Path) -> bool:
    return holds_masks(folder.name, _names_in(folder.parent))


def _names_in(folder: Path) -> Iterator[str]:
    """Listed only if somebody asks for the first."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except OSError:
        return
