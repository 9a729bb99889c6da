"""The rows of a dataset's two tables: a lesion on an image, and an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.pixels import image_size, read_mask
from mammoscope.datasets.tables import Row
from mammoscope.errors import DatasetError
from mammoscope.kinds import DEFAULT_KIND, KINDS

PATHOLOGIES = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
UNKNOWN = "UNKNOWN"
SIDES = ("LEFT", "RIGHT")
KIND_NAMES = tuple(kind.name for kind in KINDS)

_BOX = ("x", "y", "width", "height")
_SPACINGS_MM = (0.001, 10.0)


@dataclass(frozen=True)
class Lesion:
    """One row of ``lesions.csv``: one lesion on one mammogram.

    Attributes
    ----------
    x, y, width, height
        Box of the lesion in pixels of the image file, frame ``original``.
    pathology
        One of ``PATHOLOGIES``, or ``"UNKNOWN"``.
    crop, mask
        File names in ``crops/`` and ``masks/``, empty where there are none. The mask shows the same square as the crop;
        without a crop it has the size of the image.
    crop_flipped
        True if the crop is mirrored relative to the full image; None: not known.
    pixel_aspect
        True height over true width of the full mammogram; None: not known.
    box_order_assumed
        True where the image has several lesions and their boxes were paired with the labels by order.
    kind
        What it is: one of ``KIND_NAMES``.
    """

    image: str
    patient_id: str
    breast_side: str
    view: str
    abnormality_id: str
    x: float
    y: float
    width: float
    height: float
    pathology: str
    assessment: str
    subtlety: str
    breast_density: str
    mass_shape: str
    mass_margins: str
    crop: str
    mask: str
    crop_flipped: bool | None
    pixel_aspect: float | None
    box_order_assumed: bool
    kind: str = DEFAULT_KIND

    @property
    def malignant(self) -> bool | None:
        """Whether it is malignant; both kinds of benign are one class. None: the pathology is not known."""
        return None if self.pathology in ("", UNKNOWN) else self.pathology == "MALIGNANT"

    @property
    def box(self) -> NDArray[np.float64]:
        """``(4,)`` of (x0, y0, x1, y1), frame ``original``."""
        return np.array([self.x, self.y, self.x + self.width, self.y + self.height])


@dataclass(frozen=True)
class ImageRow:
    """One row of ``images.csv``: one mammogram, with or without lesions.

    Attributes
    ----------
    breast_side, view
        Empty where they are not known.
    exam
        Identifies the exam among those of a patient; images of one patient and one exam belong together.
    split
        The published split that it belongs to, such as ``"train"``; empty if there is none.
    pixel_spacing_mm
        Distance between rows and between columns, in millimetres of the breast; None: not known.
    pixel_aspect
        True height over true width of the full mammogram, as in ``lesions.csv``; None: not known.
    normal
        True: it shows no lesion. False: it shows one, whether or not ``lesions.csv`` holds it. None: as ``lesions.csv``
        says.
    pathology
        Of the breast as a whole, where a collection labels images without saying where: one of ``PATHOLOGIES``; else
        empty.
    assessment
        BI-RADS category of the breast as a whole; else empty.
    vendor, year
        Of the machine, and in which year the image was made, as the dataset states them; figures are broken down by
        them.
    """

    image: str
    patient_id: str
    breast_side: str = ""
    view: str = ""
    exam: str = ""
    split: str = ""
    pixel_spacing_mm: tuple[float, float] | None = None
    pixel_aspect: float | None = None
    breast_density: str = ""
    normal: bool | None = None
    pathology: str = ""
    assessment: str = ""
    vendor: str = ""
    year: str = ""

    @classmethod
    def of_lesion(cls, lesion: Lesion) -> ImageRow:
        """The image of a lesion, as a table of lesions alone states it."""
        return cls(
            image=lesion.image,
            patient_id=lesion.patient_id,
            breast_side=lesion.breast_side,
            view=lesion.view,
            pixel_aspect=lesion.pixel_aspect,
            breast_density=lesion.breast_density,
            normal=False,
        )


COLUMNS = tuple(field.name for field in fields(Lesion) if field.name != "kind")  # of edition 1
IMAGE_COLUMNS = tuple(field.name for field in fields(ImageRow))
WHOLE_BREAST_COLUMNS = ("pathology", "assessment")  # written where an image states them


def parse_lesion(row: Row, *, sides: Sequence[str] = SIDES, pathologies: Sequence[str] = PATHOLOGIES) -> Lesion:
    """A complete row of ``lesions.csv``, as every row of edition 1 is.

    Raises
    ------
    DatasetError
        A cell has an invalid value; names file, row, column and value.
    """
    return Lesion(
        image=row.file_name("image", required=True),
        patient_id=_patient(row),
        breast_side=row.text("breast_side", sides),
        view=row.text("view"),
        abnormality_id=row.text("abnormality_id"),
        x=row.number("x", -100, 100_000),
        y=row.number("y", -100, 100_000),
        width=row.number("width", 0.1, 100_000),
        height=row.number("height", 0.1, 100_000),
        pathology=row.text("pathology", pathologies),
        assessment=row.text("assessment"),
        subtlety=row.text("subtlety"),
        breast_density=row.text("breast_density"),
        mass_shape=row.text("mass_shape"),
        mass_margins=row.text("mass_margins"),
        crop=row.file_name("crop"),
        mask=row.file_name("mask"),
        crop_flipped=row.flag("crop_flipped"),
        pixel_aspect=row.number_or_none("pixel_aspect", 0.2, 5),
        box_order_assumed=bool(row.flag("box_order_assumed")),
        kind=row.text("kind", (*KIND_NAMES, "")) or DEFAULT_KIND,
    )


def parse_lesion_of(row: Row, image: ImageRow, number: int, folder: Path) -> Lesion:
    """A row of edition 2: missing values are taken from its image, and a missing box from its mask.

    Parameters
    ----------
    number
        Which lesion of the image it is, from 1: its id if the row states none.
    folder
        The dataset, for reading the mask if there is no box.

    Raises
    ------
    DatasetError
        As ``parse_lesion``; also where the row contradicts its image.
    """
    if image.normal:
        raise row.error("image", "an image with lesions, but images.csv says that it is normal")
    for column in ("patient_id", "breast_side", "view"):
        if row.text(column) not in ("", getattr(image, column)):
            raise row.error(column, f"{getattr(image, column)!r}, as images.csv says of {image.image}")
    aspect = "" if image.pixel_aspect is None else f"{image.pixel_aspect:.10g}"
    cells = {
        **row.cells,
        "patient_id": image.patient_id,
        "breast_side": image.breast_side,
        "view": image.view,
        "abnormality_id": row.text("abnormality_id") or str(number),
        "pathology": row.text("pathology") or UNKNOWN,
        "breast_density": row.text("breast_density") or image.breast_density,
        "pixel_aspect": row.text("pixel_aspect") or aspect,
    }
    if not any(row.text(column) for column in _BOX):
        cells |= dict(zip(_BOX, map(str, _box_of_mask(row, folder)), strict=True))
    return parse_lesion(Row(row.place, cells), sides=(*SIDES, ""), pathologies=(*PATHOLOGIES, UNKNOWN))


def parse_image(row: Row) -> ImageRow:
    """A row of ``images.csv``.

    Raises
    ------
    DatasetError
        A cell has an invalid value; names file, row, column and value.
    """
    return ImageRow(
        image=row.file_name("image", required=True),
        patient_id=_patient(row),
        breast_side=row.text("breast_side", (*SIDES, "")),
        view=row.text("view"),
        exam=row.text("exam"),
        split=row.text("split"),
        pixel_spacing_mm=_spacing(row),
        pixel_aspect=row.number_or_none("pixel_aspect", 0.2, 5),
        breast_density=row.text("breast_density"),
        normal=row.flag("normal"),
        pathology=row.text("pathology", (*PATHOLOGIES, "")),
        assessment=row.text("assessment"),
        vendor=row.text("vendor"),
        year=row.text("year"),
    )


def _patient(row: Row) -> str:
    patient = row.text("patient_id")
    if not patient:
        raise DatasetError(f"{row.place}: column 'patient_id' is empty; splits are by patient")
    return patient


def _spacing(row: Row) -> tuple[float, float] | None:
    """One number for square pixels, or that of rows and that of columns, separated by a blank."""
    column = "pixel_spacing_mm"
    parts = row.text(column).split()
    if not parts:
        return None
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    low, high = _SPACINGS_MM
    if len(numbers) not in (1, 2) or not all(low <= number <= high for number in numbers):
        raise row.error(column, f"millimetres from {low:g} to {high:g}: one number, or row and column '0.05 0.05'")
    return numbers[0], numbers[-1]


def _box_of_mask(row: Row, folder: Path) -> tuple[int, int, int, int]:
    """Box (x, y, width, height) of a mask that has its image's size."""
    name = row.file_name("mask")
    if not name:
        raise row.error("x", "a number, or a mask from which to take the box")
    try:
        mask = read_mask(folder / "masks" / name)
        width, height = image_size(folder / "images" / row.text("image"))
    except DatasetError as error:
        raise DatasetError(f"{row.place}: column 'mask': {error}") from None
    if mask.shape != (height, width):
        size = f"{mask.shape[1]} x {mask.shape[0]} pixels"
        raise row.error("mask", f"a mask of the image's {width} x {height} pixels, as there is no box; it has {size}")
    if not mask.any():
        raise row.error("mask", "a mask with a lesion in it, as there is no box; it is black")
    x, y, box_width, box_height = (int(side) for side in cv2.boundingRect(mask.astype(np.uint8)))
    return x, y, box_width, box_height
