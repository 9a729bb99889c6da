"""Check every file and every row of a dataset, before any training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from mammoscope.datasets.layout import IMAGE_TABLE, TABLE, Dataset, ImageRow, Lesion
from mammoscope.datasets.pixels import read_crop, read_image
from mammoscope.errors import DatasetError
from mammoscope.execution.backend import in_order
from mammoscope.execution.job import Apply
from mammoscope.execution.threads import Threads
from mammoscope.processes.cores import usable_cores

_DARK = 8
_MOST_GREY = 0.2  # of a mask's pixels; resampled edges of the published ones take up to 0.04, crops 0.4 and more
_OUTSIDE = 1.0  # pixels that a rounded box may reach beyond the image
_ASPECTS_DIFFER = 0.02  # relative, between an image's proportions stated in two ways; more than rounding explains

Numbered = tuple[int, Lesion]


@dataclass(frozen=True, order=True)
class _Problem:
    """A problem in a row of a table."""

    table: str
    number: int
    text: str


@dataclass(frozen=True)
class _Rows:
    """The rows of one image: its own and its lesions', each with its number.

    Attributes
    ----------
    number
        Of the row in ``images.csv``; None in edition 1, where the first lesion's row stands for the image.
    """

    image: ImageRow
    number: int | None
    lesions: list[Numbered]

    def problem(self, text: str) -> _Problem:
        """A problem with the image."""
        if self.number is not None:
            return _Problem(IMAGE_TABLE, self.number, text)
        return _Problem(TABLE, self.lesions[0][0], text)


def check_integrity(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Look for faults that ``load_dataset`` cannot see: every image is decoded, every box is compared with its image.

    Parameters
    ----------
    dataset
        As ``load_dataset`` gave it: the rows are numbered as in its table.
    progress
        Called with the images read and all images.

    Returns
    -------
    tuple of str
        A line for each problem, which names the file, the row and the column; empty where there is none.
    """
    numbers = {row.image: number for number, row in enumerate(dataset.listed, start=2)}
    rows = {row.image: _Rows(row, numbers.get(row.image), []) for row in dataset.image_rows()}
    for number, lesion in enumerate(dataset.lesions, start=2):
        rows[lesion.image].lesions.append((number, lesion))
    threads, job = Threads(usable_cores()), Apply(partial(_problems, dataset))
    found = in_order(threads, job, list(rows.values()), progress=progress)
    problems = sorted(chain.from_iterable(found))
    return tuple(f"{dataset.folder / one.table}, row {one.number}: {one.text}" for one in problems)


def _problems(dataset: Dataset, of_image: _Rows) -> list[_Problem]:
    """All that is wrong with an image, its rows and its lesions' crops."""
    problems = [_Problem(TABLE, number, text) for number, text in _row_problems(of_image.lesions)]
    problems += _image_problems(dataset, of_image)
    for number, lesion in of_image.lesions:
        problems += [_Problem(TABLE, number, text) for text in _crop_problems(dataset, lesion)]
    return problems


def _row_problems(of_image: list[Numbered]) -> list[tuple[int, str]]:
    """Rows of one image that repeat each other or contradict each other."""
    problems: list[tuple[int, str]] = []
    if not of_image:
        return problems
    first_number, first = of_image[0]
    ids: dict[str, int] = {}
    boxes: dict[tuple[float, float, float, float], int] = {}
    for number, lesion in of_image:
        for column in ("patient_id", "breast_side", "view", "pixel_aspect"):
            value, before = getattr(lesion, column), getattr(first, column)
            if value != before:
                problems.append(
                    (number, f"column {column!r} is {value!r}, but {before!r} in row {first_number} of the same image")
                )
        earlier = ids.setdefault(lesion.abnormality_id, number)
        box = (lesion.x, lesion.y, lesion.width, lesion.height)
        same_box = boxes.setdefault(box, number)
        if earlier != number:
            problems.append((number, f"column 'abnormality_id' is {lesion.abnormality_id!r}, as in row {earlier}"))
        elif same_box != number:
            problems.append((number, f"column 'x': the box is the same as in row {same_box}"))
    return problems


def _image_problems(dataset: Dataset, rows: _Rows) -> list[_Problem]:
    path = dataset.image_path(rows.image.image)
    try:
        pixels = read_image(path)
    except DatasetError as error:
        return [rows.problem(f"column 'image': {error}")]
    height, width = pixels.shape
    problems = []
    if pixels.min() == pixels.max():
        problems.append(rows.problem(f"column 'image': {path} is empty, all pixels are equal"))
    spacing, told = rows.image.pixel_spacing_mm, rows.image.pixel_aspect
    if spacing is not None and told is not None:
        true = height * spacing[0] / (width * spacing[1])
        if abs(true / told - 1) > _ASPECTS_DIFFER:
            problems.append(
                rows.problem(f"column 'pixel_aspect' is {told:g}, but by its pixel spacing the image has {true:.4g}")
            )
    for number, lesion in rows.lesions:
        for start, length, size in (("x", "width", width), ("y", "height", height)):
            low = getattr(lesion, start)
            high = low + getattr(lesion, length)
            if low < -_OUTSIDE or high > size + _OUTSIDE:
                text = (
                    f"column {start!r}: the box reaches from {low:g} to {high:g}, "
                    f"but {rows.image.image} has a {length} of {size} pixels"
                )
                problems.append(_Problem(TABLE, number, text))
        if lesion.mask and not lesion.crop:
            problems += [_Problem(TABLE, number, text) for text in _whole_mask_problems(dataset, lesion, pixels.shape)]
    return problems


def _whole_mask_problems(dataset: Dataset, lesion: Lesion, shape: tuple[int, ...]) -> list[str]:
    """A mask without a crop is one of the whole image."""
    try:
        mask = read_crop(dataset.mask_path(lesion)) > 127
    except DatasetError:
        return []  # reported for the mask itself
    if mask.shape != shape:
        return [
            f"column 'mask': {lesion.mask} has {mask.shape[1]} x {mask.shape[0]} pixels; "
            f"without a crop it must have the image's {shape[1]} x {shape[0]}"
        ]
    x0, y0, x1, y1 = (max(0, round(side)) for side in lesion.box)
    inside = mask[y0:y1, x0:x1]
    return (
        [f"column 'mask': nothing of {lesion.mask} lies in the lesion's box"] if mask.any() and not inside.any() else []
    )


def _crop_problems(dataset: Dataset, lesion: Lesion) -> list[str]:
    shapes = {}
    problems = []
    for column in ("crop", "mask"):
        if not getattr(lesion, column):
            continue
        path = dataset.crop_path(lesion) if column == "crop" else dataset.mask_path(lesion)
        try:
            pixels = read_crop(path)
        except DatasetError as error:
            problems.append(f"column {column!r}: {error}")
            continue
        shapes[column] = f"{pixels.shape[1]} x {pixels.shape[0]}"
        if column == "mask":
            if pixels.max() <= 127:
                problems.append(f"column 'mask': {path} is empty")
            elif np.mean((pixels > _DARK) & (pixels < 255 - _DARK)) > _MOST_GREY:
                problems.append(f"column 'mask': {path} is grey, not black and white as a mask is")
    if len(set(shapes.values())) > 1:
        problems.append(f"column 'mask': {lesion.mask} has {shapes['mask']} pixels, its crop {shapes['crop']}")
    return problems
