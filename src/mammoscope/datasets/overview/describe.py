"""What a dataset holds: counts, sizes of the boxes, and what goes with malignancy."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Group, RenderableType
from rich.table import Table

from mammoscope.datasets.integrity import check_integrity
from mammoscope.datasets.layout import TABLE, Dataset, Lesion, load_dataset
from mammoscope.datasets.overview.charts import Kinds
from mammoscope.datasets.overview.page import Described, overview_page
from mammoscope.datasets.pixels import image_size
from mammoscope.files import write_json, write_text

__all__ = [
    "Overview",
    "Pathologies",
    "Quantiles",
    "check_integrity",
    "describe",
    "load_splits",
    "render_overview",
    "write_overview",
]

OVERVIEW_FILE, OVERVIEW_PAGE, OVERVIEW_TABLE = "overview.json", "overview.html", "overview.csv"
NOT_STATED = "(not stated)"
SIZE_STEP = 0.025  # of the image's width and height


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quantiles(_Record):
    """How a length is spread over lesions or images."""

    minimum: float
    p05: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Quantiles:
        """Quantiles of at least one value, to four digits."""
        levels = np.quantile(np.fromiter(values, dtype=np.float64), (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
        return cls(**{name: float(f"{level:.4g}") for name, level in zip(cls.model_fields, levels, strict=True)})


class Pathologies(_Record):
    """Malignant and benign lesions of one group."""

    malignant: int
    benign: int = Field(description="Both kinds of benign.")
    without_callback: int = Field(description="Those of the benign for which the patient was not called back.")

    @property
    def lesions(self) -> int:
        """All of them."""
        return self.malignant + self.benign


class SizeBin(_Record):
    """How many masses have a box of about this width and height, in shares of the image's."""

    width_from: float
    height_from: float
    lesions: Pathologies


class Overview(_Record):
    """What a dataset holds. Counts by label are of lesions, most frequent first, or sorted where they have an order."""

    name: str
    sha256: str = Field(description="Of lesions.csv.")
    images: int
    patients: int
    lesions: int
    malignant: int
    benign: int = Field(description="Both kinds of benign.")
    crops: int = Field(description="Lesions with a crop.")
    masks: int = Field(description="Lesions with a mask.")
    pathology: dict[str, int]
    sides: dict[str, int]
    views: dict[str, Pathologies]
    lesions_per_image: dict[str, int] = Field(description="Images by the number of their lesions.")
    density: dict[str, Pathologies]
    assessment: dict[str, Pathologies] = Field(description="By BI-RADS category.")
    subtlety: dict[str, Pathologies] = Field(description="From 1 (hard) to 5 (easy).")
    shapes: dict[str, Pathologies]
    margins: dict[str, Pathologies]
    size_bins: tuple[SizeBin, ...] = Field(description=f"Squares of {SIZE_STEP:.0%}, those that hold a lesion.")
    image_width: Quantiles = Field(description="Pixels of the file.")
    image_height: Quantiles = Field(description="Pixels of the file.")
    box_width: Quantiles = Field(description="Pixels of the file.")
    box_height: Quantiles = Field(description="Pixels of the file.")
    box_relative_width: Quantiles = Field(description="Box width over image width.")
    box_relative_height: Quantiles = Field(description="Box height over image height.")
    box_relative_area: Quantiles = Field(description="Box area over image area.")


