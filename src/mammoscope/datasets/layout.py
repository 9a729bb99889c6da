"""The dataset layout: a folder with ``images/``, tables of images and lesions, and perhaps ``crops/`` and ``masks/``.

Edition 1 is ``lesions.csv`` alone. Edition 2 adds ``images.csv``, so that images without a lesion exist, and
``dataset.json``; a folder with either of them is of edition 2.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mammoscope.datasets.dataset import Dataset
from mammoscope.datasets.info import INFO_FILE, DatasetInfo, read_folds, read_info, write_info
from mammoscope.datasets.rows import (
    COLUMNS,
    IMAGE_COLUMNS,
    PATHOLOGIES,
    SIDES,
    UNKNOWN,
    WHOLE_BREAST_COLUMNS,
    ImageRow,
    Lesion,
    parse_image,
    parse_lesion,
    parse_lesion_of,
)
from mammoscope.datasets.tables import Row, read_table, write_rows
from mammoscope.errors import DatasetError
from mammoscope.files import replacing
from mammoscope.kinds import DEFAULT_KIND

__all__ = [
    "COLUMNS",
    "IMAGE_TABLE",
    "PATHOLOGIES",
    "SIDES",
    "TABLE",
    "UNKNOWN",
    "Dataset",
    "ImageRow",
    "Lesion",
    "is_dataset",
    "load_dataset",
    "write_layout",
    "write_table",
]

TABLE = "lesions.csv"
IMAGE_TABLE = "images.csv"
_NAMING = ("image", "patient_id", "breast_side", "view")


def is_dataset(folder: Path) -> bool:
    """Whether a folder has a table of the layout."""
    return any((folder / name).is_file() for name in (TABLE, IMAGE_TABLE))


def load_dataset(folder: Path) -> Dataset:
    """Read and check a dataset's tables, and that every file they name is there.

    Raises
    ------
    DatasetError
        Names the file, the row (counted from 2, as a spreadsheet does), the column and the value.
    """
    image_table, info_file = folder / IMAGE_TABLE, folder / INFO_FILE
    dataset = _load_2(folder) if image_table.is_file() or info_file.is_file() else _load_1(folder)
    _check_files(dataset)
    return dataset


def write_table(path: Path, lesions: Sequence[Lesion]) -> None:
    """Write ``lesions.csv``; reading it again gives the same lesions."""
    kinds = () if all(lesion.kind == DEFAULT_KIND for lesion in lesions) else ("kind",)
    write_rows(path, (*COLUMNS, *kinds), lesions)


def write_layout(dataset: Dataset) -> None:
    """Write a dataset's tables, each as a whole, and ``dataset.json`` where it is of edition 2, into its folder.

    Raises
    ------
    MammoscopeError
        A file cannot be written.
    """
    with replacing(dataset.folder / TABLE) as part:
        write_table(part, dataset.lesions)
    if dataset.stated is not None:
        with replacing(dataset.folder / IMAGE_TABLE) as part:
            _write_images(part, dataset.image_rows())
        write_info(dataset.folder / INFO_FILE, dataset.stated)


def _write_images(path: Path, rows: Sequence[ImageRow]) -> None:
    unstated = {name for name in WHOLE_BREAST_COLUMNS if not any(getattr(row, name) for row in rows)}
    write_rows(path, [name for name in IMAGE_COLUMNS if name not in unstated], rows)


def _load_1(folder: Path) -> Dataset:
    path = folder / TABLE
    lesions = tuple(parse_lesion(row) for row in read_table(path, COLUMNS))
    if not lesions:
        raise DatasetError(f"{path}: holds no lesion")
    return Dataset(folder, lesions, _sha256(path))


def _load_2(folder: Path) -> Dataset:
    image_table, lesion_table, info_file = folder / IMAGE_TABLE, folder / TABLE, folder / INFO_FILE
    stated = read_info(info_file) if info_file.is_file() else DatasetInfo()
    if stated.folds is not None:
        read_folds(folder / stated.folds)
    lesion_rows: tuple[Row, ...] = ()
    is_listed = image_table.is_file()
    if lesion_table.is_file() or not is_listed:
        lesion_rows = read_table(lesion_table, ("image",) if is_listed else _NAMING, (*COLUMNS, "kind"))
    images = _listed_images(image_table) if is_listed else _images_of(lesion_rows)
    if not images:
        raise DatasetError(f"{image_table if is_listed else lesion_table}: holds no image")
    counts: Counter[str] = Counter()
    lesions = []
    for row in lesion_rows:
        image = images.get(row.file_name("image", required=True))
        if image is None:
            raise row.error("image", f"an image that {IMAGE_TABLE} lists")
        counts[image.image] += 1
        lesions.append(parse_lesion_of(row, image, counts[image.image], folder))
    hashes = (f"{path.name} {_sha256(path)}\n" for path in (lesion_table, image_table, info_file) if path.is_file())
    return Dataset(
        folder,
        tuple(lesions),
        hashlib.sha256("".join(hashes).encode()).hexdigest(),
        tuple(images.values()) if is_listed else (),
        stated,
    )


def _listed_images(path: Path) -> dict[str, ImageRow]:
    images: dict[str, ImageRow] = {}
    for row in read_table(path, _NAMING[:3], IMAGE_COLUMNS):
        image = parse_image(row)
        if image.image in images:
            raise row.error("image", "an image that is in no row above")
        images[image.image] = image
    return images


def _images_of(rows: Iterable[Row]) -> dict[str, ImageRow]:
    """The images as their lesions state them; the first lesion of an image counts."""
    images: dict[str, ImageRow] = {}
    for row in rows:
        images.setdefault(row.text("image"), replace(parse_image(row), normal=False))
    return images


def _check_files(dataset: Dataset) -> None:
    for number, image in enumerate(dataset.listed, start=2):
        _check_file(dataset, IMAGE_TABLE, number, "image", dataset.image_path(image.image))
    for number, lesion in enumerate(dataset.lesions, start=2):
        if not dataset.listed:
            _check_file(dataset, TABLE, number, "image", dataset.image_path(lesion.image))
        if lesion.crop:
            _check_file(dataset, TABLE, number, "crop", dataset.crop_path(lesion))
        if lesion.mask:
            _check_file(dataset, TABLE, number, "mask", dataset.mask_path(lesion))


def _check_file(dataset: Dataset, table: str, number: int, column: str, path: Path) -> None:
    if not path.is_file():
        raise DatasetError(f"{dataset.folder / table}, row {number}: column {column!r} names {path}: no such file")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
