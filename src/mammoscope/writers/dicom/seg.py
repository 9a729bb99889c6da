"""The outlines as a segmentation: binary, one segment for each outlined finding, in the pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence, PixelMeasuresSequence, seg
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from mammoscope.findings import Analysis, Finding
from mammoscope.kinds import kind_named, kinds_shown
from mammoscope.writers.dicom import codes as concepts
from mammoscope.writers.dicom.identity import (
    MAKER,
    algorithm_parameters,
    algorithm_version,
    result_identity,
    tracking,
)
from mammoscope.writers.dicom.origin import Origin
from mammoscope.writers.dicom.result_kind import ResultKind
from mammoscope.writers.dicom.shapes import segment_numbers
from mammoscope.writers.malignancy import malignancy_words, operating_point_words

_THICKNESS_MM = 1.0  # a projection has no slices: so, what a viewer gives as a volume in mm3 is the area in mm2


def segmentation(analysis: Analysis, origin: Origin) -> Dataset:
    """A Segmentation of at least one outlined finding.

    A finding without an outline has no segment, because a filled box would look like an outline. Labels and tracking
    identifiers hold the number of the finding, segment numbers run without gaps.
    """
    segments = {number: analysis.findings[number - 1] for number in segment_numbers(analysis)}
    masks = np.zeros((len(segments), analysis.input.rows, analysis.input.columns), dtype=np.uint8)
    for mask, finding in zip(masks, segments.values(), strict=True):
        fill(mask, np.array(finding.outline))
    result = seg.Segmentation(
        source_images=[origin.image],
        pixel_array=np.moveaxis(masks, 0, -1)[None],
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(segment, number, finding, analysis, origin)
            for segment, (number, finding) in enumerate(segments.items(), start=1)
        ],
        content_label=_content_label(list(segments.values())),
        content_description=analysis.notice,
        **result_identity(analysis, origin, ResultKind.SEG),
    )
    result.PatientOrientation = list(origin.orientation)
    result.SharedFunctionalGroupsSequence[0].update(_plane(analysis))
    # highdicom draws this one at random.
    organization = origin.uid("dimensions")
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for index in result.DimensionIndexSequence:
        index.DimensionOrganizationUID = organization
    origin.pass_on(result)
    return result


def _plane(analysis: Analysis) -> Dataset:
    """The orientation of the image's own rows and columns, and its spacing, where that is known.

    A projection has no place in the patient, and without a frame of reference these directions say nothing of one. But
    OHIF opens no segmentation without both, and compares the directions with those that it assumes of such an image.
    """
    groups, plane = Dataset(), Dataset()
    plane.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    groups.PlaneOrientationSequence = [plane]
    if (spacing := analysis.input.spacing) is not None:
        groups.PixelMeasuresSequence = PixelMeasuresSequence((spacing.row_mm, spacing.column_mm), _THICKNESS_MM)
    return groups


def _content_label(findings: Sequence[Finding]) -> str:
    kinds = kinds_shown(finding.kind for finding in findings)
    return kinds[0].content_label if len(kinds) == 1 else "FINDINGS"


def fill(mask: NDArray[np.uint8], outline: NDArray[np.float64]) -> None:
    """Set the pixels whose centre lies inside an outline, by the even-odd rule; at least one, however thin it is.

    Parameters
    ----------
    mask
        ``(H, W) uint8``, 0 everywhere; in place 1 inside.
    outline
        ``(N, 2)`` of (x, y), a closed polygon, frame ``original``, within the image.
    """
    left, top = np.minimum(np.floor(outline.min(axis=0)).astype(int), (mask.shape[1] - 1, mask.shape[0] - 1))
    right, bottom = np.ceil(outline.max(axis=0)).astype(int)
    window = _inside(outline - (left, top), (max(1, bottom - top), max(1, right - left)))
    mask[top : top + window.shape[0], left : left + window.shape[1]] = window


def _inside(outline: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
    start, end = outline, np.roll(outline, -1, axis=0)
    # An edge crosses the middle of ``count`` rows from ``first`` on.
    first, last = np.sort(np.ceil([start[:, 1] - 0.5, end[:, 1] - 0.5]).astype(int), axis=0)
    count = last - first
    edge = np.repeat(np.arange(len(outline)), count)
    row = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count) + first[edge]
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    column = np.ceil(x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0) - 0.5).astype(int)
    # Each crossing turns outside to inside, or back, for all pixels to its right.
    crossings = np.zeros((shape[0], shape[1] + 1), dtype=np.uint8)
    np.add.at(crossings, (row, column), 1)
    inside = np.cumsum(crossings[:, :-1], axis=1, dtype=np.uint8) & np.uint8(1)
    if not inside.any():
        inside[shape[0] // 2, shape[1] // 2] = 1
    return inside


def _segment(segment: int, number: int, finding: Finding, analysis: Analysis, origin: Origin) -> seg.SegmentDescription:
    known = tracking(analysis, origin, number)
    description = seg.SegmentDescription(
        segment_number=segment,
        segment_label=f"Finding {number}",
        segmented_property_category=concepts.ABNORMAL_STRUCTURE,
        segmented_property_type=concepts.coded(kind_named(finding.kind).code),
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MAKER,
            family=codes.cid7162.ArtificialIntelligence,
            version=algorithm_version(analysis),
            source=MAKER,
            parameters=algorithm_parameters(analysis),
        ),
        tracking_uid=known["uid"],
        tracking_id=known["identifier"],
        anatomic_regions=[concepts.BREAST],
    )
    modifiers = [CodedConcept.from_code(value) for _, value in concepts.features_of(finding)]
    if modifiers:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifiers
    scores = finding.malignancy_score, analysis.thresholds.malignancy
    # No attribute of the standard holds the confidence of a binary segment; the report has it in numbers.
    description.SegmentDescription = f"Detection score {finding.detection_score:.3f}, " + ", ".join(
        filter(None, (malignancy_words(*scores), operating_point_words(*scores)))
    )
    return description
