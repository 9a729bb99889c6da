"""What an importer of a published collection gives: its images, their lesions, and how to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.rows import KIND_NAMES, PATHOLOGIES, SIDES, UNKNOWN
from mammoscope.kinds import DEFAULT_KIND

ReadImage = Callable[[], NDArray[np.uint16]]


def lesion_name(image: str, abnormality_id: str) -> str:
    """A lesion's name in reports and files: ``P_00001_LEFT_CC_1``.

    An underscore of the id is written as in an address, ``%5F``, so that lesions of two images never share a name.
    """
    return f"{image}_{abnormality_id.replace('%', '%25').replace('_', '%5F')}"


class UnusableError(Exception):
    """An image or mask that is missing, or that is not what it should be; the text says what."""


@dataclass(frozen=True, eq=False)
class FoundMask:
    """The mask of a lesion, as it is in its file.

    Attributes
    ----------
    mask
        ``(H, W) bool`` of the whole image: True on the lesion. One of another size is resized to the image's.
    remark
        A word for the report under which this lesion is listed, such as ``"swapped"``; empty: none.
    """

    mask: NDArray[np.bool_]
    remark: str = ""


ReadMask = Callable[[tuple[int, int]], FoundMask]


@dataclass(frozen=True)
class FoundLesion:
    """A lesion that a collection lists. It has a box or a mask; if it has both, the box is taken from the mask.

    Attributes
    ----------
    abnormality_id
        Identifies it among the lesions of its image; part of file names.
    source
        The files it is read from, as the collection names them: if they change, it is read again.
    box
        (x, y, width, height) in pixels of the image.
    read_mask
        Gives the mask from rows and columns of the image; called in another process, so it must be picklable. Raises
        ``UnusableError`` or a ``MammoscopeError``.
    is_one_part
        Only the largest connected part of the mask counts, and stray pixels do not. False for lesions of several parts.
    pathology
        One of ``PATHOLOGIES``, or ``"UNKNOWN"``.
    """

    abnormality_id: str
    source: str = ""
    box: tuple[float, float, float, float] | None = None
    read_mask: ReadMask | None = None
    is_one_part: bool = True
    kind: str = DEFAULT_KIND
    pathology: str = UNKNOWN
    assessment: str = ""
    subtlety: str = ""
    mass_shape: str = ""
    mass_margins: str = ""

    def __post_init__(self) -> None:
        if self.box is None and self.read_mask is None:
            raise ValueError(f"lesion {self.abnormality_id!r} has neither a box nor a mask")
        _require(self, "abnormality_id", self.abnormality_id != "" and _is_plain(self.abnormality_id), "a plain name")
        _require(self, "kind", self.kind in KIND_NAMES, f"one of {', '.join(KIND_NAMES)}")
        _require(
            self, "pathology", self.pathology in (*PATHOLOGIES, UNKNOWN), f"one of {', '.join(PATHOLOGIES)}, UNKNOWN"
        )


@dataclass(frozen=True)
class FoundImage:
    """An image that a collection lists.

    Attributes
    ----------
    name
        Of the image in the dataset, without extension: ``P_00001_LEFT_CC``. Two files of one name become one image
        if their pixels are the same, else two. A lesion is identified by this name, its id and the split.
    read
        Gives the pixels ``(H, W) uint16``, brighter is denser, over the full range; called in another process, so it
        must be picklable. Raises ``UnusableError`` or a ``MammoscopeError``.
    source
        The file it is read from, as the collection names it: if it changes, the image is read again.
    split
        The published split, which becomes a folder; empty if there is none.
    pixel_spacing_mm
        Distance between rows and between columns, in millimetres of the breast; None: not known, and pixels are square.
    normal
        True: no lesion, as the collection says. False: it shows one, whether or not it is listed, or it is not known
        whether it does. None: as listed.
    pathology, assessment
        Of the breast as a whole, where the collection labels images or breasts: one of ``PATHOLOGIES``, and BI-RADS.
    """

    name: str
    patient_id: str
    read: ReadImage
    source: str = ""
    breast_side: str = ""
    view: str = ""
    exam: str = ""
    split: str = ""
    pixel_spacing_mm: tuple[float, float] | None = None
    breast_density: str = ""
    normal: bool | None = None
    pathology: str = ""
    assessment: str = ""
    lesions: tuple[FoundLesion, ...] = ()

    def __post_init__(self) -> None:
        _require(self, "name", self.name != "" and _is_plain(self.name), "a plain file name")
        _require(self, "patient_id", self.patient_id != "", "an id: splits are by patient")
        _require(self, "breast_side", self.breast_side in (*SIDES, ""), f"one of {', '.join(SIDES)} or empty")
        _require(self, "split", _is_plain(self.split), "a plain folder name")
        _require(self, "pathology", self.pathology in (*PATHOLOGIES, ""), f"one of {', '.join(PATHOLOGIES)} or empty")
        if self.normal and self.lesions:
            raise ValueError(f"image {self.name!r} is called normal and has {len(self.lesions)} lesions")

    @property
    def place(self) -> str:
        """Its name in reports: ``train/P_00001_LEFT_CC``."""
        return f"{self.split}/{self.name}" if self.split else self.name

    def name_of(self, lesion: FoundLesion) -> str:
        """A lesion's name in reports: ``train/P_00001_LEFT_CC_1``."""
        return lesion_name(self.place, lesion.abnormality_id)

    def names(self) -> tuple[str, ...]:
        """The names in reports of its lesions, or its own where it has none."""
        return tuple(map(self.name_of, self.lesions)) or (self.place,)

    def digest(self, lesion: FoundLesion | None = None) -> str:
        """A hash of what is known of the image and of one of its lesions: later runs recognise finished work by it."""
        facts = [(name, value) for name, value in _facts(self) if name != "lesions"]
        facts += [(f"lesion {name}", value) for name, value in _facts(lesion)] if lesion else []
        return hashlib.sha256(repr(facts).encode()).hexdigest()


