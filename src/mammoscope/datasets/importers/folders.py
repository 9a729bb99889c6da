"""Find the parts of a download, wherever it was unpacked, and say what is missing of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mammoscope.datasets.importers.importer import Found
from mammoscope.errors import DatasetError

_SHOWN = 6


def wrong_layout(source: Path, expected: str) -> DatasetError:
    """The error that a folder is not the download: what is missing of it, and what it holds instead."""
    if not source.is_dir():
        return DatasetError(f"{source}: is not a folder; expected one with {expected}")
    names = sorted(path.name + "/" * path.is_dir() for path in source.iterdir() if not path.name.startswith("."))
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return DatasetError(f"{source}: holds no {expected}; it holds {shown or 'nothing'}")


def files_below(source: Path, suffixes: Collection[str]) -> list[Path]:
    """The files with these suffixes (``".png"``, in any case) at any depth, sorted; hidden ones are left out."""
    return sorted(
        path
        for path in source.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
        and path.is_file()
    )


def file_named(source: Path, names: Iterable[str]) -> Path | None:
    """The file with the first of these names that there is, in any case of its letters, nearest to the top."""
    for name in names:
        found = [path for path in files_below(source, {Path(name).suffix.lower()}) if path.name.lower() == name.lower()]
        if found:
            return min(found, key=lambda path: (len(path.parts), path))
    return None


def folder_named(source: Path, name: str) -> Path | None:
    """The folder of this name, in any case of its letters, nearest to the top; it may be ``source`` itself."""
    found = [path for path in (source, *source.rglob("*")) if path.name.lower() == name.lower() and path.is_dir()]
    return min(found, key=lambda path: (len(path.parts), path)) if found else None


def by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by their name without its extension; the first of a name counts."""
    named: dict[str, Path] = {}
    for path in paths:
        named.setdefault(path.stem, path)
    return named


@contextmanager
def told_of(place: str) -> Iterator[None]:
    """Tell of a value that an image or a lesion cannot have (``ValueError``) as the fault of the file at ``place``.

    Raises
    ------
    DatasetError
        Instead of the ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise DatasetError(f"{place}: {error}") from None


def found_or_refused(source: Path, found: Found, expected: str) -> Found:
    """What was found, if there is an image in it.

    Raises
    ------
    DatasetError
        There is none; says what was expected and what the folder holds.
    """
    if not found.images:
        raise wrong_layout(source, expected)
    return found
