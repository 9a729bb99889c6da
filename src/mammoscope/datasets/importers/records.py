"""What was imported under one image name, and the record by which a later run resumes."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from mammoscope.datasets.importers.importer import FoundImage
from mammoscope.datasets.rows import ImageRow, Lesion
from mammoscope.files import write_json

_RECORD_VERSION = 3  # increased when what is imported changes, so that older work is done again

Record = TypeVar("Record", ImageRow, Lesion)


@dataclass(frozen=True)
class ViewTask:
    """The files that a collection lists under one name.

    Attributes
    ----------
    images
        At least one, all of one split and name.
    out
        Folder of the split, in the dataset layout.
    record
        File that records what was done, so that a later run need not repeat it.
    """

    images: tuple[FoundImage, ...]
    out: Path
    record: Path

    def names(self) -> tuple[str, ...]:
        """Of its lesions, and of its images without one."""
        return tuple(name for image in self.images for name in image.names())


@dataclass(frozen=True)
class ImportedImage:
    """An image in the dataset; ``pixel_hash`` is of its pixels."""

    digest: str
    row: ImageRow
    pixel_hash: str


@dataclass(frozen=True)
class ImportedLesion:
    """A lesion in the dataset.

    Attributes
    ----------
    resized
        Size of the mask's file and of the image, if they differ.
    remark
        The importer's, about its mask.
    """

    digest: str
    lesion: Lesion
    resized: str | None = None
    remark: str = ""


@dataclass
class ViewResult:
    """What became of a task: images and lesions by their digest.

    Attributes
    ----------
    skipped
        The lesion, or an image without one, and the reason.
    reused
        How many lesions, and images without one, an earlier run had finished.
    """

    images: dict[str, ImportedImage] = field(default_factory=dict)
    lesions: dict[str, ImportedLesion] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    reused: int = 0

    def image_name(self, stem: str, pixels: str) -> str:
        """That of the image whose pixels have this hash, else the first free name."""
        names = {image.pixel_hash: image.row.image for image in self.images.values()}
        if pixels in names:
            return names[pixels]
        taken, number = set(names.values()), 1
        while (name := f"{stem}.png" if number == 1 else f"{stem}_copy{number}.png") in taken:
            number += 1
        return name


def write_record(task: ViewTask, result: ViewResult) -> None:
    """Record what is in the dataset.

    Raises
    ------
    MammoscopeError
        The file cannot be written.
    """
    record = {
        "version": _RECORD_VERSION,
        "images": [asdict(image) for image in result.images.values()],
        "lesions": [asdict(lesion) for lesion in result.lesions.values()],
    }
    write_json(task.record, record)


def read_record(task: ViewTask) -> ViewResult:
    """What the record of an earlier run holds, as far as it is of these images and its files are still there."""
    wanted = {image.digest() for image in task.images}
    wanted_lesions = {image.digest(lesion) for image in task.images for lesion in image.lesions}
    result = ViewResult()
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(task.record.read_text(encoding="utf-8"))
        if record["version"] != _RECORD_VERSION:
            return result
        for entry in record["images"]:
            image = ImportedImage(**{**entry, "row": _row_of(ImageRow, entry["row"])})
            if image.digest in wanted and (task.out / "images" / image.row.image).is_file():
                result.images[image.digest] = image
        names = {image.row.image for image in result.images.values()}
        for entry in record["lesions"]:
            imported = ImportedLesion(**{**entry, "lesion": _row_of(Lesion, entry["lesion"])})
            lesion = imported.lesion
            files = [
                task.out / folder / name for folder, name in (("crops", lesion.crop), ("masks", lesion.mask)) if name
            ]
            if imported.digest in wanted_lesions and lesion.image in names and all(file.is_file() for file in files):
                result.lesions[imported.digest] = imported
    return result


def _row_of(kind: type[Record], values: dict[str, Any]) -> Record:
    """A row from JSON, which has no tuples."""
    spacing = values.get("pixel_spacing_mm")
    changed = {"pixel_spacing_mm": tuple(spacing)} if spacing else {}
    return kind(**{**{one.name: values[one.name] for one in fields(kind)}, **changed})
