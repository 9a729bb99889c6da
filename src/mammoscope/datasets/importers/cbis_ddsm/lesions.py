"""Import one mammogram of CBIS-DDSM with its lesions: the work of one process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.files import write_png
from mammoscope.datasets.importers.cbis_ddsm.files import Folders, NoFileError, find_mask, read_image_file
from mammoscope.datasets.importers.cbis_ddsm.tables import CaseRow
from mammoscope.datasets.importers.dicom_pixels import Grey16
from mammoscope.datasets.layout import Lesion
from mammoscope.errors import InputError
from mammoscope.files import write_json
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.roi import ROI_SIZE, Roi, cut_roi

_RECORD_VERSION = 1  # goes up when what is imported changes, so that older work is done again
_NEIGHBOURHOOD = 2.0  # of the box's longer side, what a crop is cut from: more than cut_roi needs
_SHOWN_RANGE = (0.1, 99.9)  # percentiles of the neighbourhood that become black and white


@dataclass(frozen=True)
class MammogramTask:
    """The rows of one view of one breast.

    Attributes
    ----------
    out
        Folder of the split, in the dataset layout.
    record
        Where to keep what was done, so that a later run need not do it again.
    """

    rows: tuple[CaseRow, ...]
    folders: Folders
    out: Path
    record: Path


@dataclass(frozen=True)
class ImportedLesion:
    """A lesion that lies in the dataset.

    Attributes
    ----------
    pixel_hash
        Of its mammogram.
    resized
        Size of the mask's file and of the mammogram, where they differ.
    swapped
        Whether the table's names for crop and mask were exchanged.
    image_path
        The mammogram in the table's words.
    """

    digest: str
    lesion: Lesion
    pixel_hash: str
    image_path: str
    resized: str | None
    swapped: bool


@dataclass(frozen=True)
class MammogramResult:
    """What became of a task's rows.

    Attributes
    ----------
    done
        By the row's digest.
    skipped
        The lesion and the reason.
    reused
        How many of ``done`` an earlier run had finished.
    """

    done: dict[str, ImportedLesion]
    skipped: tuple[tuple[str, str], ...]
    reused: int


def import_mammogram(task: MammogramTask) -> MammogramResult:
    """Write the image, crops and masks of one view, but for what an earlier run has finished."""
    done = _finished(task)
    reused = len(done)
    skipped: list[tuple[str, str]] = []
    todo = [row for row in task.rows if row.digest not in done]
    for path in dict.fromkeys(row.image_path for row in todo):
        rows = [row for row in todo if row.image_path == path]
        try:
            pixels, pixel_hash = read_image_file(path, task.folders)
        except (NoFileError, InputError) as error:
            skipped += [(row.name, f"mammogram: {error}") for row in rows]
            continue
        image = _image_name(rows[0].stem, pixel_hash, done)
        is_written = any(lesion.lesion.image == image for lesion in done.values())
        for row in rows:
            try:
                lesion = _import_lesion(row, image, pixels, pixel_hash, task)
            except (NoFileError, InputError) as error:
                skipped.append((row.name, f"mask: {error}"))
                continue
            if not is_written:
                write_png(task.out / "images" / image, pixels)
                is_written = True
            done[row.digest] = lesion
    if len(done) > reused:
        _write_record(task.record, done)
    return MammogramResult(done, tuple(skipped), reused)


def _import_lesion(row: CaseRow, image: str, pixels: Grey16, pixel_hash: str, task: MammogramTask) -> ImportedLesion:
    height, width = pixels.shape
    found = find_mask(row.mask_path, row.crop_path, task.folders, (height, width))
    mask, resized = found.mask.view(np.uint8), None
    if mask.shape != pixels.shape:
        resized = f"{mask.shape[1]} x {mask.shape[0]} to {width} x {height}"
        mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    mask, (x, y, box_width, box_height) = _largest_component(mask)
    box = np.array([x, y, x + box_width, y + box_height])
    roi = _cut_crop(pixels, box)
    name = f"{Path(image).stem}_{row.abnormality_id}.png"
    write_png(task.out / "crops" / name, roi.pixels)
    write_png(task.out / "masks" / name, _cut_mask(mask, roi))
    lesion = Lesion(
        image=image,
        patient_id=row.patient_id,
        breast_side=row.breast_side,
        view=row.view,
        abnormality_id=row.abnormality_id,
        x=float(x),
        y=float(y),
        width=float(box_width),
        height=float(box_height),
        pathology=row.pathology,
        assessment=row.assessment,
        subtlety=row.subtlety,
        breast_density=row.breast_density,
        mass_shape=row.mass_shape,
        mass_margins=row.mass_margins,
        crop=name,
        mask=name,
        crop_flipped=False,
        pixel_aspect=height / width,
        box_order_assumed=False,
    )
    return ImportedLesion(row.digest, lesion, pixel_hash, row.image_path, resized, found.swapped)


def _largest_component(mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """The largest connected area ``(H, W) uint8`` of 0 and 1, and its box (x, y, width, height)."""
    left, top, whole_width, whole_height = cv2.boundingRect(mask)
    part = (slice(top, top + whole_height), slice(left, left + whole_width))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask[part], connectivity=8)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, width, height = (int(value) for value in stats[largest, :4])
    component = np.zeros_like(mask)
    component[part] = labels == largest
    return component, (left + x, top + y, width, height)


def _cut_crop(pixels: Grey16, box: NDArray[np.number]) -> Roi:
    """The ROI of a film with square pixels; its changes of frame start at the film's own pixels."""
    x0, y0, x1, y1 = (int(value) for value in box)
    around = round(_NEIGHBOURHOOD * max(x1 - x0, y1 - y0) / 2)
    left, top = max(0, x0 - around), max(0, y0 - around)
    # Reduced to 8 bits by the range of the neighbourhood only, so that a faint mass keeps its shades.
    near = pixels[top : y1 + around, left : x1 + around]
    low, high = np.percentile(near, _SHOWN_RANGE)
    grey = np.clip((near.astype(np.float32) - low) * (255.0 / max(high - low, 1.0)), 0, 255).round().astype(np.uint8)
    roi = cut_roi(grey, np.array([x0 - left, y0 - top, x1 - left, y1 - top]), 1.0)
    from_film = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED).cropped(left, top)
    return Roi(roi.pixels, from_film.then(roi.from_preprocessed))


