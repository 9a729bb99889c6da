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
        return tuple(sorted(self._points()))

    def load(self, name: str, error: type[MammoscopeError]) -> Any | None:
        """The extension of a name; None if there is none.

        Raises
        ------
        MammoscopeError
            Of the given type: it cannot be imported, or lacks what is needed; names the place.
        """
        point = self._points().get(name)
        return None if point is None else loaded(point, self.needed, error)

    def _points(self) -> dict[str, EntryPoint]:
        brought = {point.name: point for point in entry_points(group=self.group)}
        return brought | {name: EntryPoint(name, place, self.group) for name, place in self.built_in.items()}


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
