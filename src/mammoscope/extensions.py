"""Extensions by name: those that are built in, and those that other packages register as entry points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mammoscope.errors import MammoscopeError


@dataclass(frozen=True)
class Extensions:
    """One kind of extension; only what is asked for is imported.

    Attributes
    ----------
    group
        Of the entry points.
    built_in
        Places (``"module:object"``) by name. A built-in extension cannot be replaced by that of another package.
    needed
        Attributes that every one has.
    """

    group: str
    built_in: Mapping[str, str] = field(default_factory=dict)
    needed: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all that there are, sorted."""
        return tuple(sorted({*self.built_in, *entry_points(group=self.group).names}))

    def load(self, name: str, error: type[MammoscopeError]) -> Any | None:
        """The extension of a name; None if there is none.

        Raises
        ------
        MammoscopeError
            Of the given type: it cannot be imported, or lacks what is needed; names the place.
        """
        if name in self.built_in:  # the packages that are installed take 30 ms to look through
            return loaded(EntryPoint(name, self.built_in[name], self.group), self.needed, error)
        for point in entry_points(group=self.group, name=name):
            return loaded(point, self.needed, error)
        return None


def loaded(point: EntryPoint, needed: Sequence[str], error: type[MammoscopeError]) -> Any:
    """What an entry point stands for; see ``Extensions.load``."""
    try:
        extension = point.load()
    except Exception as problem:
        raise error(f"{point.value} cannot be imported ({type(problem).__name__}: {problem})") from problem
    missing = [attribute for attribute in needed if not hasattr(extension, attribute)]
    if missing:
        raise error(f"{point.value} lacks {', '.join(missing)}")
    return extension
