"""What is said of an exam as a whole: immutable, checked once when it is made, and the source of its JSON Schema.

It adds to the analyses of the exam's images, each of which keeps its own file, and takes nothing from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mammoscope import NOTICE, __version__
from mammoscope.exam import STANDARD_VIEWS, hanging_place
from mammoscope.findings import (
    ANALYSED_ALONE,
    Analysis,
    BundleIdentity,
    Finding,
    KindName,
    Outcome,
    Score,
    SpacingFacts,
    Thresholds,
)
from mammoscope.mammogram import Laterality

# 1.1 adds lesions. What was written as 1.0 still opens, and names none.
EXAM_SCHEMA_VERSION: Literal["1.1"] = "1.1"
_OLDER_VERSIONS = ("1.0",)

_SAME_SPACING = 0.01  # relative; files state three or four digits


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class HighestScores(_Record):
    """The highest scores among some findings. No score of a breast or of an exam: none is estimated."""

    detection_score: Score | None = Field(
        description="The highest detection score of a single finding; null: there is no finding."
    )
    malignancy_score: Score | None = Field(
        description="The highest malignancy score of a single finding, not a probability for the breast or the exam; "
        "null: there is no finding that the models grade."
    )

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> Self:
        """Of these findings."""
        return cls(
            detection_score=max((finding.detection_score for finding in findings), default=None),
            malignancy_score=max(
                (score for one in findings if (score := one.malignancy_score) is not None), default=None
            ),
        )


class ExamView(_Record):
    """One image of the exam, and what its own analysis came to."""

    report: str = Field(description="The JSON file with the image's analysis, as seen from this file.")
    laterality: Laterality | None
    view: str | None
    outcome: Outcome
    findings: int = Field(ge=0, description="How many findings its analysis lists.")


class Breast(_Record):
    """What the views of one breast came to together."""

    laterality: Laterality
    views: int = Field(ge=1, description="How many images show it.")
    findings: int = Field(ge=0, description="How many findings these images have; one mass may be found in each.")
    highest: HighestScores


class LesionFinding(_Record):
    """Where one view shows a lesion."""

    report: str = Field(description="The JSON file with the image's analysis.")
    number: int = Field(ge=1, description="Which of the findings of that analysis, counted from 1.")


class Lesion(_Record):
    """What may be one lesion, in all views where it was found."""

    uid: str | None = Field(description="What its findings say it is; null: it is found in one view.")
    laterality: Laterality | None
    kind: KindName
    findings: tuple[LesionFinding, ...] = Field(min_length=1, description="In the order of the views.")
    highest: HighestScores


def _up_to_date(version: object) -> object:
    return EXAM_SCHEMA_VERSION if version in _OLDER_VERSIONS else version


class ExamReport(_Record):
    """What mammoscope says of an exam, beside the analyses of its images."""

    schema_version: Annotated[Literal["1.1"], BeforeValidator(_up_to_date)] = EXAM_SCHEMA_VERSION
    notice: str = NOTICE
    software: str = Field(description="Name and version of the program.")
    bundle: BundleIdentity
    thresholds: Thresholds
    views: tuple[ExamView, ...] = Field(min_length=1, description="As they hang: R CC, L CC, R MLO, L MLO, others.")
    not_analysed: int | None = Field(
        ge=0,
        description="Files of this exam that could not be analysed; null: not known, as where images still arrive.",
    )
    breasts: tuple[Breast, ...] = Field(description="Right before left; images of an unknown side count in neither.")
    lesions: tuple[Lesion, ...] = Field(
        default=(),
        description="All findings, those that the models take for one lesion together; highest detection score first.",
    )
    highest: HighestScores = Field(description="Among the findings of all images.")
    warnings: tuple[str, ...]

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        if len({view.report for view in self.views}) < len(self.views):
            raise ValueError("two views have one report")
        return self


class ViewFacts(Protocol):
    """What is known of an image before and after its analysis."""

    @property
    def laterality(self) -> Laterality | None: ...

    @property
    def view(self) -> str | None: ...

    @property
    def spacing(self) -> SpacingFacts | None: ...


def report_on(
    analyses: Sequence[tuple[str, Analysis]],
    *,
    not_analysed: int | None = 0,
    warnings: Sequence[str] = (),
) -> ExamReport:
    """The report on an exam.

    Parameters
    ----------
    analyses
        Name of the JSON file and analysis of each image, at least one; all by one bundle at one operating point.
    not_analysed
        Files of the exam that could not be analysed; None: not known.
    warnings
        What is to be said of the exam beside what its views tell.

    Raises
    ------
    ValueError
        There is no analysis, or they are of different bundles or operating points.
    """
    settings = {(analysis.bundle, analysis.thresholds) for _, analysis in analyses}
    if len(settings) != 1:
        raise ValueError(f"the analyses of an exam have {len(settings)} bundles and thresholds, they must have one")
    hung = sorted(analyses, key=lambda pair: hanging_place(pair[1].input.laterality, pair[1].input.view))
    images = [analysis for _, analysis in hung]
    return ExamReport(
        software=f"mammoscope {__version__}",
        bundle=images[0].bundle,
        thresholds=images[0].thresholds,
        views=tuple(
            ExamView(
                report=report,
                laterality=analysis.input.laterality,
                view=analysis.input.view,
                outcome=analysis.outcome,
                findings=len(analysis.findings),
            )
            for report, analysis in hung
        ),
        not_analysed=not_analysed,
        breasts=tuple(
            _breast(side, [image for image in images if image.input.laterality is side])
            for side in (Laterality.RIGHT, Laterality.LEFT)
            if any(image.input.laterality is side for image in images)
        ),
        lesions=_lesions(hung),
        highest=HighestScores.of([finding for image in images for finding in image.findings]),
        warnings=(
            *warnings,
            *_warnings_of_analyses(images),
            *warnings_on([image.input for image in images], not_analysed),
        ),
    )


def warnings_on(images: Sequence[ViewFacts], not_analysed: int | None = 0, *, of: str = "this exam") -> list[str]:
    """What a reader must know about the exam's images taken together, as full sentences.

    Parameters
    ----------
    images
        Those that were analysed.
    not_analysed, of
        How many files could not be analysed (None: not known), and whose they are.
    """
    found = []
    if not_analysed:
        found.append(f"{_counted(not_analysed, 'file')} of {of} could not be analysed.")
    names = [(image.laterality, image.view) for image in images]
    if unknown := sum(side is None or view is None for side, view in names):
        found.append(f"The side or the view of {_counted(unknown, 'image')} is not known.")
    if missing := [_shown(*one) for one in STANDARD_VIEWS if one not in names]:
        among = " among the images whose side and view are known" if unknown else ""
        found.append(f"Standard views are missing{among}: {', '.join(missing)}.")
    for side, view in dict.fromkeys(names):
        if side is not None and view is not None and (count := names.count((side, view))) > 1:
            found.append(f"{_shown(side, view)} is there {count} times.")
    return found + _spacing_warnings([image.spacing for image in images])


def _warnings_of_analyses(analyses: Sequence[Analysis]) -> list[str]:
    alone = sum(ANALYSED_ALONE in analysis.warnings for analysis in analyses)
    if not alone:
        return []
    seen = f"{_counted(alone, 'image')} of this exam {'was' if alone == 1 else 'were'} analysed alone"
    return [f"{seen}; steps of the models look at all images of an exam together, so scores may differ."]


def _spacing_warnings(spacings: Sequence[SpacingFacts | None]) -> list[str]:
    known = [spacing.row_mm for spacing in spacings if spacing is not None]
    found = []
    if known and len(known) < len(spacings):
        found.append(f"The pixel spacing of {_counted(len(spacings) - len(known), 'image')} is not known.")
    if known and max(known) > min(known) * (1 + _SAME_SPACING):
        values = ", ".join(f"{value:g} mm" for value in sorted(set(known)))
        found.append(f"The pixel spacing differs between images: {values}.")
    return found


def _breast(side: Laterality, images: Sequence[Analysis]) -> Breast:
    findings = [finding for image in images for finding in image.findings]
    return Breast(laterality=side, views=len(images), findings=len(findings), highest=HighestScores.of(findings))


def _lesions(hung: Sequence[tuple[str, Analysis]]) -> tuple[Lesion, ...]:
    """The findings of all images, linked ones together."""
    together: dict[object, list[tuple[LesionFinding, Finding, Laterality | None]]] = {}
    for report, analysis in hung:
        for number, finding in enumerate(analysis.findings, start=1):
            shown = LesionFinding(report=report, number=number)
            together.setdefault(finding.lesion or shown, []).append((shown, finding, analysis.input.laterality))
    lesions = [
        Lesion(
            uid=finding.lesion,
            laterality=side,
            kind=finding.kind,
            findings=tuple(place for place, _, _ in shown),
            highest=HighestScores.of([finding for _, finding, _ in shown]),
        )
        for shown in together.values()
        for _, finding, side in shown[:1]
    ]
    return tuple(sorted(lesions, key=lambda lesion: -(lesion.highest.detection_score or 0)))


def _shown(side: Laterality, view: str) -> str:
    return f"{side.value[0]} {view}"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
