"""What the API takes and gives, beside the analyses themselves: checked at the edge, and the source of the OpenAPI."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from mammoscope import NOTICE, __version__
from mammoscope.findings import BundleIdentity, KindName, Score, SpacingFacts, Thresholds
from mammoscope.geometry import FrameChange
from mammoscope.kinds import DEFAULT_KIND, KINDS, Kind, longest_word
from mammoscope.mammogram import Laterality, Mammogram
from mammoscope.readers.identity import Identity
from mammoscope.server.api_model import ApiModel, with_example
from mammoscope.server.validation import Validation
from mammoscope.stages.breast_form import tip_row
from mammoscope.stages.preprocess import Preprocessed

FileState = Literal["queued", "reading", "analysing", "done", "failed"]
AnalysisState = Literal["queued", "running", "done", "failed"]

_ID = "3f2b8c1d9e4a4f0b8a7c6d5e4f3a2b1c"


class Problem(ApiModel):
    """What went wrong."""

    model_config = with_example(detail="there is no such analysis")

    detail: str = Field(description="One sentence.")


class Window(ApiModel):
    """How a viewer maps pixels to grey at first: linear, in values of ``original``."""

    center: float
    width: float


class FromOriginal(ApiModel):
    """``x' = scale_x * x + shift_x``, the same for y: from pixels of the original to the preprocessed image's."""

    scale_x: float
    shift_x: float
    scale_y: float
    shift_y: float

    @classmethod
    def of(cls, change: FrameChange) -> FromOriginal:
        """The change as the page takes it."""
        return cls(scale_x=change.scale_x, shift_x=change.shift_x, scale_y=change.scale_y, shift_y=change.shift_y)


class PreprocessedView(ApiModel):
    """The image that the models see."""

    rows: int
    columns: int
    from_original: FromOriginal
    tip_row: float | None = Field(
        default=None,
        description="Row of the original in which the breast reaches furthest from the chest wall: about the nipple's "
        "height. Null: analysed by a version that did not look.",
    )

    @classmethod
    def of(cls, prepared: Preprocessed) -> PreprocessedView:
        """Size and place of a prepared breast."""
        change = prepared.from_original
        return cls(
            rows=prepared.height,
            columns=prepared.width,
            from_original=FromOriginal.of(change),
            tip_row=round((tip_row(prepared.mask) - change.shift_y) / change.scale_y, 1),
        )


class View(ApiModel):
    """What a viewer needs to show a file."""

    rows: int
    columns: int
    pixel_aspect: float = Field(description="Height of a pixel divided by its width.")
    laterality: Laterality | None
    view: str | None = Field(description="CC, MLO, ...; null: not known.")
    spacing: SpacingFacts | None
    window: Window
    preprocessed: PreprocessedView | None = Field(description="Null until the analysis ends, or without a breast.")
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, mammogram: Mammogram, prepared: Preprocessed | None = None) -> View:
        """What is known of a mammogram, and of its prepared breast once there is one."""
        return cls(
            rows=mammogram.height,
            columns=mammogram.width,
            pixel_aspect=mammogram.pixel_aspect,
            laterality=mammogram.laterality,
            view=mammogram.view,
            spacing=SpacingFacts.of(mammogram.spacing),
            window=Window(center=32768, width=65536),
            preprocessed=PreprocessedView.of(prepared) if prepared else None,
            warnings=mammogram.warnings,
        )


class File(ApiModel):
    """One file of an analysis."""

    number: int
    name: str = Field(description="As uploaded; to be shown as text, and nothing else.")
    state: FileState
    progress: Score
    error: str | None = Field(description="Why it failed.")
    result: int | None = Field(description="Its place in /result, once the whole analysis has ended.")
    view: View | None = Field(description="There as soon as the pixels can be shown.")


class Patient(ApiModel):
    """Whose exam it is, as its images state it; for the eyes of who reads it. Empty: they do not state it."""

    model_config = with_example(**Identity(name="Synthetic, Phantom", study_date="2026-01-31").to_message())

    name: str
    patient_id: str
    birth_date: str = Field(description="2026-01-31, or what else the file has; likewise study_date.")
    study_date: str
    accession_number: str
    description: str = Field(description="Of the study.")


class AnalysisStatus(ApiModel):
    """How far an analysis is."""

    model_config = with_example(
        id=_ID,
        created="2026-01-31T12:00:00Z",
        state="running",
        progress=0.5,
        patient=Identity(name="Synthetic, Phantom", study_date="2026-01-31").to_message(),
        warnings=[],
        files=[
            {
                "number": 0,
                "name": "phantom-L-CC.dcm",
                "state": "analysing",
                "progress": 0.5,
                "error": None,
                "result": None,
                "view": {
                    "rows": 3328,
                    "columns": 2560,
                    "pixel_aspect": 1.0,
                    "laterality": "LEFT",
                    "view": "CC",
                    "spacing": {"row_mm": 0.07, "column_mm": 0.07, "source": "ImagerPixelSpacing"},
                    "window": {"center": 32768, "width": 65536},
                    "preprocessed": None,
                    "warnings": [],
                },
            }
        ],
    )

    id: str
    created: str = Field(description="ISO 8601, UTC.")
    state: AnalysisState = Field(description="failed: every file failed.")
    progress: Score
    files: tuple[File, ...]
    is_vouched: bool = Field(
        default=False, description="Several images, which do not state that they are of one woman."
    )
    patient: Patient | None = Field(default=None, description="Null: its images state nobody, or none is read yet.")
    warnings: tuple[str, ...] = Field(description="What is to be said of the exam beside what its files' views say.")


class CreatedExam(ApiModel):
    """An exam of an upload, which is an analysis of its own.

    Files are one exam where they state one study of one patient, never because they were sent together.
    """

    id: str
    parts: tuple[int, ...] = Field(description="Files of the form that it is of, from 0; a ZIP archive counts as one.")


class Created(ApiModel):
    """What was taken on."""

    model_config = with_example(id=_ID, exams=[{"id": _ID, "parts": [0, 1, 2, 3]}])

    id: str = Field(description="Of the first exam's analysis.")
    exams: tuple[CreatedExam, ...]


class Limits(ApiModel):
    """What one upload may bring."""

    bytes: int
    files: int
    pixels: int


class Queue(ApiModel):
    """Files that wait, and how many may."""

    waiting: int
    limit: int


class FindingKind(ApiModel):
    """A kind of finding: its words, and how it is drawn."""

    name: KindName = Field(description="As findings have it.")
    word: str
    plural: str
    indefinite: str = Field(description="The word with its article.")
    longest: str = Field(description="What its longest diameter is called.")
    outlined: bool = Field(description="Whether an outline is drawn within its box.")
    sought: bool = Field(description="Whether the models look for it.")

    @classmethod
    def of(cls, kind: Kind, sought: Collection[str]) -> FindingKind:
        """A row of the table of kinds as the page takes it; ``sought``: the names of those that are looked for."""
        return cls(
            name=kind.name,
            word=kind.word,
            plural=kind.plural,
            indefinite=kind.indefinite,
            longest=longest_word((kind,)),
            outlined=kind.outlined,
            sought=kind.name in sought,
        )


class Health(ApiModel):
    """The server and its models."""

    model_config = with_example(
        status="ok",
        software=f"mammoscope {__version__}",
        notice=NOTICE,
        bundle={"name": "mammoscope-cbis-ddsm", "version": "0.1.0", "sha256": "0" * 64},
        thresholds={"detection": 0.34, "malignancy": 0.42},
        floor=0.1,
        limits={"bytes": 2 << 30, "files": 100, "pixels": 100_000_000},
        queue={"waiting": 0, "limit": 200},
        kinds=[FindingKind.of(kind, [DEFAULT_KIND]).model_dump() for kind in KINDS],
        sees_exams=False,
        validation=None,
    )

    status: Literal["ok"] = "ok"
    software: str = f"mammoscope {__version__}"
    notice: str = NOTICE
    bundle: BundleIdentity
    thresholds: Thresholds = Field(description="The bundle's operating point.")
    floor: Score = Field(description="Candidates are sent down to this detection score.")
    limits: Limits
    queue: Queue
    kinds: tuple[FindingKind, ...] = Field(description="Every kind that a finding can be of.")
    sees_exams: bool = Field(
        description="Whether a step of the models looks at whole exams: no view has results before its exam has."
    )
    validation: Validation | None = Field(description="What thresholds found; null: the bundle does not state it.")
