"""The findings as a Mammography CAD SR: TID 4000 (PS3.16), for stations that read no other report.

The template allows no content of others, so what it has no place for is in the report of TID 1500 alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relation
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import MammographyCADSRStorage
from pydicom.valuerep import DA, TM

from mammoscope.findings import Analysis, Finding
from mammoscope.kinds import Kind, kind_named
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.identity import (
    MAKER,
    algorithm_parameters,
    algorithm_version,
    plain,
    result_identity,
)
from mammoscope.writers.dicom.origin import Origin
from mammoscope.writers.dicom.result_kind import ResultKind
from mammoscope.writers.dicom.shapes import closed, outline_of

_LIBRARY_ENTRY = [1, 2, 1]  # the image in the tree: root, its second item, that one's first (PS3.3 C.17.3.2.5)


def cad_report(analysis: Analysis, origin: Origin) -> Dataset:
    """An analysis as a Mammography CAD SR.

    Points are (column, row) in pixels, as in the report of TID 1500: the frame ``original``.
    """
    # It has the modules of a Comprehensive SR, which highdicom has; class and template differ.
    report = sr.ComprehensiveSR(
        evidence=[origin.image], content=_root(analysis, origin), is_complete=True,
        **result_identity(analysis, origin, ResultKind.CAD),
    )  # fmt: skip
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = MammographyCADSRStorage
    _, library, *others = report.ContentSequence
    del library.ContentSequence[0].ConceptNameCodeSequence  # the template gives it none; highdicom needs one
    _refer_to_library(others)
    origin.pass_on(report)
    return report


def _root(analysis: Analysis, origin: Origin) -> sr.ContainerContentItem:
    succeeded = analysis.outcome != "no_breast_found"
    root = sr.ContainerContentItem(codes.DCM.MammographyCADReport, template_id="4000")
    root.ContentSequence = sr.ContentSequence(
        [
            *sr.LanguageOfContentItemAndDescendants(concepts.ENGLISH),
            _container(codes.DCM.ImageLibrary, [_library_entry(analysis, origin)], Relation.CONTAINS),
            _impression(analysis, origin),
            _detections(analysis, origin, succeeded=succeeded),
            # No analysis of those that the template knows (CID 6043) is made.
            _code(codes.DCM.SummaryOfAnalyses, codes.DCM.NotAttempted, Relation.CONTAINS),
        ]
    )
    return root


def _library_entry(analysis: Analysis, origin: Origin) -> sr.ContentItem:
    """TID 4020: what the image states of itself."""
    facts, moments, context = analysis.input, origin.moments, Relation.HAS_ACQ_CONTEXT
    described: list[sr.ContentItem] = []
    if facts.laterality is not None:
        described.append(_code(codes.DCM.ImageLaterality, concepts.BREASTS[facts.laterality], context))
    if view := concepts.VIEWS.get(facts.view or ""):
        described.append(_code(codes.DCM.ImageView, view, context))
    if origin.orientation:
        names = (codes.DCM.PatientOrientationRow, codes.DCM.PatientOrientationColumn)
        described += [
            sr.TextContentItem(name, direction, context)
            for name, direction in zip(names, origin.orientation, strict=True)
        ]
    for when in ("Study", "Content"):
        if date := moments.get(f"{when}Date"):
            described.append(sr.DateContentItem(getattr(codes.DCM, f"{when}Date"), DA(date), context))
        if time := moments.get(f"{when}Time"):
            described.append(sr.TimeContentItem(getattr(codes.DCM, f"{when}Time"), TM(time), context))
    if facts.spacing is not None:
        described += [
            sr.NumContentItem(name, value, codes.UCUM.Millimeter, relationship_type=context)
            for name, value in (
                (codes.DCM.HorizontalPixelSpacing, facts.spacing.column_mm),
                (codes.DCM.VerticalPixelSpacing, facts.spacing.row_mm),
            )
        ]
    return _image(origin, Relation.CONTAINS, described)


def _impression(analysis: Analysis, origin: Origin) -> sr.ContentItem:
    """TID 4001 and 4002: outcome, statement, notice, and the findings, each an impression of its own (TID 4003)."""
    words = " ".join((analysis.statement, analysis.notice, *dict.fromkeys((*analysis.warnings, *origin.notes))))
    found = [
        _container(
            concepts.INDIVIDUAL_IMPRESSION,
            [_to_be_shown(), _finding(finding, analysis, origin)],
            Relation.INFERRED_FROM,
        )
        for finding in analysis.findings
    ]
    return _code(
        codes.DCM.CADProcessingAndFindingsSummary,
        concepts.SUMMARIES[analysis.outcome],
        Relation.CONTAINS,
        [
            sr.TextContentItem(codes.DCM.ImpressionDescription, plain(words), Relation.HAS_PROPERTIES),
            *_algorithm(analysis),
            *found,
        ],
    )


def _finding(finding: Finding, analysis: Analysis, origin: Origin) -> sr.ContentItem:
    """TID 4006: what, how sure, and where (TID 4021). A box is no outline: without one there is the centre alone."""
    kind, scores, box = (
        kind_named(finding.kind),
        [_percent(concepts.DETECTION_SCORE, finding.detection_score)],
        finding.box,
    )
    if kind.cad_code is None:
        words = [sr.TextContentItem(codes.DCM.SelectedRegionDescription, kind.word, Relation.HAS_PROPERTIES)]
    else:  # which the template has for a lesion only
        words = []
        if finding.malignancy_score is not None:
            scores.append(_percent(concepts.MALIGNANCY_PROBABILITY, finding.malignancy_score))
    center = np.array([((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)])
    places = [_place(codes.DCM.Center, sr.GraphicTypeValues.POINT, center, origin)]
    if finding.outline:
        places.append(_place(codes.DCM.Outline, sr.GraphicTypeValues.POLYLINE, closed(outline_of(finding)), origin))
    return _code(
        codes.DCM.SingleImageFinding,
        _cad_code(kind),
        Relation.CONTAINS,
        [_to_be_shown(), *_algorithm(analysis), *scores, *places, *words],
    )


def _detections(analysis: Analysis, origin: Origin, *, succeeded: bool) -> sr.ContentItem:
    """TID 4015 and 4017: what was looked for, and whether that worked."""
    names = (*analysis.bundle.kinds, *(finding.kind for finding in analysis.findings))
    kinds = dict.fromkeys(kind_named(name) for name in names)
    performed = [
        _code(
            codes.DCM.DetectionPerformed,
            code,
            Relation.CONTAINS,
            [*_algorithm(analysis), _image(origin, Relation.HAS_PROPERTIES)],
        )
        for code in dict.fromkeys(_cad_code(kind) for kind in kinds)
    ]
    name = codes.DCM.SuccessfulDetections if succeeded else codes.DCM.FailedDetections
    return _code(
        codes.DCM.SummaryOfDetections,
        codes.DCM.Succeeded if succeeded else codes.DCM.Failed,
        Relation.CONTAINS,
        [_container(name, performed, Relation.INFERRED_FROM)],
    )


def _cad_code(kind: Kind) -> Code:
    """Of CID 6014."""
    return codes.DCM.SelectedRegion if kind.cad_code is None else concepts.coded(kind.cad_code)


def _algorithm(analysis: Analysis) -> list[sr.ContentItem]:
    """TID 4019."""
    parameters = (f"{name}={value}" for name, value in algorithm_parameters(analysis).items())
    texts = [
        (codes.DCM.AlgorithmName, MAKER),
        (codes.DCM.AlgorithmVersion, algorithm_version(analysis)),
        *((codes.DCM.AlgorithmParameters, parameter) for parameter in parameters),
    ]
    return [sr.TextContentItem(name, text, Relation.HAS_PROPERTIES) for name, text in texts]


def _to_be_shown() -> sr.ContentItem:
    """Rendering Intent: all that is reported reaches the threshold."""
    return _code(
        codes.DCM.RenderingIntent,
        codes.DCM.PresentationRequiredRenderingDeviceIsExpectedToPresent,
        Relation.HAS_CONCEPT_MOD,
    )


def _percent(name: Code, score: float) -> sr.ContentItem:
    return sr.NumContentItem(name, 100 * score, codes.UCUM.Percent, relationship_type=Relation.HAS_PROPERTIES)


def _place(name: Code, kind: sr.GraphicTypeValues, points: NDArray[np.float64], origin: Origin) -> sr.ContentItem:
    item = sr.ScoordContentItem(name, kind, points, relationship_type=Relation.HAS_PROPERTIES)
    item.ContentSequence = sr.ContentSequence([_image(origin, Relation.SELECTED_FROM)])
    return item


def _image(origin: Origin, relation: Relation, described: Sequence[sr.ContentItem] = ()) -> sr.ContentItem:
    image = origin.image
    entry = sr.ImageContentItem(concepts.SOURCE, image.SOPClassUID, image.SOPInstanceUID, relationship_type=relation)
    if described:
        entry.ContentSequence = sr.ContentSequence(described)
    return entry


def _code(name: Code, value: Code, relation: Relation, content: Sequence[sr.ContentItem] = ()) -> sr.ContentItem:
    item = sr.CodeContentItem(name, value, relation)
    if content:
        item.ContentSequence = sr.ContentSequence(content)
    return item


def _container(name: Code, content: Sequence[sr.ContentItem], relation: Relation) -> sr.ContentItem:
    container = sr.ContainerContentItem(name, relationship_type=relation)
    container.ContentSequence = sr.ContentSequence(content)
    return container


def _refer_to_library(items: Sequence[Dataset]) -> None:
    """Replace each image by a reference to the Image Library, as the template requires; highdicom cannot make one."""
    for item in items:
        if item.ValueType == "IMAGE":
            relation = item.RelationshipType
            item.clear()
            item.RelationshipType, item.ReferencedContentItemIdentifier = relation, _LIBRARY_ENTRY
        else:
            _refer_to_library(item.get("ContentSequence", ()))
