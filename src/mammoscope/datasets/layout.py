"""The dataset layout: a folder with ``lesions.csv``, ``images/`` and perhaps ``crops/`` and ``masks/``."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import DatasetError

TABLE = "lesions.csv"
PATHOLOGIES = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")
SIDES = ("LEFT", "RIGHT")
# Height over width of a CBIS-DDSM film where the table does not say: the mean of the 795 known ones.
TYPICAL_FILM_ASPECT = 1.74


@dataclass(frozen=True)
class Lesion:
    """One row of ``lesions.csv``: one mass on one mammogram.

    Attributes
    ----------
    x, y, width, height
        Box of the mass in pixels of the image file, frame ``original``.
    crop, mask
        File names in ``crops/`` and ``masks/``, empty where there are none.
    crop_flipped
        True where the crop is mirrored against the full image; None: not known.
    pixel_aspect
        True height over true width of the full mammogram; None: not known.
    box_order_assumed
        True where the image has several lesions and their boxes were paired with the labels by order.
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

    @property
    def malignant(self) -> bool:
        """Whether the biopsy said malignant; both kinds of benign are one class."""
        return self.pathology == "MALIGNANT"

    @property
    def box(self) -> NDArray[np.float64]:
        """``(4,)`` of (x0, y0, x1, y1), frame ``original``."""
        return np.array([self.x, self.y, self.x + self.width, self.y + self.height])


COLUMNS = tuple(field.name for field in fields(Lesion))


@dataclass(frozen=True)
class Dataset:
    """A folder in the dataset layout."""

    folder: Path
    lesions: tuple[Lesion, ...]
    sha256: str  # of lesions.csv

    @property
    def name(self) -> str:
        """The folder's name with its parent's: ``cbis-ddsm-mass/train``."""
        folder = self.folder.resolve()
        return f"{folder.parent.name}/{folder.name}"

    @cached_property
    def images(self) -> dict[str, tuple[Lesion, ...]]:
        """The lesions of each image, images in the order of the table."""
        grouped: dict[str, list[Lesion]] = {}
        for lesion in self.lesions:
            grouped.setdefault(lesion.image, []).append(lesion)
        return {image: tuple(lesions) for image, lesions in grouped.items()}

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Patient ids, sorted."""
        return tuple(sorted({lesion.patient_id for lesion in self.lesions}))

    @cached_property
    def film_aspect(self) -> float:
        """Height over width taken for the films whose own is not known."""
        known = [lesion.pixel_aspect for lesion in self.lesions if lesion.pixel_aspect is not None]
        return median(known) if known else TYPICAL_FILM_ASPECT

    def image_path(self, image: str) -> Path:
        """Where an image lies."""
        return self.folder / "images" / image

    def crop_path(self, lesion: Lesion) -> Path:
        """Where a lesion's crop lies."""
        return self.folder / "crops" / lesion.crop

    def mask_path(self, lesion: Lesion) -> Path:
        """Where a lesion's mask lies."""
        return self.folder / "masks" / lesion.mask

    def pixel_aspect(self, image: str, width: int, height: int) -> float:
        """Height of a pixel over its width, for an image file of ``width`` x ``height`` pixels.

        Where the table does not know the film's proportions, a square file is taken for a stretched film, and any other
        for one with square pixels.
        """
        film = self.images[image][0].pixel_aspect
        if film is None:
            return self.film_aspect if width == height else 1.0
        return film * width / height

    def of_patients(self, patients: Iterable[str]) -> Dataset:
        """The lesions of some patients; the folder and its hash stay."""
        wanted = set(patients)
        return Dataset(self.folder, tuple(row for row in self.lesions if row.patient_id in wanted), self.sha256)


def load_dataset(folder: Path) -> Dataset:
    """Read and check a dataset's table, and that every file it names is there.

    Raises
    ------
    DatasetError
        Names the file, the row (counted from 2, as a spreadsheet does), the column and the value.
    """
    path = folder / TABLE
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: is not UTF-8 text") from None
    reader = csv.DictReader(text.splitlines())
    header = reader.fieldnames or []
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise DatasetError(f"{path}: has no column {', '.join(map(repr, missing))}; it has {', '.join(header)}")
    try:
        lesions = tuple(_parse_row(row, f"{path}, row {number}") for number, row in enumerate(reader, start=2))
    except csv.Error as error:
        raise DatasetError(f"{path}: is no CSV table ({error})") from None
    if not lesions:
        raise DatasetError(f"{path}: holds no lesion")
    dataset = Dataset(folder, lesions, hashlib.sha256(raw).hexdigest())
    _check_files(dataset)
    return dataset


def write_table(path: Path, lesions: Sequence[Lesion]) -> None:
    """Write ``lesions.csv``; reading it again gives the same lesions."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for lesion in lesions:
            writer.writerow([_as_text(getattr(lesion, column)) for column in COLUMNS])


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _parse_row(row: dict[str, str | None], place: str) -> Lesion:
    def text(column: str, allowed: Sequence[str] = ()) -> str:
        value = (row[column] or "").strip()
        if allowed and value not in allowed:
            raise DatasetError(f"{place}: column {column!r} is {value!r}, expected one of {', '.join(allowed)}")
        return value

    def file_name(column: str, *, required: bool) -> str:
        value = text(column)
        if (required and not value) or value != Path(value).name:
            raise DatasetError(f"{place}: column {column!r} is {value!r}, expected a plain file name")
        return value

    def number(column: str, low: float, high: float) -> float:
        value = text(column)
        try:
            parsed = float(value)
        except ValueError:
            parsed = float("nan")
        if not low <= parsed <= high:
            raise DatasetError(f"{place}: column {column!r} is {value!r}, expected a number from {low:g} to {high:g}")
        return parsed

    def flag(column: str) -> bool | None:
        return {"": None, "0": False, "1": True}[text(column, ("", "0", "1"))]

    patient_id = text("patient_id")
    if not patient_id:
        raise DatasetError(f"{place}: column 'patient_id' is empty; splits are by patient")
    return Lesion(
        image=file_name("image", required=True),
        patient_id=patient_id,
        breast_side=text("breast_side", SIDES),
        view=text("view"),
        abnormality_id=text("abnormality_id"),
        x=number("x", -100, 100_000),
        y=number("y", -100, 100_000),
        width=number("width", 0.1, 100_000),
        height=number("height", 0.1, 100_000),
        pathology=text("pathology", PATHOLOGIES),
        assessment=text("assessment"),
        subtlety=text("subtlety"),
        breast_density=text("breast_density"),
        mass_shape=text("mass_shape"),
        mass_margins=text("mass_margins"),
        crop=file_name("crop", required=False),
        mask=file_name("mask", required=False),
        crop_flipped=flag("crop_flipped"),
        pixel_aspect=number("pixel_aspect", 0.2, 5) if text("pixel_aspect") else None,
        box_order_assumed=bool(flag("box_order_assumed")),
    )


def _check_files(dataset: Dataset) -> None:
    for number, lesion in enumerate(dataset.lesions, start=2):
        wanted = {"image": dataset.image_path(lesion.image)}
        if lesion.crop:
            wanted["crop"] = dataset.crop_path(lesion)
        if lesion.mask:
            wanted["mask"] = dataset.mask_path(lesion)
        for column, path in wanted.items():
            if not path.is_file():
                raise DatasetError(
                    f"{dataset.folder / TABLE}, row {number}: column {column!r} names {path}: no such file"
                )
