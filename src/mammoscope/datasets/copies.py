"""Copies of every lesion with random changes, as a dataset: to show what splitting after augmentation is worth.

If each copy counts as a patient of its own, copies of one lesion come to both sides of a split by patient, and a
network is measured on what it has learnt by heart.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.files import write_png
from mammoscope.datasets.images import read_crop
from mammoscope.datasets.info import DatasetInfo, write_folds
from mammoscope.datasets.layout import Dataset, ImageRow, Lesion, write_layout
from mammoscope.datasets.splits import patient_folds
from mammoscope.errors import DatasetError

_LIGHT = 0.15  # largest change of brightness, as a share of the range
_FOLDS = "folds.csv"

Grey = NDArray[np.uint8]


def write_copies(dataset: Dataset, out: Path, *, copies: int, are_patients: bool, seed: int = 0) -> None:
    """Write a dataset of layout 2 in which the crop of each lesion is an image, many times, each changed at random.

    Crops are turned by multiples of 90 degrees, mirrored, and made brighter or darker; masks are turned and mirrored
    with them. Lesions without a crop, a mask or a known pathology are left out.

    Parameters
    ----------
    out
        New folder.
    copies
        Of each lesion.
    are_patients
        Whether each copy is a patient of its own, so that a split by patient is one after augmentation; else patients
        and the folds that they are divided into stay as they are.
    seed
        Of the changes, which are the same either way.

    Raises
    ------
    DatasetError
        ``out`` exists, a file cannot be read or written, or no lesion has a crop.
    """
    lesions = [lesion for lesion in dataset.graded_lesions if lesion.crop and lesion.mask]
    if not lesions:
        raise DatasetError(f"{dataset.folder}: no lesion of known pathology has a crop and a mask to copy")
    if out.exists():
        raise DatasetError(f"{out}: already exists; copies are written to a new folder")
    unfinished = out.with_name(f".{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    rng = np.random.default_rng(seed)
    rows: list[Lesion] = []
    for number, lesion in enumerate(lesions):
        crop, mask = read_crop(dataset.crop_path(lesion)), read_crop(dataset.mask_path(lesion))
        for copy in range(copies):
            name = f"lesion-{number:05d}-copy-{copy:02d}"
            changed, outline = _changed(rng, crop, mask)
            for folder, pixels in (("images", changed), ("crops", changed), ("masks", outline)):
                write_png(unfinished / folder / f"{name}.png", pixels)
            rows.append(_row(lesion, name, changed, outline, f"{lesion.patient_id}-{name}" if are_patients else ""))
    kept = patient_folds(dataset)
    patients = {row.patient_id for row in rows}
    info = DatasetInfo(
        name=f"{dataset.info.name or dataset.name}, lesions copied",
        licence=dataset.info.licence,
        credit=dataset.info.credit,
        citation=dataset.info.citation,
        made=f"Each lesion {copies} times with random changes, of {dataset.name}, SHA-256 {dataset.sha256}; "
        + ("each copy is a patient of its own" if are_patients else "patients as they were"),
        folds=None if are_patients else _FOLDS,
    )
    if not are_patients:
        write_folds(unfinished / _FOLDS, {patient: fold for patient, fold in kept.items() if patient in patients})
    images = tuple(ImageRow.of_lesion(row) for row in rows)
    write_layout(Dataset(unfinished, tuple(rows), "", images, info))
    unfinished.rename(out)


def _changed(rng: np.random.Generator, crop: Grey, mask: Grey) -> tuple[Grey, Grey]:
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    light = 255 * rng.uniform(-_LIGHT, _LIGHT)
    brighter = np.clip(crop + light, 0, 255).round().astype(np.uint8)
    pair = [np.rot90(pixels, turns) for pixels in (brighter, mask)]
    first, second = (np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels) for pixels in pair)
    return first, second


def _row(lesion: Lesion, name: str, crop: Grey, mask: Grey, patient: str) -> Lesion:
    x, y, width, height = cv2.boundingRect((mask > 127).astype(np.uint8))
    if not width:  # an empty mask: the whole crop
        (height, width), x, y = mask.shape, 0, 0
    scale = len(crop) / len(mask)
    return replace(
        lesion,
        image=f"{name}.png",
        crop=f"{name}.png",
        mask=f"{name}.png",
        patient_id=patient or lesion.patient_id,
        abnormality_id="1",
        x=x * scale,
        y=y * scale,
        width=width * scale,
        height=height * scale,
        crop_flipped=False,
        pixel_aspect=1.0,
    )
