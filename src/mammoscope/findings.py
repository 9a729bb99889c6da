"""The result of an analysis: immutable, checked once when it is made, and the source of the published JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from mammoscope import NOTICE
from mammoscope.errors import MammoscopeError
from mammoscope.kinds import DEFAULT_KIND, KINDS, MALIGNANT, kind_named
from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing

# 1.1 adds the kind of a finding, 1.2 its lesion, 1.3 its features and the kinds that are looked for; from 1.3 on a
# finding of a kind that is not graded has no malignancy. What was written before still opens: its findings are of the
# default kind, not linked, and without features.
SCHEMA_VERSION: Literal["1.3"] = "1.3"
_OLDER_VERSIONS = ("1.0", "1.1", "1.2")

ANALYSED_ALONE = (
    "Steps of the models look at all images of an exam together, but saw this image alone: "
    "analysed with the others of its exam, its scores may differ."
)

Score = Annotated[float, Field(ge=0.0, le=1.0)]
Point = tuple[float, float]


class _Record(BaseModel):
    # Every field is written, also those with a default in the code, so that a reader can count on each.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


def _known_kind(name: str) -> str:
    try:
        return kind_named(name).name
    except MammoscopeError as error:
        raise ValueError(str(error)) from None


def _up_to_date(version: object) -> object:
    return SCHEMA_VERSION if version in _OLDER_VERSIONS else version


KindName = Annotated[
    str,
    AfterValidator(_known_kind),
    WithJsonSchema({"type": "string", "enum": [kind.name for kind in KINDS]}),
]


class Box(_Record):
    """An upright box in pixels of the original image: x right, y down, pixel i covers [i, i + 1)."""

    x0: float
    y0: float
    x1: float
    y1: float

    @model_validator(mode="after")
    def _in_order(self) -> Box:
        if not (self.x0 <= self.x1 and self.y0 <= self.y1):
            raise ValueError(f"box corners are out of order: {self.x0, self.y0, self.x1, self.y1}")
        return self

    @classmethod
    def of(cls, corners: NDArray[np.float64]) -> Box:
        """A box from ``(4,)`` of (x0, y0, x1, y1), frame ``original``, to a hundredth of a pixel."""
        x0, y0, x1, y1 = (round(float(value), 2) for value in corners)
        return cls(x0=x0, y0=y0, x1=x1, y1=y1)


class Size(_Record):
    """The size of an outlined finding: what is measured of its kind."""

    area_mm2: float | None = Field(
        description="Area inside the outline in square millimetres; null: not known, or not measured of this kind."
    )
    longest_diameter_mm: float | None = Field(
        description="Largest distance between two points of the outline, in mm; null: as for the area."
    )
    unknown_because: str | None = Field(
        default=None, description="Why the size is not known; null: all that is measured of this kind is known."
    )


class Finding(_Record):
    """One region that may be what its kind says."""

    kind: KindName = Field(default=DEFAULT_KIND, description="What the detector takes it for.")
    box: Box = Field(description="The detector's box, in pixels of the original image.")
    outline: tuple[Point, ...] = Field(
        description="Closed polygon (x, y) around the finding in pixels of the original image; empty: none was found."
    )
    detection_score: Score = Field(description="How sure the detector is that there is a finding of this kind here.")
    malignancy_score: Score | None = Field(
        description="Calibrated probability that the finding, if it is one, is malignant; null: the models do not "
        "grade findings of this kind."
    )
    malignancy: Literal["malignant", "benign"] | None = Field(
        description="The class that malignancy_score means; null: as for the score."
    )
    size: Size
    features: dict[str, str] = Field(
        default_factory=dict,
        description="What the models say of it in words, as the morphology and distribution of calcifications.",
    )
    lesion: str | None = Field(
        default=None,
        description="A UID that findings on different views of the exam share if the models take them for one lesion; "
        "null: no counterpart was found, or none was looked for.",
    )

    @model_validator(mode="after")
    def _graded_or_not(self) -> Finding:
        if (self.malignancy_score is None) != (self.malignancy is None):
            raise ValueError(f"malignancy is {self.malignancy!r} with a score of {self.malignancy_score}")
        return self


class SpacingFacts(_Record):
    """Pixel spacing and where it was read."""

    row_mm: float
    column_mm: float
    source: str

    @classmethod
    def of(cls, spacing: PixelSpacing | None) -> SpacingFacts | None:
        """What a mammogram's reader found out; None where it did not."""
        return cls(**vars(spacing)) if spacing else None