def _cut_mask(mask: NDArray[np.uint8], roi: Roi) -> NDArray[np.uint8]:
    """The same square of the mask ``(S, S) uint8``, 0 or 255."""
    x0, y0, x1, y1 = (
        roi.from_preprocessed.inverse().boxes(np.array([[0, 0, ROI_SIZE, ROI_SIZE]]))[0].round().astype(int)
    )
    height, width = mask.shape
    inside = mask[max(0, y0) : y1, max(0, x0) : x1]
    window = cv2.copyMakeBorder(
        inside,
        max(0, -y0),
        max(0, y1 - height),
        max(0, -x0),
        max(0, x1 - width),
        cv2.BORDER_CONSTANT,
        value=0,
    )
    shrinks = window.shape[0] > ROI_SIZE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(window * np.uint8(255), (ROI_SIZE, ROI_SIZE), interpolation=interpolation)
    return np.where(resized > 127, 255, 0).astype(np.uint8)


def _image_name(stem: str, pixel_hash: str, done: Mapping[str, ImportedLesion]) -> str:
    """One name for one picture: that of the lesions with the same pixels, else the first free one."""
    names = {lesion.pixel_hash: lesion.lesion.image for lesion in done.values()}
    if pixel_hash in names:
        return names[pixel_hash]
    taken, number = set(names.values()), 1
    while (name := f"{stem}.png" if number == 1 else f"{stem}_copy{number}.png") in taken:
        number += 1
    return name


def _finished(task: MammogramTask) -> dict[str, ImportedLesion]:
    """What the record of an earlier run holds, as far as it is about these rows and its files are still there."""
    wanted = {row.digest for row in task.rows}
    entries: list[dict[str, Any]] = []
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(task.record.read_text(encoding="utf-8"))
        if record["version"] == _RECORD_VERSION:
            entries = record["lesions"]
    done: dict[str, ImportedLesion] = {}
    for entry in entries:
        with suppress(KeyError, TypeError):
            lesion = Lesion(**{field.name: entry["lesion"][field.name] for field in fields(Lesion)})
            imported = ImportedLesion(**{**entry, "lesion": lesion})
            files = (("images", lesion.image), ("crops", lesion.crop), ("masks", lesion.mask))
            if imported.digest in wanted and all((task.out / folder / name).is_file() for folder, name in files):
                done[imported.digest] = imported
    return done


def _write_record(path: Path, done: Mapping[str, ImportedLesion]) -> None:
    write_json(path, {"version": _RECORD_VERSION, "lesions": [asdict(lesion) for lesion in done.values()]})
