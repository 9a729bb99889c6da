"""Is every file and every row of a dataset what it should be? Asked before any training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mammoscope.datasets.images import read_crop, read_image
from mammoscope.datasets.layout import TABLE, Dataset, Lesion
from mammoscope.errors import DatasetError

_DARK = 8
_MOST_GREY = 0.2  # of a mask's pixels; resampled edges of the published ones take up to 0.04, crops 0.4 and more
_OUTSIDE = 1.0  # pixels that a rounded box may reach beyond the image

Numbered = tuple[int, Lesion]


def check_integrity(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Look for faults that ``load_dataset`` cannot see: every picture is decoded, every box is held against its image.

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
    table = dataset.folder / TABLE
    rows: dict[str, list[Numbered]] = {}
    for number, lesion in enumerate(dataset.lesions, start=2):
        rows.setdefault(lesion.image, []).append((number, lesion))
    problems: list[tuple[int, str]] = []
    for count, (image, of_image) in enumerate(rows.items(), start=1):
        problems += _row_problems(of_image)
        problems += _image_problems(dataset, image, of_image)
        for number, lesion in of_image:
            problems += [(number, problem) for problem in _crop_problems(dataset, lesion)]
        if progress is not None:
            progress(count, len(rows))
    return tuple(f"{table}, row {number}: {problem}" for number, problem in sorted(problems))


def _row_problems(of_image: list[Numbered]) -> list[tuple[int, str]]:
    """Rows of one image that repeat each other or contradict each other."""
    problems = []
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


def _image_problems(dataset: Dataset, image: str, of_image: list[Numbered]) -> list[tuple[int, str]]:
    try:
        pixels = read_image(dataset.image_path(image))
    except DatasetError as error:
        return [(of_image[0][0], f"column 'image': {error}")]
    height, width = pixels.shape
    problems = []
    if pixels.min() == pixels.max():
        problems.append((of_image[0][0], f"column 'image': {dataset.image_path(image)} is empty, all pixels are equal"))
    for number, lesion in of_image:
        for start, length, size in (("x", "width", width), ("y", "height", height)):
            low = getattr(lesion, start)
            high = low + getattr(lesion, length)
            if low < -_OUTSIDE or high > size + _OUTSIDE:
                problems.append(
                    (
                        number,
                        f"column {start!r}: the box reaches from {low:g} to {high:g}, "
                        f"but {image} has a {length} of {size} pixels",
                    )
                )
    return problems


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
