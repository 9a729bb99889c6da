"""The report on an exam as one structured report: TID 1500 Measurement Report (PS3.16) on all its images.

Measurement groups hold the findings, as in the report on an image. A container beside them, by which TID 1500 may be
extended, says what holds for the exam, and inside for each breast, each view, and each lesion that several views show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammoscope import NOTICE
from mammoscope.errors import InputError, place_of
from mammoscope.exam import hanging_place
from mammoscope.exam_report import ExamReport, HighestScores, Lesion, report_on
from mammoscope.findings import statement_of
from mammoscope.kinds import kind_named
from mammoscope.mammogram import Laterality
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.earlier import EarlierReport, Replacing
from mammoscope.writers.dicom.identity import MAKER, equipment, series_number, tracking, view_in_words
from mammoscope.writers.dicom.made import Made, Unread, key_of, refuse_two_exams
from mammoscope.writers.dicom.origin import uid_of
from mammoscope.writers.dicom.report_parts import (
    bare_entry,
    container,
    finding_group,
    library_entry,
    report_root,
    side_code,
    text,
)
from mammoscope.writers.dicom.silence import without_warnings

_SERIES_NUMBER = 77
_NOT_ANALYSED = "This image could not be analysed."


def exam_report_sr(
    exam: Sequence[Made],
    *,
    unread: Sequence[Unread] = (),
    not_analysed: int | None = 0,
    warnings: Sequence[str] = (),
    earlier: Sequence[EarlierReport] = (),
) -> Dataset:
    """A Comprehensive 3D SR on one or more images, in any order; the same ones give it the same UIDs.

    Coordinates are those of the images' own pixels, as in the reports on each: a projection has no place in space.

    Parameters
    ----------
    exam
        Images of one study of one patient, by one bundle at one operating point.
    unread
        Images of it that could not be analysed, as far as they can be referred to.
    not_analysed
        How many could not be analysed, these included; None: not known.
    warnings
        What is to be said of the exam beside what its images tell, as full sentences.
    earlier
        Reports that were made before: those on exams of no other images are named as replaced.

    Raises
    ------
    MammoscopeError
        The images are of two studies or patients, or the header of the first cannot be copied.
    ValueError
        There is no image, or they were analysed by different bundles or at different operating points.
    """
    hung = sorted(_linked(exam), key=lambda made: (_place(made), made.origin.key))
    report = report_on(
        [(str(made.origin.image.SOPInstanceUID), made.analysis) for made in hung],
        not_analysed=not_analysed,
        warnings=warnings,
    )
    refuse_two_exams(hung, unread)
    try:
        with without_warnings():
            return _Document(report, hung, unread).encoded(earlier)
    except Exception as error:  # what a damaged header makes the libraries raise is not bounded
        raise InputError(hung[0].origin.path, f"its header cannot be copied ({place_of(error)})") from None


def _linked(exam: Sequence[Made]) -> list[Made]:
    """The exam, with a lesion also where a later view names one after a finding that was not linked before."""
    lesions = {finding.lesion for made in exam for finding in made.analysis.findings}
    linked = []
    for made in exam:
        findings = []
        for number, finding in enumerate(made.analysis.findings, start=1):
            own = str(tracking(made.analysis, made.origin, number)["uid"])
            findings.append(finding.model_copy(update={"lesion": own}) if own in lesions else finding)
        analysis = made.analysis.model_copy(update={"findings": tuple(findings)})
        linked.append(Made(analysis, made.origin, made.results))
    return linked


def _place(made: Made) -> int:
    return hanging_place(made.analysis.input.laterality, made.analysis.input.view)


@dataclass(frozen=True)
class _Document:
    """A report, its images as they hang, and those that could not be analysed."""

    report: ExamReport
    hung: Sequence[Made]
    unread: Sequence[Unread]

    @property
    def key(self) -> list[str]:
        """All that the content depends on."""
        segmentations = [one.SOPInstanceUID for one in self.segmentations()]
        unread = [one.image.SOPInstanceUID for one in self.unread]
        return [*key_of(self.hung, results=False), *segmentations, *unread, *self.report.warnings, "exam report"]

    def encoded(self, earlier: Sequence[EarlierReport]) -> Dataset:
        first, key = self.hung[0], self.key
        images = [made.origin.image for made in self.hung]
        replacing = Replacing.of(earlier, images, lambda *replaced: uid_of(*key, "instance", *replaced), of_exam=True)
        images += [one.image for one in self.unread]
        # Of a series, viewers show the last report: a late image leaves the series, unless its UID is the lowest.
        lowest = min((made.origin for made in self.hung), key=lambda origin: str(origin.image.SOPInstanceUID))
        models = first.analysis.software, first.analysis.bundle.sha256
        document = sr.Comprehensive3DSR(
            evidence=[*images, *self.segmentations()],
            content=report_root(first.analysis, self.parts()),
            is_complete=True,
            coding_schemes=[concepts.private_scheme()],
            previous_versions=replacing.predecessors,
            series_instance_uid=uid_of(lowest.image.SOPInstanceUID, *models, "exam report", "series"),
            series_number=series_number(lowest, _SERIES_NUMBER),
            series_description=f"{MAKER} SR, exam",
            sop_instance_uid=replacing.uid,
            **equipment(first.analysis),
        )
        first.origin.pass_on(document)
        return document

    def segmentations(self) -> list[Dataset]:
        return [one for made in self.hung if (one := made.segmentation) is not None]

    def parts(self) -> list[sr.ContentItem]:
        findings = [
            finding_group(made.analysis, made.origin, number, made.segmentation)
            for made in self.hung
            for number in range(1, len(made.analysis.findings) + 1)
        ]
        return [
            container(codes.DCM.ImageLibrary, [container(codes.DCM.ImageLibraryGroup, self.library())]),
            container(codes.DCM.ImagingMeasurements, findings or [text(codes.DCM.Comment, self.statement())]),
            container(concepts.QUALITATIVE_EVALUATIONS, self.summary()),
            self.exam(),
        ]

    def library(self) -> list[sr.ContentItem]:
        """TID 1600: one group, for there are viewers that read the first one alone."""
        return [
            *(library_entry(made.analysis, made.origin.image) for made in self.hung),
            *(bare_entry(one.image, one.stated.laterality, one.stated.view) for one in self.unread),
        ]

    def exam(self) -> sr.ContainerContentItem:
        """What holds for the exam, and inside for each breast, view and lesion."""
        breasts = {breast.laterality: breast for breast in self.report.breasts}
        inside: list[sr.ContentItem] = []
        for side in (Laterality.RIGHT, Laterality.LEFT, None):
            views = [
                *(self.lesion(one) for one in self.report.lesions if one.laterality is side and len(one.findings) > 1),
                *(self.view(made) for made in self.of_side(side)),
                *(self.unread_view(one) for one in self.unread_of(side)),
            ]
            if side is not None and views:
                shown = [made.origin.image for made in self.of_side(side)]
                measured = _measured(breasts[side].findings, breasts[side].highest) if side in breasts else []
                views = [_level(concepts.BREAST_LEVEL, shown, [*measured, *views], side=side)]
            inside += views
        measured = _measured(sum(len(made.analysis.findings) for made in self.hung), self.report.highest)
        return _level(concepts.EXAM_LEVEL, [made.origin.image for made in self.hung], [*measured, *inside])

    def lesion(self, lesion: Lesion) -> sr.ContentItem:
        """What the models take for one lesion; its findings have its tracking identifiers too."""
        by_uid = {str(made.origin.image.SOPInstanceUID): made for made in self.hung}
        shown = [(by_uid[one.report], one.number) for one in lesion.findings]
        known = tracking(shown[0][0].analysis, shown[0][0].origin, shown[0][1])
        kind = concepts.coded(kind_named(lesion.kind).code)
        where = ", ".join(f"{view_in_words(made.analysis)} finding {number}" for made, number in shown)
        said = [
            *sr.TrackingIdentifier(**known),
            sr.CodeContentItem(codes.DCM.Finding, kind, Relation.CONTAINS),
            *_measured(len(shown), lesion.highest),
            text(codes.DCM.Comment, f"Taken for one lesion: {where}."),
        ]
        return _level(
            concepts.LESION_LEVEL, [made.origin.image for made in dict.fromkeys(made for made, _ in shown)], said
        )

    def view(self, made: Made) -> sr.ContentItem:
        analysis = made.analysis
        notes = dict.fromkeys((*analysis.warnings, *made.origin.notes))
        said = [
            _outcome(concepts.SUMMARIES[analysis.outcome]),
            *_measured(len(analysis.findings), HighestScores.of(analysis.findings)),
            text(codes.DCM.Comment, analysis.statement),
            *(text(concepts.NOTE_ON_IMAGE, note) for note in notes),
        ]
        return _level(concepts.VIEW_LEVEL, [made.origin.image], said, view=analysis.input.view)

    def unread_view(self, unread: Unread) -> sr.ContentItem:
        none = _outcome(concepts.SUMMARIES["no_breast_found"])  # no algorithm succeeded
        said = [none, text(codes.DCM.Comment, _NOT_ANALYSED)]
        return _level(concepts.VIEW_LEVEL, [unread.image], said, view=unread.stated.view)

    def summary(self) -> list[sr.ContentItem]:
        """What holds for the exam as a whole."""
        outcome = concepts.exam_summary([made.analysis.outcome for made in self.hung], self.report.not_analysed)
        return [
            _outcome(outcome),
            text(codes.DCM.NarrativeSummary, self.statement()),
            text(concepts.NOTICE_OF_USE, NOTICE),
            *(text(concepts.NOTE_ON_IMAGE, warning) for warning in self.report.warnings),
        ]

    def statement(self) -> str:
        findings = [finding for made in self.hung for finding in made.analysis.findings]
        said = statement_of(
            findings,
            self.report.thresholds.detection,
            breast_found=any(made.analysis.outcome != "no_breast_found" for made in self.hung),
        )
        count = len(self.hung)
        return f"{count} image{'' if count == 1 else 's'} analysed. {said}"

    def of_side(self, side: Laterality | None) -> Iterable[Made]:
        return (made for made in self.hung if made.analysis.input.laterality is side)

    def unread_of(self, side: Laterality | None) -> Iterable[Unread]:
        return (one for one in self.unread if one.stated.laterality is side)


def _level(
    name: Code,
    images: Sequence[Dataset],
    said: Sequence[sr.ContentItem],
    *,
    side: Laterality | None = None,
    view: str | None = None,
) -> sr.ContainerContentItem:
    """What holds for some images together.

    No measurement group of TID 1501: there are viewers that cannot open a report with a group without coordinates.
    """
    modifiers = [
        sr.CodeContentItem(concept, value, Relation.HAS_CONCEPT_MOD)
        for concept, value in (
            (codes.SCT.Laterality, side_code(side)),
            (codes.DCM.ImageView, concepts.VIEWS.get(view or "")),
        )
        if value is not None
    ]
    shown = [
        sr.ImageContentItem(concepts.SOURCE, one.SOPClassUID, one.SOPInstanceUID, relationship_type=Relation.CONTAINS)
        for one in images
    ]
    return container(name, [*modifiers, *shown, *said])


def _outcome(summary: Code) -> sr.ContentItem:
    return sr.CodeContentItem(codes.DCM.CADProcessingAndFindingsSummary, summary, Relation.CONTAINS)


def _measured(findings: int, highest: HighestScores) -> list[sr.ContentItem]:
    """How many findings there are, and the highest scores of a single one."""
    scores = (
        (concepts.DETECTION_SCORE, highest.detection_score),
        (concepts.MALIGNANCY_PROBABILITY, highest.malignancy_score),
    )
    measured: list[sr.ContentItem] = [
        sr.NumContentItem(concepts.FINDING_COUNT, findings, codes.UCUM.NoUnits, relationship_type=Relation.CONTAINS)
    ]
    for concept, score in scores:
        if score is not None:
            highest_of = sr.Measurement(concept, 100 * score, codes.UCUM.Percent, derivation=codes.SCT.Maximum)
            measured.append(cast(sr.ContentItem, highest_of[0]))
    return measured
