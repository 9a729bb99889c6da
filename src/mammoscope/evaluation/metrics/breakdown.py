"""Figures by group of lesions, such as those of one breast density, with counts and intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.datasets.pixels import image_size
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic

NOT_STATED = "not stated"
MARKS = ("contour", "box", "circle")
FEW_LESIONS, FEW_PATIENTS = 30, 10


def group_definitions(info: DatasetInfo) -> dict[str, str]:
    """What the groups of a dataset's reports mean: its own usual shapes and sizes, as ``dataset.json`` states them."""
    shapes = f"; shapes other than {', '.join(info.shapes)} are other" if info.shapes else ""
    size = ""
    if info.size_edges:
        small, large = info.size_edges
        size = " Size is the square root of the box's share of the image: "
        size += f"small below {small:.1%}, large from {large:.0%}."
    return {
        "breakdown": "The figures of groups of lesions. Density, subtlety (1 hard to 5 easy) and shape are the "
        f"dataset's own labels{shapes}.{size} Kind, mark, vendor and year are given where they are not all alike. "
        "Many small groups are looked at without correction for their number: a "
        "difference is a hint.",
        "by": "What the lesions are grouped by.",
        "group": "Which group.",
        "patients": "Patients of the group's lesions.",
        "warning": f"Stands where a group has fewer than {FEW_LESIONS} lesions or {FEW_PATIENTS} patients: its figures "
        "are too uncertain to be used, and its intervals tend to be too narrow.",
    }


_SIZES = ("small", "medium", "large")
_NAMES = {"breast_density": "density", "view": "view", "subtlety": "subtlety"}
_REASON = "the group has no lesion of a kind that the figure needs"


def breakdown(dataset: Dataset, lesions: Sequence[Lesion], statistic: Statistic, bootstrap: Bootstrap) -> list[Json]:
    """A statistic's figures for each group.

    Parameters
    ----------
    lesions
        N of the dataset's.
    statistic
        Of weights ``(D, N)``, in the same order; for a group's figures all other lesions have weight 0.

    Returns
    -------
    list
        One object a group: ``by``, ``group``, ``lesions``, ``patients`` and the statistic's figures.
    """
    patients = [lesion.patient_id for lesion in lesions]
    reasons = dict.fromkeys(statistic(np.ones((1, len(lesions)))), _REASON)
    rows: list[Json] = []
    for by, labels in _labels(dataset, lesions).items():
        for group in sorted(set(labels), key=lambda group: _place(group, dataset.info.shapes)):
            inside = np.array([label == group for label in labels], dtype=np.float64)
            figures = bootstrap.estimates(_only(statistic, inside), patients, reasons)
            count, of = int(inside.sum()), len({patient for patient, one in zip(patients, inside, strict=True) if one})
            rows.append(
                {
                    "by": by,
                    "group": group,
                    "lesions": count,
                    "patients": of,
                    **{name: figure.as_json() for name, figure in figures.items()},
                    **_warning(count, of),
                }
            )
    return rows


def _warning(lesions: int, patients: int) -> Json:
    if lesions >= FEW_LESIONS and patients >= FEW_PATIENTS:
        return {}
    return {"warning": f"too few: {lesions} lesions of {patients} patients"}


def mark_of(dataset: Dataset, lesion: Lesion) -> str:
    """How a lesion is marked: one of ``MARKS``."""
    return "contour" if lesion.mask else dataset.info.marks


def in_order_of_images(dataset: Dataset) -> list[Lesion]:
    """All lesions, image by image."""
    return [lesion for lesions in dataset.images.values() for lesion in lesions]


def size_share(lesion: Lesion, width: int, height: int) -> float:
    """Square root of the box's share of an image of ``width`` x ``height``: stretching the image does not change it."""
    return float(np.sqrt(lesion.width * lesion.height / (width * height)))


def _labels(dataset: Dataset, lesions: Sequence[Lesion]) -> dict[str, list[str]]:
    sizes = {image: image_size(dataset.image_path(image)) for image in {lesion.image for lesion in lesions}}
    shares = [size_share(lesion, *sizes[lesion.image]) for lesion in lesions]
    labels = {name: [getattr(lesion, column) or NOT_STATED for lesion in lesions] for column, name in _NAMES.items()}
    edges = dataset.info.size_edges
    if edges:
        labels["size"] = [_SIZES[int(np.searchsorted(edges, share, "right"))] for share in shares]
    labels["shape"] = [_shape(lesion.mass_shape, dataset.info.shapes) for lesion in lesions]
    always = {name: labels[name] for name in ("density", "size", "view", "subtlety", "shape") if name in labels}
    rows = [dataset.image_row(lesion.image) for lesion in lesions]
    further = {
        "kind": [lesion.kind for lesion in lesions],
        "mark": [mark_of(dataset, lesion) for lesion in lesions],
        "vendor": [row.vendor or NOT_STATED for row in rows],
        "year": [row.year or NOT_STATED for row in rows],
    }
    return always | {name: groups for name, groups in further.items() if len(set(groups)) > 1}


def _shape(shape: str, named: Sequence[str]) -> str:
    """A group of shapes; a dataset that names none has each as a group of its own."""
    return NOT_STATED if not shape else shape if shape in named or not named else "other"


def _place(group: str, shapes: Sequence[str]) -> tuple[int, str]:
    """Groups that have an order in that order, others by name, and lesions without a group last."""
    order = (*_SIZES, *shapes, "other", NOT_STATED)
    return (order.index(group) + 1 if group in order else 0), group


def _only(statistic: Statistic, inside: np.ndarray) -> Statistic:
    return lambda weights: statistic(weights * inside)