@dataclass(frozen=True)
class Found:
    """What an importer found in a download.

    Attributes
    ----------
    problems
        What ``find`` has left out, by its name in reports, and why.
    info
        More about the dataset than the importer's own name, licence, credit, citation and url, and in place of them
        where it states one: published figures, usual groups.
    folds
        Published folds for validation of each split that has some: fold number, from 0, by patient id.
    files
        Texts to write beside the splits, by plain file name.
    remarks
        More for the report, by a word each: names or ids.
    counted
        Words of remarks: the report holds under the word how many there are, and under WORD_lesions which.
    """

    images: tuple[FoundImage, ...]
    problems: tuple[tuple[str, str], ...] = ()
    info: DatasetInfo | None = None
    folds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counted: tuple[str, ...] = ()


class Importer(Protocol):
    """Reads one published collection. Found by its name: built in, or an entry point of ``mammoscope.importers``.

    Attributes
    ----------
    name
        What the command line calls it: ``cbis-ddsm``.
    title
        What the collection is called: ``CBIS-DDSM``.
    licence, credit, citation
        For everything made from it; ``credit`` is one line.

    It may also have ``url``, a text that says where the collection is to be had: nothing is downloaded.
    """

    name: str
    title: str
    licence: str
    credit: str
    citation: str

    def find(self, source: Path) -> Found:
        """List what a download holds, without reading any pixels.

        Raises
        ------
        DatasetError
            The folder is not such a download; names what is missing.
        """


def _facts(found: object) -> list[tuple[str, object]]:
    values = [(one.name, getattr(found, one.name)) for one in fields(found)]  # type: ignore[arg-type]
    return [(name, value) for name, value in values if not callable(value)]


def _is_plain(name: str) -> bool:
    return name == Path(name).name and "\\" not in name and not name.startswith(".")


def _require(found: object, what: str, is_right: bool, expected: str) -> None:
    if not is_right:
        raise ValueError(f"{type(found).__name__}.{what} is {getattr(found, what)!r}, expected {expected}")
