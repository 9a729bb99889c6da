"""How much larger the breast is on the detector than it is: the factor that the file states, or its distances.

The factor is by definition the quotient of the distances from the source to the detector and to the patient
(DICOM PS3.3 C.8.11.7, Estimated Radiographic Magnification Factor).
"""

from __future__ import annotations

from dataclasses import dataclass

from mammoscope.readers.dicom.header import Header, described
from mammoscope.readers.dicom.views import says_magnified

_FACTOR = "EstimatedRadiographicMagnificationFactor"
_DETECTOR, _PATIENT = "DistanceSourceToDetector", "DistanceSourceToPatient"
_FACTORS = (1.0, 4.0)
_LARGEST_MM = 1e5
_TOUCHING = 0.98  # distances are rounded: a little below 1 the breast still lies on the detector
_MAGNIFYING = 1.3  # in contact with the table a breast is magnified by about 1.05, in a magnification view by 1.5 to 2
_LEAST_OF_VIEW = 1.2  # less cannot be true of what the file calls a magnification view


@dataclass(frozen=True)
class Magnification:
    """The magnification of a view.

    Attributes
    ----------
    factor
        Size on the detector over size in the breast; None: not known.
    magnified
        Whether it is a magnification view.
    problem
        Why the pixel spacing in the breast cannot be known, as the start of a sentence; None: it can.
    """

    factor: float | None
    magnified: bool
    problem: str | None = None


def magnification_of(header: Header) -> Magnification:
    """The magnification that a file states, by its factor, else by its distances."""
    is_said = says_magnified(header)
    stated, quotient = header.number(_FACTOR, *_FACTORS), _quotient(header)
    is_plausible = quotient is not None and _TOUCHING <= quotient <= _FACTORS[1]
    if stated is None and quotient is not None and not is_plausible:
        return Magnification(
            None, is_said, f"{_distances(header)}: a magnification of {quotient:.3g}, which cannot be true"
        )
    by_distance = max(1.0, quotient) if quotient is not None and is_plausible else None
    if stated is not None and by_distance is not None and stated < _MAGNIFYING <= by_distance:
        return Magnification(
            None,
            True,
            f"{described(_FACTOR)} is {stated:g}, but {_distances(header)}: a magnification of {by_distance:.3g}",
        )
    if stated is not None and by_distance is not None and by_distance < _MAGNIFYING <= stated:
        header.warnings.append(
            f"{described(_FACTOR)} is {stated:g}, but {_distances(header)}: a magnification of {by_distance:.3g}; the "
            "first is used."
        )
    factor = by_distance if stated is None else stated
    if is_said and (factor is None or factor < _LEAST_OF_VIEW):
        return Magnification(None, True, f"This is a magnification view without a usable {described(_FACTOR)}")
    return Magnification(factor, is_said or (factor or 1.0) >= _MAGNIFYING)


def _quotient(header: Header) -> float | None:
    """Of the two distances; None where one is not stated, or 0, which means the same."""
    detector, patient = (header.number(keyword, 0, _LARGEST_MM) for keyword in (_DETECTOR, _PATIENT))
    return detector / patient if detector and patient else None


def _distances(header: Header) -> str:
    detector, patient = (header.number(keyword, 0, _LARGEST_MM) or 0 for keyword in (_DETECTOR, _PATIENT))
    return f"{described(_DETECTOR)} is {detector:g} and {described(_PATIENT)} is {patient:g} mm"
