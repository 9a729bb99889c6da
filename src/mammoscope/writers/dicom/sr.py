"""The findings as a structured report: TID 1500 Measurement Report (PS3.16), one measurement group for each finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mammoscope.findings import Analysis, Finding
from mammoscope.kinds import kind_named
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.identity import (
    MAKER,
    algorithm_parameters,
    algorithm_version,
    device_uid,
    plain,
    result_identity,
    tracking,
)
from mammoscope.writers.dicom.origin import Origin
from mammoscope.writers.dicom.result_kind import ResultKind
from mammoscope.writers.dicom.shapes import closed, corners, outline_of


def structured_report(analysis: Analysis, origin: Origin) -> Dataset:
    """An analysis as a Comprehensive SR.

    Points are (column, row) in pixels from the top left corner of the image's top left pixel (PS3.3 C.18.6.1.2): that
    is the frame ``original``.
    """
    report = sr.ComprehensiveSR(
        evidence=[origin.image],
        content=_document(analysis, origin),
        is_complete=True,
        coding_schemes=[concepts.private_scheme()],
        **result_identity(analysis, origin, ResultKind.SR),
    )
    origin.pass_on(report)
    return report


def _document(analysis: Analysis, origin: Origin) -> sr.ContainerContentItem:
    """The root of the tree. Not highdicom's own, which requires a measurement: a view may have no finding."""
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=device_uid(analysis),
            name=MAKER,
            manufacturer_name=MAKER,
            model_name=plain(analysis.software),
            serial_number=analysis.bundle.sha256,
        ),
    )
    parts: list[sr.ContentItem] = [
        *sr.LanguageOfContentItemAndDescendants(concepts.ENGLISH),
        *sr.ObservationContext(observer_device_context=observer),
        sr.CodeContentItem(codes.DCM.ProcedureReported, concepts.IMAGING_PROCEDURE, Relation.HAS_CONCEPT_MOD),
        _image_library(analysis, origin.image),
    ]
    # Also where there is no finding, and never empty: there are viewers that cannot open such a report otherwise.
    measured = [_group(analysis, origin, number) for number in range(1, len(analysis.findings) + 1)]
    nothing = sr.TextContentItem(codes.DCM.Comment, plain(analysis.statement), Relation.CONTAINS)
    parts.append(_container(codes.DCM.ImagingMeasurements, measured or [nothing]))
    parts.append(_container(concepts.QUALITATIVE_EVALUATIONS, _summary(analysis, origin)))
    root = sr.ContainerContentItem(codes.DCM.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = sr.ContentSequence(parts)
    return root


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
        *(sr.TextContentItem(name, plain(text), Relation.CONTAINS) for name, text in texts),
    ]


def _image_library(analysis: Analysis, image: Dataset) -> sr.ContainerContentItem:
    """TID 1600, with laterality and view (or that they are unknown), which highdicom's own leaves out."""
    facts = analysis.input
    described: list[sr.ContentItem] = [
        sr.CodeContentItem(name, value, Relation.HAS_ACQ_CONTEXT)
        for name, value in (
            (codes.DCM.Modality, concepts.MODALITIES.get(image.Modality, concepts.OTHER_MODALITY)),
            (codes.DCM.TargetRegion, concepts.BREAST),
            (codes.DCM.ImageLaterality, _side(analysis) or concepts.UNKNOWN),
            (codes.DCM.ImageView, concepts.VIEWS.get(facts.view or "", concepts.UNKNOWN)),
        )
    ]
    described += [
        sr.NumContentItem(name, value, concepts.PIXELS, relationship_type=Relation.HAS_ACQ_CONTEXT)
        for name, value in ((codes.DCM.PixelDataRows, facts.rows), (codes.DCM.PixelDataColumns, facts.columns))
    ]
    if facts.spacing is not None:
        described += [
            sr.NumContentItem(name, value, codes.UCUM.Millimeter, relationship_type=Relation.HAS_ACQ_CONTEXT)
            for name, value in (
                (codes.DCM.HorizontalPixelSpacing, facts.spacing.column_mm),
                (codes.DCM.VerticalPixelSpacing, facts.spacing.row_mm),
            )
        ]
    entry = sr.ImageContentItem(
        concepts.SOURCE, image.SOPClassUID, image.SOPInstanceUID, relationship_type=Relation.CONTAINS
    )
    entry.ContentSequence = sr.ContentSequence(described)
    return _container(codes.DCM.ImageLibrary, [_container(codes.DCM.ImageLibraryGroup, [entry])])


def _group(analysis: Analysis, origin: Origin, number: int) -> sr.ContentItem:
    """TID 1410: a finding. Its region is the outline, or the box if there is none, and is labelled as which."""
    finding, image = analysis.findings[number - 1], origin.image
    source = sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID)
    outline, box = outline_of(finding), corners(finding.box)
    groups = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(**tracking(analysis, origin, number)),
        referenced_region=sr.ImageRegion(
            sr.GraphicTypeValues.POLYLINE, closed(outline if len(outline) else box), source
        ),
        finding_type=concepts.coded(kind_named(finding.kind).code),
        algorithm_id=sr.AlgorithmIdentification(
            MAKER,
            algorithm_version(analysis),
            parameters=[f"{name}={value}" for name, value in algorithm_parameters(analysis).items()],
        ),
        finding_sites=[sr.FindingSite(concepts.BREAST, laterality=_side(analysis))],
        geometric_purpose=codes.cid219.Outline if len(outline) else codes.cid219.BoundedBy,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(concepts.MALIGNANCY_CLASS, concepts.class_of(finding.malignancy)),
            *(sr.QualitativeEvaluation(name, value) for name, value in concepts.features_of(finding)),
        ],
    )
    group = cast(sr.ContainerContentItem, groups[0])
    box_item = sr.ScoordContentItem(
        concepts.DETECTION_BOX, sr.GraphicTypeValues.POLYLINE, closed(box), relationship_type=Relation.CONTAINS
    )
    box_item.ContentSequence = sr.ContentSequence([source])
    group.ContentSequence.extend([box_item, *_measurements(finding)])
    return group


def _measurements(finding: Finding) -> list[sr.ContentItem]:
    """TID 300: the scores, and what is measured of the kind; unknown values are stated as unknown."""
    scores = [(concepts.DETECTION_SCORE, 100 * finding.detection_score)]
    if finding.malignancy_score is not None:
        scores.append((concepts.MALIGNANCY_PROBABILITY, 100 * finding.malignancy_score))
    sizes = [
        _measured(concepts.coded(measure.code), getattr(finding.size, measure.field), concepts.UNITS[measure.unit])
        for measure in kind_named(finding.kind).measures
    ]
    return [*(_measured(name, value, codes.UCUM.Percent) for name, value in scores), *sizes]


def _measured(name: Code, value: float | None, unit: Code) -> sr.ContentItem:
    """A number, or the code for unknown.

    A number without a value (PS3.3 C.18.1) would mean the same, but highdicom and others cannot read such a report.
    """
    if value is None:
        return sr.CodeContentItem(name, concepts.UNKNOWN, Relation.CONTAINS)
    return sr.NumContentItem(name, value, unit, relationship_type=Relation.CONTAINS)


def _side(analysis: Analysis) -> Code | None:
    side = analysis.input.laterality
    return None if side is None else concepts.SIDES[side]


def _container(name: Code, content: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(name, relationship_type=Relation.CONTAINS)
    container.ContentSequence = sr.ContentSequence(content)
    return container
