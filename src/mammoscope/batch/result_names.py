"""A unique name for the results of each file of a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mammoscope.readers import input_name
from mammoscope.text import result_name

Shared = frozenset[int]


def result_names(paths: Sequence[Path]) -> Iterator[str]:
    """A unique name for the results of each file, in their order, see ``naming``."""
    name_of = naming(paths)
    return (name_of(place, path) for place, path in enumerate(paths))


def naming(paths: Sequence[Path]) -> Callable[[int, Path], str]:
    """What gives the name of a file's results from its place and path; unique also if a file system ignores case.

    Files of one name in different folders get the folder's name in front, or more of the path if needed. No list of
    names is kept: only eight bytes for each file while names are compared, and the names that several files share.
    """
    shared: list[Shared] = []
    while len(shared) <= len(_LONGER):
        found = _shared_names(paths, shared)
        if not found:
            break
        shared.append(found)
    is_numbered = len(shared) > len(_LONGER)

    def name_of(place: int, path: Path) -> str:
        name = _name(path, shared)
        return f"{name}_{place + 1}" if is_numbered else name

    return name_of


def _name(path: Path, shared: Sequence[Shared]) -> str:
    """A file's name, made longer as long as it is among those that several files share."""
    name = input_name(path)
    for longer, several in zip(_LONGER, shared, strict=False):
        if _digest(name) in several:
            name = longer(path)
    return name


def _shared_names(paths: Sequence[Path], shared: Sequence[Shared]) -> Shared:
    """Digests of the names that more than one file has."""
    digests = np.fromiter((_digest(_name(path, shared)) for path in paths), np.uint64, len(paths))
    values, counts = np.unique(digests, return_counts=True)
    return frozenset(values[counts > 1].tolist())


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.casefold().encode(), digest_size=8).digest(), "big")


def _with_folder(path: Path) -> str:
    return result_name(f"{path.resolve().parent.name}_{input_name(path)}")


def _with_extension(path: Path) -> str:
    return result_name(f"{path.resolve().parent.name}_{path.name}")


def _with_all_folders(path: Path) -> str:
    return result_name("_".join(path.resolve().parts[1:]))


_LONGER = (_with_folder, _with_extension, _with_all_folders)
