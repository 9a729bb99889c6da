"""A Key Object Selection (PS3.3 A.35.4, TID 2010) of an exam: the images with findings, and what was made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from highdicom import ko, sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from mammoscope import NOTICE
from mammoscope.findings import Analysis
from mammoscope.writers.dicom.identity import MAKER, device_uid, plain
from mammoscope.writers.dicom.origin import Origin, uid_of
from mammoscope.writers.dicom.silence import without_warnings

_SERIES_NUMBER = 76
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


def key_objects(exam: Sequence[Made]) -> Dataset | None:
    """The selection; None where nothing was found.

    Parameters
    ----------
    exam
        One or more images of one study, in any order. The selection is filed with the first one that has findings, and
        has the same UIDs for the same images and results.
    """
    chosen = sorted((made for made in exam if made.analysis.findings), key=lambda made: made.origin.key)
    if not chosen:
        return None
    with without_warnings():
        return _document(chosen, images=len(exam))


def _document(chosen: Sequence[Made], *, images: int) -> Dataset:
    first = chosen[0]
    evidence = [one for made in chosen for one in (made.origin.image, *map(_reference, made.results))]
    key = [part for made in chosen for part in (*made.origin.key, *(one.SOPInstanceUID for one in made.results))]
    found = sum(len(made.analysis.findings) for made in chosen)
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=device_uid(first.analysis), name=MAKER, manufacturer_name=MAKER
        ),
    )
    content = ko.KeyObjectSelection(
        codes.DCM.OfInterest,
        evidence,
        observer_device_context=observer,
        description=plain(f"{found} findings on {len(chosen)} of {images} images. {NOTICE}"),
    )
    document = ko.KeyObjectSelectionDocument(
        evidence=evidence,
        content=content,
        series_instance_uid=uid_of(*key, "key objects", "series"),
        series_number=first.origin.series_number * 100 + _SERIES_NUMBER,
        sop_instance_uid=uid_of(*key, "key objects", "instance"),
        instance_number=1,
        manufacturer=MAKER,
        series_description=f"{MAKER} key objects",
    )
    first.origin.pass_on(document)
    return document


def _reference(result: Dataset) -> Dataset:
    """What a reference to a result needs, in the form of a whole object, which highdicom wants."""
    reference = Dataset()
    for keyword in _REFERENCED:
        if keyword in result:
            setattr(reference, keyword, result[keyword].value)
    return reference
