"""Importers by name: built in, or of other packages."""

from __future__ import annotations

from typing import cast

from mammoscope.datasets.importers.importer import Importer
from mammoscope.errors import DatasetError
from mammoscope.extensions import Extensions

GROUP = "mammoscope.importers"
_BUILT_IN = {"cbis-ddsm": "mammoscope.datasets.importers.cbis_ddsm.importer:CbisDdsm"}
_NEEDED = ("name", "title", "licence", "credit", "citation", "find")
_IMPORTERS = Extensions(GROUP, _BUILT_IN)


def importer_names() -> tuple[str, ...]:
    """The names of all importers there are, sorted."""
    return _IMPORTERS.names


def find_importer(name: str) -> Importer:
    """The importer of that name; only it is imported.

    Raises
    ------
    DatasetError
        There is none of that name (lists the known names), or the one of another package cannot be used.
    """
    try:
        found = _IMPORTERS.load(name, DatasetError)
        importer = None if found is None else found()
    except Exception as error:
        problem = error if isinstance(error, DatasetError) else f"cannot be made ({type(error).__name__}: {error})"
        raise DatasetError(f"importer {name!r}: {problem}") from error
    if importer is None:
        raise DatasetError(f"no importer is named {name!r}; known are {', '.join(importer_names())}")
    if missing := [attribute for attribute in _NEEDED if not hasattr(importer, attribute)]:
        raise DatasetError(f"importer {name!r}: {type(importer).__name__} lacks {', '.join(missing)}")
    return cast(Importer, importer)
