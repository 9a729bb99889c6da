"""The report on an exam as one structured report: TID 1500 Measurement Report (PS3.16) on all its images.

Groups of TID 1501 say what holds for the exam, each breast, each view and each lesion that several views show; groups
of TID 1410 hold the findings. They are in the order of breasts and views: the template has no containers inside.
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
from pydicom.uid import UID

from mammoscope import NOTICE
from mammoscope.errors import InputError, place_of
from mammoscope.exam import hanging_place
from mammoscope.exam_report import Breast, ExamReport, HighestScores, Lesion, report_on
from mammoscope.findings import statement_of
from mammoscope.kinds import kind_named
from mammoscope.mammogram import Laterality
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.earlier import EarlierReport, Replacing
from mammoscope.writers.dicom.identity import MAKER, equipment, series_number, tracking, view_in_words
from mammoscope.writers.dicom.made import Made, Unread, key_of, refuse_two_exams
from mammoscope.writers.dicom.origin import uid_of
from mammoscope.writers.dicom.report_parts import (
    algorithm,
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
        return [
            container(codes.DCM.ImageLibrary, self.library()),
            container(codes.DCM.ImagingMeasurements, list(self.groups())),
            container(concepts.QUALITATIVE_EVALUATIONS, self.summary()),
        ]

    def library(self) -> list[sr.ContentItem]:
        """TID 1600: a group for each breast."""
        found: list[sr.ContentItem] = []
        for side in (Laterality.RIGHT, Laterality.LEFT, None):
            entries = [library_entry(made.analysis, made.origin.image) for made in self.of_side(side)]
            entries += [bare_entry(one.image, one.stated.laterality, one.stated.view) for one in self.unread_of(side)]
            if entries:
                found.append(container(codes.DCM.ImageLibraryGroup, entries))
        return found

    def groups(self) -> Iterable[sr.ContentItem]:
        """The exam, then each breast with its lesions, its views, and their findings."""
        every = _measured(sum(len(made.analysis.findings) for made in self.hung), self.report.highest)
        yield self.group(concepts.EXAM_LEVEL, "exam", self.uid("exam"), self.hung, every)
        breasts = {breast.laterality: breast for breast in self.report.breasts}
        for side in (Laterality.RIGHT, Laterality.LEFT, None):
            if side is not None and side in breasts:
                yield self.breast(breasts[side])
            for lesion in self.report.lesions:
                if lesion.laterality is side and len(lesion.findings) > 1:
                    yield self.lesion(lesion)
            for made in self.of_side(side):
                yield self.view(made)
                for number in range(1, len(made.analysis.findings) + 1):
                    yield finding_group(made.analysis, made.origin, number, made.segmentation)
            for one in self.unread_of(side):
                yield self.unread_view(one)

    def breast(self, breast: Breast) -> sr.ContentItem:
        side = breast.laterality
        measured, shown = _measured(breast.findings, breast.highest), list(self.of_side(side))
        name = f"{side.value.lower()} breast"
        return self.group(concepts.BREAST_LEVEL, name, self.uid(name), shown, measured, side=side)

    def lesion(self, lesion: Lesion) -> sr.ContentItem:
        """What the models take for one lesion; its findings have its tracking identifiers too."""
        by_uid = {str(made.origin.image.SOPInstanceUID): made for made in self.hung}
        shown = [(by_uid[one.report], one.number) for one in lesion.findings]
        known = tracking(shown[0][0].analysis, shown[0][0].origin, shown[0][1])
        group = self.group(
            concepts.LESION_LEVEL,
            known["identifier"].removeprefix(f"{MAKER} "),
            known["uid"],
            list(dict.fromkeys(made for made, _ in shown)),
            _measured(len(shown), lesion.highest),
            side=lesion.laterality,
            finding_type=concepts.coded(kind_named(lesion.kind).code),
        )
        where = ", ".join(f"{view_in_words(made.analysis)} finding {number}" for made, number in shown)
        group.ContentSequence.append(text(codes.DCM.Comment, f"Taken for one lesion: {where}."))
        return group

    def view(self, made: Made) -> sr.ContentItem:
        analysis = made.analysis
        group = self.group(
            concepts.VIEW_LEVEL,
            view_in_words(analysis),
            made.origin.uid("view"),
            [made],
            _measured(len(analysis.findings), HighestScores.of(analysis.findings)),
            side=analysis.input.laterality,
            outcome=concepts.SUMMARIES[analysis.outcome],
        )
        notes = dict.fromkeys((*analysis.warnings, *made.origin.notes))
        group.ContentSequence.append(text(codes.DCM.Comment, analysis.statement))
        group.ContentSequence.extend(text(concepts.NOTE_ON_IMAGE, note) for note in notes)
        return group

    def unread_view(self, unread: Unread) -> sr.ContentItem:
        outcome = concepts.SUMMARIES["no_breast_found"]  # no algorithm succeeded
        uid = self.uid(f"not analysed {unread.image.SOPInstanceUID}")
        group = self.group(
            concepts.VIEW_LEVEL, "image not analysed", uid, [unread], [], side=unread.stated.laterality, outcome=outcome
        )
        group.ContentSequence.append(text(codes.DCM.Comment, _NOT_ANALYSED))
        return group

    def group(
        self,
        level: Code,
        name: str,
        uid: str,
        about: Sequence[Made | Unread],
        measured: Sequence[sr.Measurement],
        *,
        side: Laterality | None = None,
        outcome: Code | None = None,
        finding_type: Code | None = None,
    ) -> sr.ContainerContentItem:
        """TID 1501: what holds for some images together."""
        said = [(concepts.REPORT_LEVEL, level)]
        if outcome is not None:
            said.append((codes.DCM.CADProcessingAndFindingsSummary, outcome))
        images = [one.origin.image if isinstance(one, Made) else one.image for one in about]
        groups = sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=uid, identifier=name if name.startswith(MAKER) else f"{MAKER} {name}"
            ),
            finding_type=finding_type,
            algorithm_id=algorithm(self.hung[0].analysis),
            finding_sites=[sr.FindingSite(concepts.BREAST, laterality=side_code(side))],
            measurements=measured,
            qualitative_evaluations=[sr.QualitativeEvaluation(concept, value) for concept, value in said],
            source_images=[sr.SourceImageForMeasurementGroup(one.SOPClassUID, one.SOPInstanceUID) for one in images],
        )
        return cast(sr.ContainerContentItem, groups[0])

    def summary(self) -> list[sr.ContentItem]:
        """What holds for the exam as a whole."""
        outcome = concepts.exam_summary([made.analysis.outcome for made in self.hung], self.report.not_analysed)
        return [
            sr.CodeContentItem(codes.DCM.CADProcessingAndFindingsSummary, outcome, Relation.CONTAINS),
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

    def uid(self, part: str) -> UID:
        return uid_of(*self.key, part)


def _measured(findings: int, highest: HighestScores) -> list[sr.Measurement]:
    """TID 300: how many findings there are, and the highest scores of a single one."""
    scores = (
        (concepts.DETECTION_SCORE, highest.detection_score),
        (concepts.MALIGNANCY_PROBABILITY, highest.malignancy_score),
    )
    return [
        sr.Measurement(concepts.NUMBER_OF_FINDINGS, findings, codes.UCUM.NoUnits),
        *(
            sr.Measurement(concept, 100 * score, codes.UCUM.Percent, derivation=codes.SCT.Maximum)
            for concept, score in scores
            if score is not None
        ),
    ]