def describe(dataset: Dataset) -> Overview:
    """Count what a dataset holds; of the images only the size is read.

    Raises
    ------
    DatasetError
        An image's size cannot be read.
    """
    lesions = dataset.lesions
    sizes = {image: image_size(dataset.image_path(image)) for image in dataset.images}
    malignant = sum(lesion.malignant for lesion in lesions)
    return Overview(
        name=dataset.name,
        sha256=dataset.sha256,
        images=len(dataset.images),
        patients=len(dataset.patients),
        lesions=len(lesions),
        malignant=malignant,
        benign=len(lesions) - malignant,
        crops=sum(bool(lesion.crop) for lesion in lesions),
        masks=sum(bool(lesion.mask) for lesion in lesions),
        pathology=_counts(lesion.pathology for lesion in lesions),
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
        box_width=Quantiles.of(lesion.width for lesion in lesions),
        box_height=Quantiles.of(lesion.height for lesion in lesions),
        box_relative_width=Quantiles.of(lesion.width / sizes[lesion.image][0] for lesion in lesions),
        box_relative_height=Quantiles.of(lesion.height / sizes[lesion.image][1] for lesion in lesions),
        box_relative_area=Quantiles.of(
            lesion.width * lesion.height / (sizes[lesion.image][0] * sizes[lesion.image][1]) for lesion in lesions
        ),
    )


def render_overview(overview: Overview) -> RenderableType:
    """The overview for a terminal."""
    facts = Table("", "", title=overview.name, show_header=False)
    for label, value in _facts(overview).items():
        facts.add_row(label, value)
    sizes = Table("Size", "min", "5%", "25%", "50%", "75%", "95%", "max", title="Sizes")
    for label, quantiles in overview_sizes(overview).items():
        sizes.add_row(label, *(f"{value:.3g}" for value in quantiles.model_dump().values()))
    labels = Table("Label", "Value", "Malignant", "Benign", title="Lesions by label")
    for label, groups in overview_labels(overview).items():
        for position, (value, group) in enumerate(groups.items(), start=1):
            last = position == len(groups)
            labels.add_row(
                label if position == 1 else "", value, str(group.malignant), str(group.benign), end_section=last
            )
    return Group(facts, sizes, labels)


def load_splits(folder: Path) -> dict[str, Dataset]:
    """The dataset in a folder, or those in its folders, such as ``train`` and ``test``, by their names.

    Raises
    ------
    DatasetError
        There is none, or one cannot be used.
    """
    parts = sorted(path.parent for path in folder.glob(f"*/{TABLE}"))
    if parts and not (folder / TABLE).is_file():
        return {part.name: load_dataset(part) for part in parts}
    dataset = load_dataset(folder)
    return {dataset.name: dataset}


def write_overview(overviews: Mapping[str, Overview], folder: Path) -> None:
    """Write overviews by the name of their split.

    ``overview.html`` is a page of its own with charts, ``overview.csv`` holds every number that it shows, and
    ``overview.json`` the overviews.

    Raises
    ------
    MammoscopeError
        The folder cannot be written to.
    """
    write_json(folder / OVERVIEW_FILE, {name: overview.model_dump(mode="json") for name, overview in overviews.items()})
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("split", "distribution", "group", "measure", "value"))
    for name, overview in overviews.items():
        writer.writerows((name, *row) for row in overview_rows(overview))
    write_text(folder / OVERVIEW_TABLE, stream.getvalue())
    described = {
        name: Described(
            facts=_facts(overview),
            sizes={label: quantiles.model_dump() for label, quantiles in overview_sizes(overview).items()},
            labels={
                label: {value: _kinds(group) for value, group in groups.items()}
                for label, groups in overview_labels(overview).items()
            },
            pathology=_kinds(_all(overview)),
            size_bins=[(size.width_from, size.height_from, size.lesions.lesions) for size in overview.size_bins],
        )
        for name, overview in overviews.items()
    }
    write_text(folder / OVERVIEW_PAGE, overview_page(described, SIZE_STEP))


