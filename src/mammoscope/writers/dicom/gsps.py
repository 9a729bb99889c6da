"""The findings as a greyscale softcopy presentation state, which viewers without reports or segmentations draw."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from highdicom import pr
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mammoscope.findings import Analysis, Finding
from mammoscope.kinds import GRADES, UNGRADED, grade_named, kind_named
from mammoscope.writers.dicom.identity import plain, result_identity, tracking
from mammoscope.writers.dicom.origin import Origin
from mammoscope.writers.dicom.result_kind import ResultKind
from mammoscope.writers.dicom.shapes import closed, corners, outline_of
from mammoscope.writers.malignancy import malignancy_words
from mammoscope.writers.overlay.ink import PALETTE, WHITE, Colour

_PIXEL, _DISPLAY = pr.AnnotationUnitsValues.PIXEL, pr.AnnotationUnitsValues.DISPLAY
_STATEMENT_PLACE, _NOTICE_PLACE = (0.02, 0.01, 0.98, 0.04), (0.02, 0.96, 0.98, 0.99)
_WHOLE = 1000  # of an aspect ratio, which is written in whole numbers


def presentation_state(analysis: Analysis, origin: Origin) -> Dataset:
    """Outlines, boxes and labels as graphics over the image, which is shown as its own file says.

    Points are (column, row) in pixels, ``0\\0`` the top left corner of the top left pixel (PS3.3 C.10.5.1.2): that is
    the frame ``original``. Each class has a layer; outcome and notice are text at the edges of the displayed area.
    """
    image = copy(origin.image)
    image.SamplesPerPixel = 1
    layers = {
        name: pr.GraphicLayer(name.upper(), order, description, CIELabColor.from_rgb(*colour))
        for order, (name, description, colour) in enumerate(_layers(analysis), start=1)
    }
    texts = [_text(analysis.statement, _STATEMENT_PLACE), _text(analysis.notice, _NOTICE_PLACE)]
    annotations = [pr.GraphicAnnotation([image], layers["statement"], text_objects=texts)]
    for number, finding in enumerate(analysis.findings, start=1):
        annotations.append(
            pr.GraphicAnnotation(
                [image],
                layers[grade_named(finding.malignancy).name],
                graphic_objects=_drawn(finding, analysis, origin, number),
                text_objects=[_label(finding, analysis, origin, number)],
            )
        )
    result = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        content_label="FINDINGS" if analysis.findings else "NO FINDING",
        content_description=analysis.notice,
        graphic_annotations=annotations,
        graphic_layers=list(layers.values()),
        **result_identity(analysis, origin, ResultKind.GSPS),
    )
    result.update(origin.shown)
    side = analysis.input.laterality
    result.BodyPartExamined, result.Laterality = "BREAST", side[0] if side else ""
    aspect = analysis.input.pixel_aspect
    (area,) = result.DisplayedAreaSelectionSequence
    area.PresentationPixelAspectRatio = [round(aspect * _WHOLE), _WHOLE] if aspect != 1 else [1, 1]
    origin.pass_on(result)
    return result


def _layers(analysis: Analysis) -> Sequence[tuple[str, str, Colour]]:
    """Name, description and colour; the last is drawn over the others."""
    grades = [(grade.name, f"Findings of {grade.name} appearance", PALETTE[grade.colour]) for grade in GRADES]
    if any(finding.malignancy is None for finding in analysis.findings):
        grades.append((UNGRADED.name, "Findings that are not graded", PALETTE[UNGRADED.colour]))
    return [*grades, ("statement", "Outcome and notice of use", WHITE)]


def _drawn(finding: Finding, analysis: Analysis, origin: Origin, number: int) -> list[pr.GraphicObject]:
    """The box, and the outline where the kind's is drawn."""
    known, shapes = tracking(analysis, origin, number), [corners(finding.box)]
    if finding.outline and kind_named(finding.kind).outlined:
        shapes.append(outline_of(finding))
    return [
        pr.GraphicObject(
            pr.GraphicTypeValues.POLYLINE,
            _within(closed(shape), analysis),
            _PIXEL,
            tracking_id=known["identifier"],
            tracking_uid=known["uid"],
        )
        for shape in shapes
    ]


def _label(finding: Finding, analysis: Analysis, origin: Origin, number: int) -> pr.TextObject:
    """Number, probability of malignancy, kind and detection score, as beside the box in the overlay."""
    known, (corner,) = tracking(analysis, origin, number), _within(corners(finding.box)[:1], analysis)
    return pr.TextObject(
        f"{number}: {malignancy_words(finding.malignancy_score, analysis.thresholds.malignancy)}, "
        f"{kind_named(finding.kind).word} {finding.detection_score:.2f}",
        _PIXEL,
        anchor_point=(float(corner[0]), float(corner[1])),
        anchor_point_visible=False,
        tracking_id=known["identifier"],
        tracking_uid=known["uid"],
    )


def _text(text: str, place: tuple[float, float, float, float]) -> pr.TextObject:
    return pr.TextObject(plain(text), _DISPLAY, bounding_box=place, text_justification=pr.TextJustificationValues.LEFT)


def _within(points: NDArray[np.float64], analysis: Analysis) -> NDArray[np.float64]:
    """Points outside the image, which the standard does not allow here, moved to its border."""
    return np.clip(points, 0, (analysis.input.columns, analysis.input.rows))
