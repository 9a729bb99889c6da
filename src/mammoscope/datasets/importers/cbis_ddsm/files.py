"""The files of a CBIS-DDSM download: where they are, which is the mask, and their pixels without loss.

In the common edition as JPEG, and in some of DICOM, folders bear the series UID, the last folder in a table's path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.importers.dicom_pixels import Grey16, read_pixels
from mammoscope.datasets.importers.grey import ShownImage
from mammoscope.datasets.importers.importer import UnusableError
from mammoscope.errors import InputError

_JPEGS = (".jpg", ".jpeg")
_MOST_CANDIDATES = 8
_LEAST_BINARY = 0.99  # of a mask's pixels; a crop has nowhere near as many of its darkest and brightest
_RINGING = 2056  # of 65535, or 8 of 255: what JPEG adds to black and takes from white around a mask's border
_MOST_STRETCHED = 0.1  # relative difference of the sides' ratio up to which a mask is one of the mammogram


@dataclass(frozen=True, eq=False)
class MaskFile:
    """The mask of a lesion.

    Attributes
    ----------
    mask
        ``(H, W) bool``, of the size that the file has.
    swapped
        True where the table's name for it belongs to the crop.
    """

    mask: NDArray[np.bool_]
    swapped: bool


class Folders:
    """Finds the folders that the tables name, wherever the download put them.

    A folder may exist several times, because mammograms and masks can be downloaded separately.
    """

    def __init__(self, folders: dict[str, tuple[Path, ...]]) -> None:
        self._folders = folders

    @classmethod
    def below(cls, source: Path, names: Iterable[str]) -> Folders:
        """Walk a download for folders of these names."""
        wanted = set(names)
        found: dict[str, list[Path]] = {}
        for place, folders, _ in os.walk(source):
            for name in sorted(wanted.intersection(folders)):
                found.setdefault(name, []).append(Path(place, name))
            # The content of a folder is looked at when it is read.
            folders[:] = sorted(set(folders) - wanted)
        return cls({name: tuple(paths) for name, paths in found.items()})

    def __len__(self) -> int:
        return len(self._folders)

    def __contains__(self, name: str) -> bool:
        return name in self._folders

    def only(self, names: Iterable[str]) -> Folders:
        """The part of the index that one task needs."""
        return Folders({name: self._folders[name] for name in names if name in self._folders})

    def files(self, path: str) -> list[Path]:
        """The files that a table's path may mean, in the order of their names.

        Those in the folder that it names, whatever their names; where the downloader named the folders of study and
        series in its own way, all below the first folder; where there is no such folder, those in one that is named
        by the series UID alone.

        Raises
        ------
        UnusableError
            There is none.
        """
        first, *rest = PurePosixPath(path).parts
        tops = self._folders.get(first, ())
        by_series = self._folders.get(series_of(path), ())
        if not tops and not by_series:
            raise UnusableError(f"the folder {first} is missing")
        exact = [file for top in tops for file in _image_files(top.joinpath(*rest[:-1]), deep=False)]
        found = exact or [file for top in tops or by_series for file in _image_files(top, deep=True)]
        if not found:
            raise UnusableError(f"the folder {first} holds no DICOM or JPEG file")
        return found


def series_of(path: str) -> str:
    """The series UID in a table's path: the last folder; empty where it has but one."""
    parts = PurePosixPath(path).parts
    return parts[-2] if len(parts) > 2 else ""


def read_image_file(path: str, folders: Folders) -> Grey16:
    """The mammogram that a table names, ``(H, W) uint16``.

    Raises
    ------
    UnusableError
        It is missing or ambiguous.
    InputError
        It cannot be read.
    """
    files = folders.files(path)
    named = [file for file in files if file.name == PurePosixPath(path).name]
    if len(files) > 1 and len(named) != 1:
        raise UnusableError(f"the folder {PurePosixPath(path).parts[0]} holds {len(files)} images, expected one")
    return _read((named or files)[0])


