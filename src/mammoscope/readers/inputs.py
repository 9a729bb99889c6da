"""From what the user named to the list of files to read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mammoscope.errors import InputError
from mammoscope.readers.source import IMAGE_SUFFIXES, MAGIC_BYTES, detect_format

_OWN_OUTPUTS = (".overlay.png", ".preprocessed.png", ".json")


def find_inputs(paths: Iterable[Path]) -> list[Path]:
    """Expand folders into the image files they hold.

    A file that is named is taken whatever it is. In a folder, at any depth, a file is taken where its name or its first
    bytes say that it is an image: one with an image's extension but broken content is kept, so that reading it names
    the fault. Hidden files, DICOMDIR and what mammoscope writes are left out.

    Returns
    -------
    list of Path
        In the order given, the files of a folder sorted by name; each file once.

    Raises
    ------
    InputError
        A path does not exist, a folder may not be listed, or holds no image.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        try:
            if not path.exists():
                raise InputError(path, "no such file or folder")
            inside = _images_below(path) if path.is_dir() else [path]
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a usable name"
            raise InputError(path, f"cannot be read ({reason})") from None
        if not inside:
            raise InputError(path, "holds no DICOM, PNG, JPEG or TIFF file")
        found.update(dict.fromkeys(inside))
    return list(found)


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise error

    images = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        images += [Path(place, name) for name in names if _is_candidate(Path(place, name))]
    return sorted(images)


def _is_candidate(path: Path) -> bool:
    name = path.name.lower()
    if name.startswith(".") or name == "dicomdir" or name.endswith(_OWN_OUTPUTS) or not path.is_file():
        return False
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with path.open("rb") as stream:
            return detect_format(stream.read(MAGIC_BYTES)) is not None
    except OSError:
        return False
