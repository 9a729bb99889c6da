"""From the paths that the user gave to the list of files to read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

from mammoscope.errors import InputError
from mammoscope.readers.source import IMAGE_SUFFIXES, MAGIC_BYTES, detect_format

_OWN_OUTPUTS = (".overlay.png", ".preprocessed.png", ".json", ".sr.dcm", ".seg.dcm", ".sc.dcm", ".gsps.dcm", ".cad.dcm")
_MASK_OF = re.compile(r"(?P<image>.+?)[ _.-]?mask[ _-]?\d*", re.IGNORECASE)
_MASK_FOLDERS, _IMAGE_FOLDERS = ("mask", "masks", "roi masks"), ("image", "images")


def _raise(error: InputError) -> None:
    raise error


def find_inputs(paths: Iterable[Path], refuse: Callable[[InputError], None] = _raise) -> list[Path]:
    """Expand folders into the image files they hold.

    A file that is given is always taken. In a folder, at any depth, a file is taken if its name or its first bytes say
    that it is an image. One with an image's extension that is damaged or cannot be opened is kept, so that reading it
    gives an error. Hidden files, DICOMDIR, mammoscope's own results and masks of other files are left out.

    Parameters
    ----------
    paths
        Files and folders.
    refuse
        Called with an error for each path that does not exist, and each folder that cannot be listed or holds no image;
        if it returns, the search continues. By default the first error is raised.

    Returns
    -------
    list of Path
        In the order given, the files of a folder sorted by name; each file once, however often it was named.
    """
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        try:
            if not path.exists():
                refuse(InputError(path, "no such file or folder"))
                continue
            inside = _images_below(path, refuse) if path.is_dir() else [path]
        except (OSError, ValueError) as error:
            refuse(_unreadable(path, error))
            continue
        for file in inside:
            found.setdefault(os.path.join(os.path.realpath(file.parent), file.name), file)  # noqa: PTH118
    return list(found.values())


def is_passed_over(path: PurePath) -> bool:
    """Whether a file is skipped because of its path within a folder or an archive, whatever it holds.

    That is a hidden file, one in a hidden folder, DICOMDIR, or a result of mammoscope.
    """
    name = path.name.lower()
    is_hidden = any(part.startswith(".") and part != ".." for part in path.parts)
    return is_hidden or name == "dicomdir" or name.endswith(_OWN_OUTPUTS)


def masks_among(paths: Iterable[PurePath]) -> set[PurePath]:
    """The files that are masks of others among these, by their names, as annotated collections have them.

    That is ``x_mask.png``, ``x.Mask2.jpg`` or ``x mask.tif`` beside a file ``x``, and what lies in a folder ``masks``
    beside one that is called ``images``. One whose image is not there is an image itself.
    """
    listed = list(paths)
    stems = {(path.parent, path.stem.lower()) for path in listed}
    folders = {(path.parent.parent, path.parent.name.lower()) for path in listed}
    return {
        path
        for path in listed
        if ((found := _MASK_OF.fullmatch(path.stem)) and (path.parent, found["image"].lower()) in stems)
        or (
            path.parent.name.lower() in _MASK_FOLDERS
            and any((path.parent.parent, name) in folders for name in _IMAGE_FOLDERS)
        )
    }


def holds_masks(folder: str, beside: Iterable[str]) -> bool:
    """Whether a folder holds the masks of the images in one beside it, by their names; see ``masks_among``."""
    return folder.lower() in _MASK_FOLDERS and any(name.lower() in _IMAGE_FOLDERS for name in beside)


def _unreadable(path: Path | str, error: OSError | ValueError) -> InputError:
    return InputError(path, f"cannot be read ({getattr(error, 'strerror', None) or 'not a usable name'})")


def _images_below(folder: Path, refuse: Callable[[InputError], None]) -> list[Path]:
    closed: list[OSError] = []
    images = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        images += [Path(place, name) for name in names if is_candidate(Path(place, name))]
    for error in closed:
        refuse(_unreadable(error.filename, error))
    if not images and not closed:
        refuse(InputError(folder, "holds no DICOM, PNG, JPEG, TIFF or PGM file"))
    return sorted(set(images) - masks_among(images))


def is_candidate(path: Path) -> bool:
    """Whether a file of a folder is taken: its name or its first bytes say that it is an image."""
    if is_passed_over(PurePath(path.name)):
        return False
    try:
        if not path.is_file():
            return False
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return True
        with path.open("rb") as stream:
            return detect_format(stream.read(MAGIC_BYTES)) is not None
    except OSError:
        return True
