"""The numbers that describe a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mammoscope.datasets.layout import Lesion

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
    """Lesions of one group by what is known of them."""

    malignant: int
    benign: int = Field(description="Both kinds of benign.")
    without_callback: int = Field(description="Those of the benign for which the patient was not called back.")
    unknown: int = Field(0, description="Those whose pathology is not known.")

    @classmethod
    def of(cls, lesions: Sequence[Lesion]) -> Pathologies:
        """Count lesions."""
        malignant = sum(lesion.malignant is True for lesion in lesions)
        unknown = sum(lesion.malignant is None for lesion in lesions)
        return cls(
            malignant=malignant,
            benign=len(lesions) - malignant - unknown,
            without_callback=sum(lesion.pathology == "BENIGN_WITHOUT_CALLBACK" for lesion in lesions),
            unknown=unknown,
        )

    @property
    def lesions(self) -> int:
        """All of them."""
        return self.malignant + self.benign + self.unknown


class SizeBin(_Record):
    """How many lesions have a box of about this width and height, in shares of the image's."""

    width_from: float
    height_from: float
    lesions: Pathologies


class Overview(_Record):
    """What a dataset holds. Counts by label are of lesions, most frequent first, or sorted where they have an order."""

    name: str
    sha256: str = Field(description="Of its tables.")
    images: int
    normals: int = Field(0, description="Images without a lesion.")
    unlisted: int = Field(0, description="Images without a listed lesion that are said to show one.")
    patients: int
    lesions: int
    malignant: int
    benign: int = Field(description="Both kinds of benign.")
    unknown: int = Field(0, description="Lesions whose pathology is not known.")
    crops: int = Field(description="Lesions with a crop.")
    masks: int = Field(description="Lesions with a mask.")
    pathology: dict[str, int]
    kinds: dict[str, int] = Field({}, description="Lesions by what they are.")
    whole_breasts: dict[str, int] = Field({}, description="Images by the label of their breast as a whole.")
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
    box_width: Quantiles | None = Field(description="Pixels of the file.")
    box_height: Quantiles | None = Field(description="Pixels of the file.")
    box_relative_width: Quantiles | None = Field(description="Box width over image width.")
    box_relative_height: Quantiles | None = Field(description="Box height over image height.")
    box_relative_area: Quantiles | None = Field(description="Box area over image area.")


def overview_sizes(overview: Overview) -> dict[str, Quantiles]:
    """The quantiles with their names in words; those of boxes only where there is one."""
    sizes = {
        "Image width, px": overview.image_width,
        "Image height, px": overview.image_height,
        "Box width, px": overview.box_width,
        "Box height, px": overview.box_height,
        "Box width / image": overview.box_relative_width,
        "Box height / image": overview.box_relative_height,
        "Box area / image": overview.box_relative_area,
    }
    return {name: quantiles for name, quantiles in sizes.items() if quantiles is not None}


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
