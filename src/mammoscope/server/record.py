"""What a reader makes of an exam, as the API takes and gives it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from mammoscope.findings import Score
from mammoscope.server.api_model import ApiModel, with_example

Birads = Literal["0", "1", "2", "3", "4A", "4B", "4C", "5", "6"]
Density = Literal["A", "B", "C", "D"]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
FileNumber = Annotated[int, Field(ge=0, le=100_000)]


class Verdict(ApiModel):
    """What the reader says of a finding."""

    file: FileNumber
    finding: int = Field(ge=0, le=100_000, description="Its place in the file's findings, from 0.")
    verdict: Literal["accepted", "rejected"]
    reason: str = Field(default="", max_length=200, description="Why it is rejected.")


class Assessment(ApiModel):
    """What the reader says of a breast, or of the exam, in the words of ACR BI-RADS."""

    of: Literal["exam", "right", "left"]
    birads: Birads | None = Field(default=None, description="Assessment category.")
    density: Density | None = Field(default=None, description="Composition of the breast.")


class Drawn(ApiModel):
    """A finding that the reader drew."""

    file: FileNumber
    outline: tuple[tuple[Coordinate, Coordinate], ...] = Field(
        min_length=3, max_length=2000, description="Closed polygon (x, y) in pixels of the original image."
    )


class Length(ApiModel):
    """A length that the reader measured."""

    file: FileNumber
    ends: tuple[tuple[Coordinate, Coordinate], tuple[Coordinate, Coordinate]] = Field(
        description="Both (x, y) in pixels of the original image."
    )


class Record(ApiModel):
    """What the reader made of an exam: for the report, and kept with the exam where it is saved as its reading."""

    model_config = with_example(
        threshold=0.34,
        impression="As two years ago, but for finding 1.",
        verdicts=[{"file": 0, "finding": 0, "verdict": "accepted"}],
        drawn=[{"file": 0, "outline": [[600, 700], [700, 700], [650, 800]]}],
    )

    threshold: Score = Field(description="Findings at or above this detection score are reported.")
    impression: str = Field(default="", max_length=4000)
    verdicts: tuple[Verdict, ...] = Field(default=(), max_length=10_000)
    drawn: tuple[Drawn, ...] = Field(default=(), max_length=200)
    lengths: tuple[Length, ...] = Field(default=(), max_length=1000)
    assessments: tuple[Assessment, ...] = Field(default=(), max_length=3)
    reader: str = Field(default="", max_length=100, description="The reader's name.")
    one_woman: bool = Field(default=False, description="The reader states that images which do not, are of one woman.")

    @field_validator("assessments")
    @classmethod
    def _once(cls, assessments: tuple[Assessment, ...]) -> tuple[Assessment, ...]:
        named = [one.of for one in assessments]
        if len(set(named)) < len(named):
            raise ValueError(f"{named} names one twice")
        return assessments


class ReadingDraft(ApiModel):
    """A reading to be saved."""

    revision: int = Field(ge=0, description="Of the reading that it was made from; another was saved since: 409.")
    record: Record


class StoredReading(ApiModel):
    """The reading of an exam as the server keeps it."""

    model_config = with_example(
        revision=1,
        saved="2026-01-31T12:00:00Z",
        record={"threshold": 0.34, "impression": "As before.", "reader": "Dr. A"},
    )

    revision: int = Field(description="Counts how often it was saved; 0: never.")
    saved: str | None = Field(description="When it was saved last: ISO 8601, UTC.")
    record: Record | None
