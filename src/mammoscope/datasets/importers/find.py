"""Importers by name: built in, or of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import cast

from mammoscope.datasets.importers.importer import Importer
from mammoscope.errors import DatasetError

GROUP = "mammoscope.importers"
_BUILT_IN = (EntryPoint("cbis-ddsm", "mammoscope.datasets.importers.cbis_ddsm.importer:CbisDdsm", GROUP),)
_NEEDED = ("name", "title", "licence", "credit", "citation", "find")


def importer_names() -> tuple[str, ...]:
    """The names of all importers there are, sorted."""
    return tuple(sorted(_known()))


def find_importer(name: str) -> Importer:
    """The importer of that name; only it is imported.

    Raises
    ------
    DatasetError
        There is none of that name (lists the known names), or the one of another package cannot be used.
    """
    known = _known()
    if name not in known:
        raise DatasetError(f"no importer is named {name!r}; known are {', '.join(importer_names())}")
    try:
        importer = known[name].load()()
    except Exception as error:
        raise DatasetError(f"importer {name!r}: {known[name].value} cannot be opened ({error})") from error
    missing = [attribute for attribute in _NEEDED if not hasattr(importer, attribute)]
    if missing:
        raise DatasetError(f"importer {name!r}: {known[name].value} lacks {', '.join(missing)}")
    return cast(Importer, importer)


def _known() -> dict[str, EntryPoint]:
    """By name; a built-in one cannot be replaced."""
    brought = {point.name: point for point in entry_points(group=GROUP)}
    return brought | {point.name: point for point in _BUILT_IN}