def find_mask(mask_path: str, crop_path: str, folders: Folders, shape: tuple[int, int]) -> MaskFile:
    """Tell the mask from the crop by their pixels: a mask has two values and about the mammogram's proportions.

    Parameters
    ----------
    mask_path, crop_path
        As the table names them; they may be the same folder, with the two files in either order.
    shape
        Rows and columns of the mammogram.

    Raises
    ------
    UnusableError
        No file is a mask of this mammogram; says what the files are.
    """
    expected = _expected_mask(folders, mask_path, crop_path)
    candidates = list(
        dict.fromkeys([*expected, *_files_if_any(folders, mask_path), *_files_if_any(folders, crop_path)])
    )
    if not candidates:
        folders.files(mask_path)  # raises with the reason
    found: list[tuple[float, MaskFile]] = []
    faults: list[str] = []
    for file in candidates[:_MOST_CANDIDATES]:
        try:
            pixels = _read(file)
        except InputError as error:
            faults.append(f"{file.name} {error.problem}")
            continue
        problem = _not_a_mask(pixels, shape, _RINGING if file.suffix.lower() in _JPEGS else 0)
        if problem:
            faults.append(f"{file.name} {problem}")
            continue
        swapped = bool(expected) and file not in expected
        found.append((abs(np.log(pixels.size / (shape[0] * shape[1]))), MaskFile(_upper_half(pixels), swapped)))
        if pixels.shape == shape:
            break
    if not found:
        raise UnusableError(f"none of its files is a mask: {'; '.join(faults)}")
    return min(found, key=lambda pair: pair[0])[1]


def _upper_half(pixels: Grey16) -> NDArray[np.bool_]:
    return np.asarray(pixels > (int(pixels.min()) + int(pixels.max())) / 2)


def _read(path: Path) -> Grey16:
    return ShownImage(path)() if path.suffix.lower() in _JPEGS else read_pixels(path)


def _not_a_mask(pixels: Grey16, shape: tuple[int, int], tolerance: int) -> str | None:
    low, high = int(pixels.min()), int(pixels.max())
    if high - low <= tolerance:
        return "has one value only"
    if np.count_nonzero((pixels <= low + tolerance) | (pixels >= high - tolerance)) < _LEAST_BINARY * pixels.size:
        return "has more than two values (a crop)"
    ratio = (pixels.shape[0] / pixels.shape[1]) / (shape[0] / shape[1])
    if not 1 / (1 + _MOST_STRETCHED) <= ratio <= 1 + _MOST_STRETCHED:
        return (
            f"is a mask of {pixels.shape[1]} x {pixels.shape[0]} pixels, "
            f"which do not fit the mammogram's {shape[1]} x {shape[0]}"
        )
    return None


def _expected_mask(folders: Folders, mask_path: str, crop_path: str) -> list[Path]:
    """The file that the table's name for the mask means, empty where that cannot be told.

    In some downloads 000000.dcm, the first of a folder, is called 1-1.dcm.
    """
    files, name = _files_if_any(folders, mask_path), PurePosixPath(mask_path)
    exact = [file for file in files if file.name == name.name]
    if len(exact) == 1 or len(files) == 1:
        return exact or files
    is_one_folder = name.parent == PurePosixPath(crop_path).parent and len({file.parent for file in files}) == 1
    if not is_one_folder or not name.stem.isdigit():
        return []
    return files[int(name.stem) : int(name.stem) + 1]


def _files_if_any(folders: Folders, path: str) -> list[Path]:
    try:
        return folders.files(path)
    except UnusableError:
        return []


def _image_files(folder: Path, *, deep: bool) -> list[Path]:
    if not folder.is_dir():
        return []
    paths = folder.rglob("*") if deep else folder.iterdir()
    return sorted((path for path in paths if _may_be_image(path)), key=_natural)


def _may_be_image(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file():
        return False
    return path.suffix.lower() in (".dcm", "", *_JPEGS)


def _natural(path: Path) -> tuple[str, list[int], str]:
    """A key that puts 1-2 before 1-10."""
    return str(path.parent), [int(number) for number in re.findall(r"\d+", path.name)], path.name
