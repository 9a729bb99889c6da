"""What a dataset holds: counts, sizes of the boxes, and what goes with malignancy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Group, RenderableType
from rich.table import Table

from mammoscope.datasets.integrity import check_integrity
from mammoscope.datasets.lesions import Dataset
from mammoscope.datasets.overview_page import overview_page
from mammoscope.datasets.pixels import image_size
from mammoscope.files import write_bytes

__all__ = ["Overview", "Pathologies", "Quantiles", "check_integrity", "describe", "render_overview", "write_overview"]

OVERVIEW_FILE, OVERVIEW_PAGE = "overview.json", "overview.html"
NOT_STATED = "(not stated)"


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
    benign: int


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
    views: dict[str, int]
    lesions_per_image: dict[str, int] = Field(description="Images by the number of their lesions.")
    density: dict[str, Pathologies]
    assessment: dict[str, Pathologies] = Field(description="By BI-RADS category.")
    subtlety: dict[str, Pathologies] = Field(description="From 1 (hard) to 5 (easy).")
    shapes: dict[str, Pathologies]
    margins: dict[str, Pathologies]
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
        views=_counts(lesion.view for lesion in lesions),
        lesions_per_image=dict(sorted(_counts(str(len(rows)) for rows in dataset.images.values()).items())),
        density=_by_label(dataset, "breast_density", in_order=True),
        assessment=_by_label(dataset, "assessment", in_order=True),
        subtlety=_by_label(dataset, "subtlety", in_order=True),
        shapes=_by_label(dataset, "mass_shape"),
        margins=_by_label(dataset, "mass_margins"),
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


def write_overview(overview: Overview, folder: Path) -> None:
    """Write ``overview.json`` and ``overview.html``, a page of its own with charts.

    Raises
    ------
    DatasetError
        The folder cannot be written to.
    """
    write_bytes(folder / OVERVIEW_FILE, (overview.model_dump_json(indent=2) + "\n").encode())
    page = overview_page(
        overview.name,
        _facts(overview),
        {label: quantiles.model_dump() for label, quantiles in overview_sizes(overview).items()},
        {
            label: {value: (group.malignant, group.benign) for value, group in groups.items()}
            for label, groups in overview_labels(overview).items()
        },
    )
    write_bytes(folder / OVERVIEW_PAGE, page.encode())


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
    }


def _facts(overview: Overview) -> dict[str, str]:
    return {
        "Images": str(overview.images),
        "Patients": str(overview.patients),
        "Lesions": f"{overview.lesions} ({overview.malignant} malignant, {overview.benign} benign)",
        "With crop, with mask": f"{overview.crops}, {overview.masks}",
        "Pathology": _in_words(overview.pathology),
        "Sides": _in_words(overview.sides),
        "Views": _in_words(overview.views),
        "Images by lesions": _in_words(overview.lesions_per_image),
    }


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(value or NOT_STATED for value in values).most_common())


def _by_label(dataset: Dataset, column: str, *, in_order: bool = False) -> dict[str, Pathologies]:
    malignant, total = Counter[str](), Counter[str]()
    for lesion in dataset.lesions:
        value = getattr(lesion, column) or NOT_STATED
        total[value] += 1
        malignant[value] += lesion.malignant
    values = sorted(total) if in_order else [value for value, _ in total.most_common()]
    return {value: Pathologies(malignant=malignant[value], benign=total[value] - malignant[value]) for value in values}


def _in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{value} {count}" for value, count in counts.items())
