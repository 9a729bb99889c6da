"""Import the files of one image name with their lesions: the work of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.files import write_png
from mammoscope.datasets.importers.crops import cut_crop, cut_mask, lesion_in_mask
from mammoscope.datasets.importers.importer import FoundImage, FoundLesion, UnusableError, lesion_name
from mammoscope.datasets.importers.records import (
    ImportedImage,
    ImportedLesion,
    ViewResult,
    ViewTask,
    read_record,
    write_record,
)
from mammoscope.datasets.pixels import pixel_hash
from mammoscope.datasets.rows import ImageRow, Lesion
from mammoscope.errors import MammoscopeError, place_of


class _SkippedError(Exception):
    """A lesion that is left out; the text says why."""


def import_view(task: ViewTask) -> ViewResult:
    """Write the images, crops and masks of one name, except those that an earlier run has finished.

    An image whose lesions are all skipped is left out: without them, it would count as normal.

    Raises
    ------
    MammoscopeError
        A file cannot be written.
    """
    result = read_record(task)
    before = len(result.images), len(result.lesions)
    for found in task.images:
        todo = [lesion for lesion in found.lesions if found.digest(lesion) not in result.lesions]
        is_done = found.digest() in result.images
        result.reused += len(found.lesions) - len(todo) if found.lesions else int(is_done)
        if todo or not is_done:
            _import_image(found, todo, task, result)
    if (len(result.images), len(result.lesions)) != before:
        write_record(task, result)
    return result


def _import_image(found: FoundImage, todo: list[FoundLesion], task: ViewTask, result: ViewResult) -> None:
    """Import an image and those of its lesions that are still to do."""
    try:
        pixels = _checked(found.read())
    except Exception as error:
        names = [found.name_of(lesion) for lesion in todo] or [found.place]
        result.skipped += [(name, f"mammogram: {_reason(error)}") for name in names]
        return
    digest, pixels_hash = found.digest(), pixel_hash(pixels)
    name = result.image_name(found.name, pixels_hash)
    row = _row(found, name, pixels)
    lesions: list[ImportedLesion] = []
    for lesion in todo:
        try:
            lesions.append(_import_lesion(found, lesion, row, pixels, task.out))
        except _SkippedError as error:
            result.skipped.append((found.name_of(lesion), str(error)))
    has_lesion = any(found.digest(lesion) in result.lesions for lesion in found.lesions)
    if found.lesions and not lesions and not has_lesion:
        return
    if not any(image.row.image == name for image in result.images.values()):
        write_png(task.out / "images" / name, pixels)
    result.images[digest] = ImportedImage(digest, row, pixels_hash)
    result.lesions |= {lesion.digest: lesion for lesion in lesions}


def _import_lesion(
    found: FoundImage, lesion: FoundLesion, row: ImageRow, pixels: NDArray[np.uint16], out: Path
) -> ImportedLesion:
    """Write crop and mask of a lesion that has a mask, and give its row.

    Raises
    ------
    _SkippedError
        Its mask or its box cannot be used.
    """
    height, width = pixels.shape
    name = resized = remark = ""
    if lesion.read_mask is None:
        box = _box_inside(lesion, width, height)
    else:
        mask, remark = _mask(lesion, (height, width))
        if mask.shape != pixels.shape:
            resized = f"{mask.shape[1]} x {mask.shape[0]} to {width} x {height}"
            mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        if not mask.any():
            raise _SkippedError("mask: holds no lesion")
        area, whole = lesion_in_mask(mask, is_one_part=lesion.is_one_part)
        roi = cut_crop(pixels, whole, _pixel_aspect(found))
        name = f"{lesion_name(Path(row.image).stem, lesion.abnormality_id)}.png"
        write_png(out / "crops" / name, roi.pixels)
        write_png(out / "masks" / name, cut_mask(area, roi))
        x, y, box_width, box_height = whole
        box = float(x), float(y), float(box_width), float(box_height)
    imported = Lesion(
        image=row.image,
        patient_id=row.patient_id,
        breast_side=row.breast_side,
        view=row.view,
        abnormality_id=lesion.abnormality_id,
        x=box[0],
        y=box[1],
        width=box[2],
        height=box[3],
        pathology=lesion.pathology,
        assessment=lesion.assessment,
        subtlety=lesion.subtlety,
        breast_density=row.breast_density,
        mass_shape=lesion.mass_shape,
        mass_margins=lesion.mass_margins,
        crop=name,
        mask=name,
        crop_flipped=False if name else None,
        pixel_aspect=row.pixel_aspect,
        box_order_assumed=False,
        kind=lesion.kind,
    )
    return ImportedLesion(found.digest(lesion), imported, resized or None, remark)


def _mask(lesion: FoundLesion, shape: tuple[int, int]) -> tuple[NDArray[np.uint8], str]:
    """A lesion's mask ``(H, W) uint8`` of 0 and 1, of the size that its file has, and the importer's remark."""
    assert lesion.read_mask is not None
    try:
        found = lesion.read_mask(shape)
        if found.mask.ndim != 2 or found.mask.dtype != np.bool_:
            raise UnusableError(f"is {found.mask.shape} {found.mask.dtype}, expected (H, W) bool")
    except Exception as error:
        raise _SkippedError(f"mask: {_reason(error)}") from None
    return found.mask.view(np.uint8), found.remark


def _box_inside(lesion: FoundLesion, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of a lesion's box that lies on the image."""
    assert lesion.box is not None
    x, y, box_width, box_height = (float(side) for side in lesion.box)
    x0, y0, x1, y1 = max(x, 0.0), max(y, 0.0), min(x + box_width, width), min(y + box_height, height)
    if not (x1 - x0 >= 1 and y1 - y0 >= 1):
        place = f"{box_width:g} x {box_height:g} pixels at {x:g}, {y:g}"
        raise _SkippedError(f"box: {place} does not lie on the image of {width} x {height}")
    return x0, y0, x1 - x0, y1 - y0


def _row(found: FoundImage, name: str, pixels: NDArray[np.uint16]) -> ImageRow:
    height, width = pixels.shape
    return ImageRow(
        image=name,
        patient_id=found.patient_id,
        breast_side=found.breast_side,
        view=found.view,
        exam=found.exam,
        split=found.split,
        pixel_spacing_mm=found.pixel_spacing_mm,
        pixel_aspect=_pixel_aspect(found) * height / width,
        breast_density=found.breast_density,
        normal=False if found.lesions else found.normal,
        pathology=found.pathology,
        assessment=found.assessment,
    )


def _pixel_aspect(found: FoundImage) -> float:
    spacing = found.pixel_spacing_mm
    return 1.0 if spacing is None else spacing[0] / spacing[1]


def _checked(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    if pixels.ndim != 2 or pixels.dtype != np.uint16 or not pixels.size:
        raise UnusableError(f"is {pixels.shape} {pixels.dtype}, expected (H, W) uint16")
    return pixels


def _reason(error: Exception) -> str:
    """The reason; for an error in the importer's own code its place, without its text, which may quote data."""
    if isinstance(error, UnusableError | MammoscopeError):
        return str(error)
    return f"the importer failed ({place_of(error)})"
