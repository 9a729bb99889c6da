"""What the structured reports on an image and on an exam share: items of TID 1500 Measurement Report (PS3.16)."""

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
from mammoscope.mammogram import Laterality
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.identity import (
    MAKER,
    algorithm_parameters,
    algorithm_version,
    device_uid,
    plain,
    tracking,
)
from mammoscope.writers.dicom.origin import Origin
from mammoscope.writers.dicom.shapes import closed, corners, outline_of, segment_numbers


def report_root(analysis: Analysis, parts: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
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
    root = sr.ContainerContentItem(codes.DCM.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = sr.ContentSequence(
        [
            *sr.LanguageOfContentItemAndDescendants(concepts.ENGLISH),
            *sr.ObservationContext(observer_device_context=observer),
            sr.CodeContentItem(codes.DCM.ProcedureReported, concepts.IMAGING_PROCEDURE, Relation.HAS_CONCEPT_MOD),
            *parts,
        ]
    )
    return root


def library_entry(analysis: Analysis, image: Dataset) -> sr.ContentItem:
    """An image in TID 1600, with laterality and view (or that they are unknown), which highdicom's own leaves out."""
    facts = analysis.input
    entry = bare_entry(image, facts.laterality, facts.view)
    described = entry.ContentSequence
    described.extend(
        sr.NumContentItem(name, value, concepts.PIXELS, relationship_type=Relation.HAS_ACQ_CONTEXT)
        for name, value in ((codes.DCM.PixelDataRows, facts.rows), (codes.DCM.PixelDataColumns, facts.columns))
    )
    if facts.spacing is not None:
        described.extend(
            sr.NumContentItem(name, value, codes.UCUM.Millimeter, relationship_type=Relation.HAS_ACQ_CONTEXT)
            for name, value in (
                (codes.DCM.HorizontalPixelSpacing, facts.spacing.column_mm),
                (codes.DCM.VerticalPixelSpacing, facts.spacing.row_mm),
            )
        )
    return entry


def bare_entry(image: Dataset, laterality: Laterality | None, view: str | None) -> sr.ContentItem:
    """As ``library_entry``, of an image of which no more is known."""
    entry = sr.ImageContentItem(
        concepts.SOURCE, image.SOPClassUID, image.SOPInstanceUID, relationship_type=Relation.CONTAINS
    )
    described = (
        (codes.DCM.Modality, concepts.MODALITIES.get(image.Modality, concepts.OTHER_MODALITY)),
        (codes.DCM.TargetRegion, concepts.BREAST),
        (codes.DCM.ImageLaterality, side_code(laterality) or concepts.UNKNOWN),
        (codes.DCM.ImageView, concepts.VIEWS.get(view or "", concepts.UNKNOWN)),
    )
    entry.ContentSequence = sr.ContentSequence(
        [sr.CodeContentItem(name, value, Relation.HAS_ACQ_CONTEXT) for name, value in described]
    )
    return entry


def finding_group(
    analysis: Analysis, origin: Origin, number: int, segmentation: Dataset | None
) -> sr.ContainerContentItem:
    """TID 1410: a finding. Its region is the outline, or the box if there is none, and is labelled as which.

    Parameters
    ----------
    number
        Of the finding, counted from 1.
    segmentation
        That of the image, of which a segment has the same outline; None: none was made. A reference to it stands beside
        the region: the template allows one region, and viewers draw points without a second object.
    """
    finding, image = analysis.findings[number - 1], origin.image
    source = sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID)
    outline, box = outline_of(finding), corners(finding.box)
    groups = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(**tracking(analysis, origin, number)),
        referenced_region=sr.ImageRegion(
            sr.GraphicTypeValues.POLYLINE, closed(outline if len(outline) else box), source
        ),
        finding_type=concepts.coded(kind_named(finding.kind).code),
        algorithm_id=algorithm(analysis),
        finding_sites=[sr.FindingSite(concepts.BREAST, laterality=side_code(analysis.input.laterality))],
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
    group.ContentSequence.extend([box_item, *_segment_of(analysis, number, segmentation), *_measurements(finding)])
    return group


def algorithm(analysis: Analysis) -> sr.AlgorithmIdentification:
    """TID 4019: the program, the models and their thresholds."""
    parameters = [f"{name}={value}" for name, value in algorithm_parameters(analysis).items()]
    return sr.AlgorithmIdentification(MAKER, algorithm_version(analysis), parameters=parameters)


def _segment_of(analysis: Analysis, number: int, segmentation: Dataset | None) -> list[sr.ContentItem]:
    segment = segment_numbers(analysis).get(number)
    if segmentation is None or segment is None:
        return []
    return [
        sr.ImageContentItem(
            concepts.SEGMENTATION,
            segmentation.SOPClassUID,
            segmentation.SOPInstanceUID,
            referenced_segment_numbers=segment,
            relationship_type=Relation.CONTAINS,
        )
    ]


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


def side_code(side: Laterality | None) -> Code | None:
    """The code of a side; None where it is not known."""
    return None if side is None else concepts.SIDES[side]


def text(name: Code, content: str) -> sr.ContentItem:
    """A text, in ASCII."""
    return sr.TextContentItem(name, plain(content), Relation.CONTAINS)


def container(name: Code, content: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    """A part of the tree."""
    made = sr.ContainerContentItem(name, relationship_type=Relation.CONTAINS)
    made.ContentSequence = sr.ContentSequence(content)
    return made