def overview_rows(overview: Overview) -> Iterator[tuple[str, str, str, float]]:
    """Every number of an overview: distribution, group, measure and value."""
    for count in ("images", "patients", "lesions", "crops", "masks"):
        yield "counts", "", count, getattr(overview, count)
    for distribution, counts in (("Sides", overview.sides), ("Images by lesions", overview.lesions_per_image)):
        for value, number in counts.items():
            yield distribution, value, "images" if "Images" in distribution else "lesions", number
    for label, groups in {"Pathology": {"": _all(overview)}, **overview_labels(overview)}.items():
        for value, group in groups.items():
            for measure, number in group.model_dump().items():
                yield label, value, measure, number
    for size in overview.size_bins:
        place = f"width from {size.width_from:.3f}, height from {size.height_from:.3f}"
        for measure, number in size.lesions.model_dump().items():
            yield "Box width by height, of the image", place, measure, number
    for label, quantiles in overview_sizes(overview).items():
        for measure, length in quantiles.model_dump().items():
            yield label, "", measure, length


def overview_sizes(overview: Overview) -> dict[str, Quantiles]:
    """The quantiles with their names in words."""
    return {
        "Image width, px": overview.image_width,
        "Image height, px": overview.image_height,
        "Box width, px": overview.box_width,
        "Box height, px": overview.box_height,
        "Box width / image": overview.box_relative_width,
        "Box height / image": overview.box_relative_height,
        "Box area / image": overview.box_relative_area,
    }


def overview_labels(overview: Overview) -> dict[str, dict[str, Pathologies]]:
    """The labels that split lesions into groups, with their names in words."""
    return {
        "Shape": overview.shapes,
        "Margins": overview.margins,
        "Density": overview.density,
        "BI-RADS": overview.assessment,
        "Subtlety": overview.subtlety,
        "View": overview.views,
    }


def _facts(overview: Overview) -> dict[str, str]:
    return {
        "Images": str(overview.images),
        "Patients": str(overview.patients),
        "Lesions": f"{overview.lesions} ({overview.malignant} malignant, {overview.benign} benign)",
        "With crop, with mask": f"{overview.crops}, {overview.masks}",
        "Pathology": _in_words(overview.pathology),
        "Sides": _in_words(overview.sides),
        "Views": _in_words({view: group.lesions for view, group in overview.views.items()}),
        "Images by lesions": _in_words(overview.lesions_per_image),
    }


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(value or NOT_STATED for value in values).most_common())


def _by_label(dataset: Dataset, column: str, *, in_order: bool = False) -> dict[str, Pathologies]:
    groups: dict[str, list[Lesion]] = {}
    for lesion in dataset.lesions:
        groups.setdefault(getattr(lesion, column) or NOT_STATED, []).append(lesion)
    values = sorted(groups) if in_order else sorted(groups, key=lambda value: -len(groups[value]))
    return {value: _pathologies(groups[value]) for value in values}


def _pathologies(lesions: Sequence[Lesion]) -> Pathologies:
    malignant = sum(lesion.malignant for lesion in lesions)
    without = sum(lesion.pathology == "BENIGN_WITHOUT_CALLBACK" for lesion in lesions)
    return Pathologies(malignant=malignant, benign=len(lesions) - malignant, without_callback=without)


def _all(overview: Overview) -> Pathologies:
    without = overview.pathology.get("BENIGN_WITHOUT_CALLBACK", 0)
    return Pathologies(malignant=overview.malignant, benign=overview.benign, without_callback=without)


def _kinds(group: Pathologies) -> Kinds:
    return group.malignant, group.benign - group.without_callback, group.without_callback


def _size_bins(lesions: Sequence[Lesion], sizes: Mapping[str, tuple[int, int]]) -> tuple[SizeBin, ...]:
    bins: dict[tuple[int, int], list[Lesion]] = {}
    for lesion in lesions:
        width, height = sizes[lesion.image]
        place = _step(lesion.width / width), _step(lesion.height / height)
        bins.setdefault(place, []).append(lesion)
    return tuple(
        SizeBin(
            width_from=round(column * SIZE_STEP, 4), height_from=round(row * SIZE_STEP, 4), lesions=_pathologies(inside)
        )
        for (column, row), inside in sorted(bins.items())
    )


def _step(share: float) -> int:
    return int(share / SIZE_STEP + 1e-9)  # a share on an edge belongs above it, however it was rounded


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{value} {count}" for value, count in counts.items())
