"""What can be chosen of a phantom exam."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_LESIONS = 8


class Density(StrEnum):
    """Composition of the breast, as ACR BI-RADS 2013 names it."""

    A = "A"  # almost entirely fatty
    B = "B"  # scattered areas of fibroglandular density
    C = "C"  # heterogeneously dense
    D = "D"  # extremely dense


class Shape(StrEnum):
    """Of a mass; ``spiculated`` is an irregular one with spicules."""

    ROUND = "round"
    OVAL = "oval"
    LOBULATED = "lobulated"
    IRREGULAR = "irregular"
    SPICULATED = "spiculated"


class Morphology(StrEnum):
    """Of the calcifications of a cluster."""

    AMORPHOUS = "amorphous"
    PLEOMORPHIC = "pleomorphic"
    LINEAR = "linear"


class Distribution(StrEnum):
    """How the calcifications of a cluster lie."""

    GROUPED = "grouped"
    LINEAR = "linear"
    SEGMENTAL = "segmental"
    REGIONAL = "regional"


class Look(StrEnum):
    """A digital detector, or a scanned film."""

    DIGITAL = "digital"
    FILM = "film"


class Prior(StrEnum):
    """What an exam of the same woman a year before shows of the lesions; ``none``: there is no such exam."""

    NONE = "none"
    SMALLER = "smaller"
    ABSENT = "absent"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cluster(_Settings):
    """A group of calcifications."""

    morphology: Morphology
    distribution: Distribution = Distribution.GROUPED

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """Also from words: ``"pleomorphic"``, or ``"pleomorphic-segmental"``."""
        if not isinstance(value, str):
            return value
        morphology, _, distribution = value.partition("-")
        return {"morphology": morphology, **({"distribution": distribution} if distribution else {})}


class PhantomSettings(_Settings):
    """What is drawn, besides what the seed decides."""

    density: Density | None = Field(default=None, description="None: as the seed decides, from B to C.")
    masses: tuple[Shape, ...] = (Shape.SPICULATED,)
    calcifications: tuple[Cluster, ...] = ()
    dose: Annotated[float, Field(ge=0.02, le=50)] = Field(
        default=1.0, description="Against the usual one: noise goes with one over its square root."
    )
    blur_mm: Annotated[float, Field(ge=0, le=3)] = Field(
        default=0.0, description="Standard deviation of a further blur, as of a woman who moved."
    )
    look: Look = Look.DIGITAL
    prior: Prior = Prior.NONE

    @model_validator(mode="after")
    def _has_room(self) -> PhantomSettings:
        count = len(self.masses) + len(self.calcifications)
        if count > MOST_LESIONS:
            raise ValueError(f"{count} lesions are too many for two breasts: at most {MOST_LESIONS} can be drawn")
        return self

    def stated(self) -> Iterator[str]:
        """Those that are not the defaults, in words that tell exams apart."""
        for name, value in self.model_dump(mode="json", exclude_defaults=True).items():
            yield f"{name}={value}"


DEFAULTS = PhantomSettings()
