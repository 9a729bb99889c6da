"""Importers by name: built in, or of other packages.

A built-in importer is a file or a folder of this package that bears its name: ``inbreast.py``, or ``cbis_ddsm/`` with
``importer.py`` in it. It holds one class that meets ``Importer``.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import Any, cast

from mammoscope.datasets.importers.importer import Importer
from mammoscope.errors import DatasetError
from mammoscope.extensions import Extensions

GROUP = "mammoscope.importers"
# What is no importer, but shared by them.
_SHARED = frozenset(
    ("crops", "dicom_pixels", "dicom_views", "find", "folders", "grey", "importer", "labels", "outlines", "records",
     "report", "run", "sheets", "view")
)  # fmt: skip
_NEEDED = ("name", "title", "licence", "credit", "citation", "find")
_OTHERS = Extensions(GROUP)


def importer_names() -> tuple[str, ...]:
    """The names of all importers there are, sorted."""
    return tuple(sorted({*_built_in(), *_OTHERS.names}))


def find_importer(name: str) -> Importer:
    """The importer of that name; only it is imported.

    Raises
    ------
    DatasetError
        There is none of that name (lists the known names), or the one of another package cannot be used.
    """
    if name in _built_in():
        return cast(Importer, _defined_in(importlib.import_module(_built_in()[name]))())
    try:
        found = _OTHERS.load(name, DatasetError)
        importer = None if found is None else found()
    except Exception as error:
        problem = error if isinstance(error, DatasetError) else f"cannot be made ({type(error).__name__}: {error})"
        raise DatasetError(f"importer {name!r}: {problem}") from error
    if importer is None:
        raise DatasetError(f"no importer is named {name!r}; known are {', '.join(importer_names())}")
    if missing := [attribute for attribute in _NEEDED if not hasattr(importer, attribute)]:
        raise DatasetError(f"importer {name!r}: {type(importer).__name__} lacks {', '.join(missing)}")
    return cast(Importer, importer)


@cache
def _built_in() -> dict[str, str]:
    """Modules by the name of their importer."""
    modules = {}
    for item in files(__package__).iterdir():
        stem = item.name.removesuffix(".py")
        if stem in _SHARED or not re.fullmatch(r"[a-z][a-z0-9_]*", stem):
            continue
        if item.name.endswith(".py"):
            modules[stem.replace("_", "-")] = f"{__package__}.{stem}"
        elif item.is_dir() and (item / "importer.py").is_file():
            modules[stem.replace("_", "-")] = f"{__package__}.{stem}.importer"
    return modules


def _defined_in(module: ModuleType) -> type[Any]:
    """The importer that a module holds."""
    return next(
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and thing.__module__ == module.__name__
        and all(hasattr(thing, name) for name in _NEEDED)
    )
