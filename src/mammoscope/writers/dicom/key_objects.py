"""A Key Object Selection (PS3.3 A.35.4, TID 2010) of an exam: the images with findings, and what was made of them."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom import ko, sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from mammoscope import NOTICE
from mammoscope.writers.dicom.identity import MAKER, device_uid, plain, series_number
from mammoscope.writers.dicom.made import Made, key_of, reference_to
from mammoscope.writers.dicom.origin import uid_of
from mammoscope.writers.dicom.silence import without_warnings

_SERIES_NUMBER = 76


def key_objects(exam: Sequence[Made], report: Dataset | None = None) -> Dataset | None:
    """The selection; None where nothing was found.

    Parameters
    ----------
    exam
        One or more images of one study, in any order. The selection is filed with the first one that has findings, and
        has the same UIDs for the same images and results.
    report
        That on the exam, which is selected too; None: there is none.
    """
    chosen = sorted((made for made in exam if made.analysis.findings), key=lambda made: made.origin.key)
    if not chosen:
        return None
    with without_warnings():
        return _document(chosen, [] if report is None else [report], images=len(exam))


def _document(chosen: Sequence[Made], reports: Sequence[Dataset], *, images: int) -> Dataset:
    first = chosen[0]
    evidence = [one for made in chosen for one in (made.origin.image, *map(reference_to, made.results))]
    evidence += map(reference_to, reports)
    key = [*key_of(chosen), *(one.SOPInstanceUID for one in reports)]
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
        series_number=series_number(first.origin, _SERIES_NUMBER),
        sop_instance_uid=uid_of(*key, "key objects", "instance"),
        instance_number=1,
        manufacturer=MAKER,
        series_description=f"{MAKER} key objects",
    )
    first.origin.pass_on(document)
    return document
