"""The findings as a structured report: TID 1500 Measurement Report (PS3.16), one measurement group for each finding."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from mammoscope.findings import Analysis
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.earlier import EarlierReport, Replacing
from mammoscope.writers.dicom.identity import result_identity
from mammoscope.writers.dicom.origin import Origin
from mammoscope.writers.dicom.report_parts import container, finding_group, library_entry, report_root, text
from mammoscope.writers.dicom.result_kind import ResultKind


def structured_report(
    analysis: Analysis, origin: Origin, segmentation: Dataset | None = None, earlier: Sequence[EarlierReport] = ()
) -> Dataset:
    """An analysis as a Comprehensive SR.

    Points are (column, row) in pixels from the top left corner of the image's top left pixel (PS3.3 C.18.6.1.2): that
    is the frame ``original``.

    Parameters
    ----------
    segmentation
        A reference to the segmentation that is made with it, see ``reference_to``; None: none is.
    earlier
        Reports that were made before: the ones on this image that it replaces are named in it.
    """
    parts = ("instance",) if segmentation is None else ("instance", segmentation.SOPInstanceUID)
    replacing = Replacing.of(
        earlier, [origin.image], lambda *more: origin.uid(ResultKind.SR.value, *parts, *more), of_exam=False
    )
    report = sr.ComprehensiveSR(
        evidence=[origin.image] if segmentation is None else [origin.image, segmentation],
        content=report_root(analysis, _parts(analysis, origin, segmentation)),
        is_complete=True,
        coding_schemes=[concepts.private_scheme()],
        previous_versions=replacing.predecessors,
        **{**result_identity(analysis, origin, ResultKind.SR), "sop_instance_uid": replacing.uid},
    )
    origin.pass_on(report)
    return report


def _parts(analysis: Analysis, origin: Origin, segmentation: Dataset | None) -> list[sr.ContentItem]:
    library = container(codes.DCM.ImageLibraryGroup, [library_entry(analysis, origin.image)])
    # Also where there is no finding, and never empty: there are viewers that cannot open such a report otherwise.
    measured = [
        finding_group(analysis, origin, number, segmentation) for number in range(1, len(analysis.findings) + 1)
    ]
    return [
        container(codes.DCM.ImageLibrary, [library]),
        container(codes.DCM.ImagingMeasurements, measured or [text(codes.DCM.Comment, analysis.statement)]),
        container(concepts.QUALITATIVE_EVALUATIONS, _summary(analysis, origin)),
    ]


def _summary(analysis: Analysis, origin: Origin) -> list[sr.ContentItem]:
    """What holds for the image as a whole."""
    texts = [
        (codes.DCM.NarrativeSummary, analysis.statement),
        (concepts.NOTICE_OF_USE, analysis.notice),
        *((concepts.NOTE_ON_IMAGE, note) for note in dict.fromkeys((*analysis.warnings, *origin.notes))),
    ]
    summary = concepts.SUMMARIES[analysis.outcome]
    return [
        sr.CodeContentItem(codes.DCM.CADProcessingAndFindingsSummary, summary, Relation.CONTAINS),
        *(text(name, said) for name, said in texts),
    ]