class InputFacts(_Record):
    """What is known about the analysed file. Holds no patient name, identifier or date."""

    name: str
    sha256: str
    file_format: str
    rows: int
    columns: int
    bits: int
    laterality: Laterality | None
    view: str | None
    spacing: SpacingFacts | None
    pixel_aspect: float
    sop_instance_uid: str | None
    modality: str | None
    manufacturer: str | None

    @classmethod
    def of(cls, mammogram: Mammogram) -> InputFacts:
        """What a mammogram's reader found out."""
        return cls(
            name=mammogram.name,
            sha256=mammogram.sha256,
            file_format=mammogram.file_format,
            rows=mammogram.height,
            columns=mammogram.width,
            bits=mammogram.bits,
            laterality=mammogram.laterality,
            view=mammogram.view,
            spacing=SpacingFacts.of(mammogram.spacing),
            pixel_aspect=mammogram.pixel_aspect,
            sop_instance_uid=mammogram.sop_instance_uid,
            modality=mammogram.modality,
            manufacturer=mammogram.manufacturer,
        )


class BundleIdentity(_Record):
    """Which models made the analysis."""

    name: str
    version: str
    sha256: str = Field(description="Hash of the bundle's manifest, which holds the hash of every model file.")
    kinds: tuple[KindName, ...] = Field(
        default=(DEFAULT_KIND,), description="The kinds of findings that they look for."
    )


class Thresholds(_Record):
    """The operating point that was used."""

    detection: Score = Field(description="Regions below this detection score are not reported.")
    malignancy: Score = Field(description="Findings at or above this malignancy score are called malignant.")


Outcome = Literal["findings", "no_finding", "no_breast_found"]


def outcome_of(findings: Sequence[Finding], *, breast_found: bool) -> Outcome:
    """What an analysis came to."""
    if not breast_found:
        return "no_breast_found"
    return "findings" if findings else "no_finding"


def statement_of(findings: Sequence[Finding], detection: float, *, breast_found: bool) -> str:
    """The outcome as a sentence; ``detection`` is the threshold that the findings reach."""
    if not breast_found:
        return "No breast found in the image; nothing was analysed."
    if not findings:
        return f"No finding at or above the detection threshold of {detection:.2f}."
    malignant = sum(finding.malignancy == MALIGNANT.name for finding in findings)
    ungraded = sum(finding.malignancy is None for finding in findings)
    plural = "" if len(findings) == 1 else "s"
    return (
        f"{len(findings)} finding{plural} at or above the detection threshold of {detection:.2f}, "
        f"{malignant} of malignant appearance{f', {ungraded} not graded' if ungraded else ''}."
    )


class Analysis(_Record):
    """Everything that mammoscope says about one mammogram."""

    schema_version: Annotated[Literal["1.3"], BeforeValidator(_up_to_date)] = SCHEMA_VERSION
    notice: str = NOTICE
    software: str = Field(description="Name and version of the program.")
    outcome: Outcome
    statement: str = Field(description="The outcome as a sentence.")
    input: InputFacts
    bundle: BundleIdentity
    thresholds: Thresholds
    findings: tuple[Finding, ...] = Field(description="Highest detection score first.")
    warnings: tuple[str, ...]
    seconds: dict[str, float] = Field(
        description="Time spent preparing and in each step of the models, by the step's name; of all "
        "views together if they were analysed together."
    )

    def above(self, detection: float) -> Analysis:
        """This analysis as it would be at a higher detection threshold; at a lower one, as it is."""
        detection = max(detection, self.thresholds.detection)
        findings = tuple(finding for finding in self.findings if finding.detection_score >= detection)
        breast_found = self.outcome != "no_breast_found"
        return self.model_copy(
            update={
                "findings": findings,
                "thresholds": self.thresholds.model_copy(update={"detection": detection}),
                "outcome": outcome_of(findings, breast_found=breast_found),
                "statement": statement_of(findings, detection, breast_found=breast_found),
            }
        )

    @model_validator(mode="after")
    def _outcome_fits_findings(self) -> Analysis:
        if (self.outcome == "findings") != bool(self.findings):
            raise ValueError(f"outcome is {self.outcome!r} with {len(self.findings)} findings")
        return self
