"""Kinds of X-ray image of a breast that are no plain mammogram, by the terms of Image Type and by what goes with them.

Terms are those of DICOM PS3.3 C.8.11.7.1.4 and C.8.21.6.1.1, and what units write that are older than these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mammoscope.readers.dicom.header import Header, described
from mammoscope.readers.dicom.views import view_of

Told = Callable[[Header, frozenset[str]], bool]


@dataclass(frozen=True)
class ImageKind:
    """A kind of image.

    Attributes
    ----------
    words
        What it is, with its article.
    terms
        Values of Image Type that name it, or start its name, without what separates words.
    refused
        Whether it shows no breast that models could look at.
    told
        What else tells it; gets the header and the terms.
    """

    words: str
    terms: tuple[str, ...]
    refused: bool = False
    told: Told = lambda header, terms: False


def _shows_specimen(header: Header, terms: frozenset[str]) -> bool:
    stated = " ".join(header.code(keyword) or "" for keyword in ("ViewPosition", "BodyPartExamined"))
    marks = ("SpecimenDescriptionSequence", "SpecimenUID", "SpecimenIdentifier", "ContainerIdentifier")
    return "SPECIMEN" in stated or any(header.has(keyword) for keyword in marks) or view_of(header) == "SPECIMEN"


def _has_contrast(header: Header, terms: frozenset[str]) -> bool:
    return any(header.has(keyword) for keyword in ("ContrastBolusAgent", "ContrastBolusAgentSequence"))


def _is_projection(header: Header, terms: frozenset[str]) -> bool:
    return any("TOMO" in term and "PROJ" in term for term in terms)


def _is_slice(header: Header, terms: frozenset[str]) -> bool:
    return "TOMOSYNTHESIS" in terms and not terms & {"GENERATED2D", "TOMO2D"}


def _has_target(header: Header, terms: frozenset[str]) -> bool:
    return bool(header.items("BiopsyTargetSequence")) or header.code("PositionerType") == "STEREOTACTIC"


_NEEDLE = ("PREFIRE", "POSTFIRE", "NEEDLE", "BIOPSY")
# The first that fits names the image. What is refused comes first: an image may be of several kinds.
_KINDS = (
    ImageKind("the image of a specimen, not of a breast", ("SPECIMEN",), refused=True, told=_shows_specimen),
    ImageKind(
        "a projection of tomosynthesis", ("TOMOPROJ", "PROJECTION", "BREASTPROJ"), refused=True, told=_is_projection
    ),
    ImageKind("the high energy image of a contrast mammogram", ("HIGHENERGY",), refused=True),
    ImageKind("a slice of tomosynthesis", ("TOMOSLICE",), told=_is_slice),
    ImageKind("an image taken during a biopsy, with its needle in the breast", _NEEDLE),
    ImageKind("an image taken after a biopsy", ("POSTBIOPSY", "POSTMARKER")),
    ImageKind("a stereotactic image of a biopsy", ("STEREO", "TOMOSCOUT", "SCOUT"), told=_has_target),
    ImageKind("a recombined image of a contrast mammogram", ("RECOMBINED", "RECOMBINATION", "ADDITION", "CESMRECOMB")),
    ImageKind("a subtraction image", ("SUBTRACT", "DUALENERGYSUBTRACTION", "DES")),
    ImageKind("the low energy image of a contrast mammogram", ("LOWENERGY",)),
    ImageKind(
        "an image taken with a contrast agent", ("POSTCONTRAST", "CONTRAST", "CESM", "CEDM", "CEM"), told=_has_contrast
    ),
)
_EXACT = frozenset({"DES", "CEM", "CESM", "CEDM", "CONTRAST", "ADDITION", "PROJECTION", "SCOUT"})


def note_image_kind(header: Header) -> None:
    """Add a warning that names an image which is no plain mammogram.

    Raises
    ------
    InputError
        It shows no breast, or none that the models could look at; names the kind.
    """
    values = (header.text("ImageType") or "").upper().split("\\")
    terms = frozenset("".join(filter(str.isalnum, value)) for value in values)
    kind = next((kind for kind in _KINDS if _names(kind, terms) or kind.told(header, terms)), None)
    if kind is None:
        return
    if kind.refused:
        shown = f" ({described('ImageType')} is {header.shown('ImageType')})" if _names(kind, terms) else ""
        raise header.error(f"is {kind.words}{shown}, expected a plain mammogram")
    header.warnings.append(f"This is {kind.words}, unlike the plain mammograms that the models know.")


def _names(kind: ImageKind, terms: frozenset[str]) -> bool:
    return any(term == name or (name not in _EXACT and term.startswith(name)) for term in terms for name in kind.terms)
