"""What the DICOM objects of an exam are made of: its images, and what was made of each."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.charset import convert_encodings, decode_bytes, default_encoding
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage
from pydicom.valuerep import TEXT_VR_DELIMS

from mammoscope.errors import MammoscopeError
from mammoscope.findings import Analysis
from mammoscope.readers.stated_image import StatedImage
from mammoscope.writers.dicom.identity import segmentation_reference
from mammoscope.writers.dicom.origin import Origin, uid_of
from mammoscope.writers.dicom.silence import without_warnings

_REFERENCED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns")


@dataclass(frozen=True, eq=False)
class Made:
    """What was made of one image.

    Attributes
    ----------
    analysis
        What was found.
    origin
        The image.
    results
        DICOM objects of the analysis; only what a reference needs is read of them.
    """

    analysis: Analysis
    origin: Origin
    results: Sequence[Dataset]

    @property
    def segmentation(self) -> Dataset | None:
        """A reference to the segmentation of this very analysis; None: there is none."""
        expected = segmentation_reference(self.analysis, self.origin)
        made = {(one.SOPClassUID, one.SOPInstanceUID) for one in self.results}
        return expected if (SegmentationStorage, expected.SOPInstanceUID) in made else None


@dataclass(frozen=True, eq=False)
class Unread:
    """An image of an exam that could not be analysed, as far as its header says what it is."""

    stated: StatedImage

    @property
    def image(self) -> Dataset:
        """A reference to it."""
        stated, image = self.stated, Dataset()
        image.SOPClassUID, image.SOPInstanceUID, image.StudyInstanceUID = (
            stated.sop_class,
            stated.sop_instance,
            stated.study,
        )
        image.SeriesInstanceUID = stated.series or uid_of(stated.sop_instance, "SeriesInstanceUID")
        image.Modality = stated.modality or "OT"
        return image


def reference_to(result: Dataset) -> Dataset:
    """What a reference to a result needs, in the form of a whole object, which highdicom wants."""
    reference = Dataset()
    for keyword in _REFERENCED:
        if keyword in result:
            setattr(reference, keyword, result[keyword].value)
    return reference


def key_of(exam: Sequence[Made], results: bool = True) -> list[str]:
    """What the UIDs of an exam's objects are computed from: its images and what was made of them, in this order."""
    return [
        str(part)
        for made in exam
        for part in (*made.origin.key, *(one.SOPInstanceUID for one in made.results if results))
    ]


def refuse_two_exams(exam: Sequence[Made], unread: Sequence[Unread] = ()) -> None:
    """Raise ``MammoscopeError`` where images are not of one study of one patient; names the first that is of another.

    Whoever gathers an exam sees to that. This is the last place before one woman's result is filed with another's.
    """
    first = exam[0].origin
    for made in exam:
        for keyword, one, other in (
            ("StudyInstanceUID", first.image.StudyInstanceUID, made.origin.image.StudyInstanceUID),
            ("PatientID", _patient_id(first), _patient_id(made.origin)),
        ):
            if one != other:
                raise MammoscopeError(
                    f"{made.origin.path}: its {keyword} is not that of {first.path.name}: they are not of one exam, "
                    "so no report can be on both"
                )
    if any(one.image.StudyInstanceUID != first.image.StudyInstanceUID for one in unread):
        raise MammoscopeError(f"{first.path}: an image that could not be analysed is of another study")


def _patient_id(origin: Origin) -> str:
    """Without what only its writing differs in: images of one study may have different character sets."""
    value = origin.inherited.get_item("PatientID").value
    if isinstance(value, bytes):
        named = (
            origin.inherited.get_item("SpecificCharacterSet") if "SpecificCharacterSet" in origin.inherited else None
        )
        names = named.value if named is not None else None
        if isinstance(names, bytes):
            names = [name.strip() for name in names.decode("ascii", "replace").split("\\")]
        with without_warnings():
            value = decode_bytes(value, convert_encodings(names or None) or [default_encoding], TEXT_VR_DELIMS)
    return unicodedata.normalize("NFKC", str(value or "")).strip(" \0")
