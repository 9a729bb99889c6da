"""Count what a dataset holds: images, lesions, sizes of the boxes, and what goes with malignancy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mammoscope.datasets.layout import Dataset, Lesion, is_dataset, load_dataset
from mammoscope.datasets.overview.records import NOT_STATED, SIZE_STEP, Overview, Pathologies, Quantiles, SizeBin
from mammoscope.datasets.pixels import image_size


def describe(dataset: Dataset) -> Overview:
    """Count what a dataset holds; only the size of the images is read.

    Raises
    ------
    DatasetError
        An image's size cannot be read.
    """
    lesions = dataset.lesions
    sizes = {image: image_size(dataset.image_path(image)) for image in dataset.images}
    counted = Pathologies.of(lesions)
    bare = [image for image, of_image in dataset.images.items() if not of_image]
    return Overview(
        name=dataset.name,
        sha256=dataset.sha256,
        images=len(dataset.images),
        normals=len(dataset.normals),
        unlisted=len(bare) - len(dataset.normals),
        patients=len(dataset.patients),
        lesions=len(lesions),
        malignant=counted.malignant,
        benign=counted.benign,
        unknown=counted.unknown,
        crops=sum(bool(lesion.crop) for lesion in lesions),
        masks=sum(bool(lesion.mask) for lesion in lesions),
        pathology=_counts(lesion.pathology for lesion in lesions),
        kinds=_counts(lesion.kind for lesion in lesions),
        whole_breasts=_whole_breasts(dataset),
        sides=_counts(lesion.breast_side for lesion in lesions),
        views=_by_label(dataset, "view", in_order=True),
        lesions_per_image=dict(sorted(_counts(str(len(rows)) for rows in dataset.images.values()).items())),
        density=_by_label(dataset, "breast_density", in_order=True),
        assessment=_by_label(dataset, "assessment", in_order=True),
        subtlety=_by_label(dataset, "subtlety", in_order=True),
        shapes=_by_label(dataset, "mass_shape"),
        margins=_by_label(dataset, "mass_margins"),
        size_bins=_size_bins(lesions, sizes),
        image_width=Quantiles.of(width for width, _ in sizes.values()),
        image_height=Quantiles.of(height for _, height in sizes.values()),
        box_width=_quantiles(lesion.width for lesion in lesions),
        box_height=_quantiles(lesion.height for lesion in lesions),
        box_relative_width=_quantiles(lesion.width / sizes[lesion.image][0] for lesion in lesions),
        box_relative_height=_quantiles(lesion.height / sizes[lesion.image][1] for lesion in lesions),
        box_relative_area=_quantiles(
            lesion.width * lesion.height / (sizes[lesion.image][0] * sizes[lesion.image][1]) for lesion in lesions
        ),
    )


def load_splits(folder: Path) -> dict[str, Dataset]:
    """The dataset in a folder, or those in its folders, such as ``train`` and ``test``, by their names.

    Raises
    ------
    DatasetError
        There is none, or one cannot be used.
    """
    parts = sorted(path for path in folder.glob("*") if is_dataset(path))
    if parts and not is_dataset(folder):
        return {part.name: load_dataset(part) for part in parts}
    dataset = load_dataset(folder)
    return {dataset.name: dataset}


def _quantiles(values: Iterable[float]) -> Quantiles | None:
    """None where there is no value."""
    listed = list(values)
    return Quantiles.of(listed) if listed else None


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(value or NOT_STATED for value in values).most_common())


def _whole_breasts(dataset: Dataset) -> dict[str, int]:
    rows = dataset.image_rows()
    grades = sorted(f"BI-RADS {row.assessment}" for row in rows if row.assessment)
    return dict(Counter([*sorted(row.pathology for row in rows if row.pathology), *grades]))


def _by_label(dataset: Dataset, column: str, *, in_order: bool = False) -> dict[str, Pathologies]:
    groups: dict[str, list[Lesion]] = {}
    for lesion in dataset.lesions:
        groups.setdefault(getattr(lesion, column) or NOT_STATED, []).append(lesion)
    values = sorted(groups) if in_order else sorted(groups, key=lambda value: -len(groups[value]))
    return {value: Pathologies.of(groups[value]) for value in values}


def _size_bins(lesions: Sequence[Lesion], sizes: Mapping[str, tuple[int, int]]) -> tuple[SizeBin, ...]:
    bins: dict[tuple[int, int], list[Lesion]] = {}
    for lesion in lesions:
        width, height = sizes[lesion.image]
        place = _step(lesion.width / width), _step(lesion.height / height)
        bins.setdefault(place, []).append(lesion)
    return tuple(
        SizeBin(
            width_from=round(column * SIZE_STEP, 4),
            height_from=round(row * SIZE_STEP, 4),
            lesions=Pathologies.of(inside),
        )
        for (column, row), inside in sorted(bins.items())
    )


def _step(share: float) -> int:
    return int(share / SIZE_STEP + 1e-9)  # a share on an edge belongs above it, however it was rounded
