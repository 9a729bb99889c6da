"""Globs, a folder at a time: a walk goes only where a match may be."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

_MAGIC = frozenset("*?[")
_ANY_DEPTH = "**"


def is_pattern(text: str) -> bool:
    """Whether a text has a sign that a glob gives a meaning."""
    return not _MAGIC.isdisjoint(text)


@dataclass(frozen=True)
class Pattern:
    """What may follow below a folder: any of these lists of parts. ``**`` stands for any number of folders.

    Attributes
    ----------
    ways
        Parts of paths, such as ``("**", "*.dcm")``; none is empty.
    """

    ways: frozenset[tuple[str, ...]]

    @classmethod
    def of(cls, parts: Sequence[str]) -> Pattern:
        """The pattern of one list of parts."""
        return cls(_closed({tuple(parts)}))

    def takes(self, name: str) -> bool:
        """Whether a file of this name in the folder matches."""
        return any(len(way) == 1 and fnmatch.fnmatchcase(name, way[0]) for way in self.ways)

    def below(self, name: str) -> Pattern | None:
        """The pattern in a folder of this name in the folder; None: nothing there matches."""
        kept = {way for way in self.ways if way[0] == _ANY_DEPTH}
        kept |= {way[1:] for way in self.ways if way[0] != _ANY_DEPTH and fnmatch.fnmatchcase(name, way[0])}
        kept.discard(())
        return Pattern(_closed(kept)) if kept else None


def split(place: str) -> tuple[str, tuple[str, ...]]:
    """The folder before the first part with a sign of a glob, and the parts from there on."""
    parts = place.split("/")
    first = next(number for number, part in enumerate(parts) if is_pattern(part))
    folder = "/".join(parts[:first])
    return folder if folder or first == 0 else "/", tuple(parts[first:])


def _closed(ways: set[tuple[str, ...]]) -> frozenset[tuple[str, ...]]:
    """With the ways on which ``**`` stands for no folder."""
    found = set(ways)
    for way in ways:
        while way[0] == _ANY_DEPTH and len(way) > 1:
            way = way[1:]  # noqa: PLW2901 (step by step)
            found.add(way)
    return frozenset(found)
