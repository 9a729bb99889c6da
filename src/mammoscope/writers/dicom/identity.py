"""What DICOM results state about themselves: their series, the device, the settings."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from mammoscope.findings import Analysis
from mammoscope.writers.dicom.origin import Origin, uid_of
from mammoscope.writers.dicom.result_kind import ResultKind

MAKER = "mammoscope"
_SERIES_NUMBERS = {ResultKind.SR: 71, ResultKind.SEG: 72, ResultKind.SC: 73, ResultKind.GSPS: 74, ResultKind.CAD: 75}
_MOST_SERIES = 10_000_000  # so that the numbers stay within a value of type IS
_LONGEST_LO = 64
_SHORT_NAME = 4  # digits of a UID that tell the lesions of an exam apart for a reader


def result_identity(analysis: Analysis, origin: Origin, kind: ResultKind) -> dict[str, Any]:
    """Series, instance and equipment of a result, as highdicom's constructors take them.

    Each image has a series of its own for each kind: viewers take one report, or one segmentation, of a series.
    """
    return {
        "series_instance_uid": origin.uid(kind.value, "series"),
        "series_number": series_number(origin, _SERIES_NUMBERS[kind]),
        "series_description": f"{MAKER} {kind.name}, {view_in_words(analysis)}",
        "sop_instance_uid": origin.uid(kind.value, "instance"),
        **equipment(analysis),
    }


def series_number(origin: Origin, kind: int) -> int:
    """The number of a series of results: that of the image, followed by two digits that say which kind it is."""
    return origin.series_number % _MOST_SERIES * 100 + kind


def equipment(analysis: Analysis) -> dict[str, Any]:
    """What every result states, as highdicom's constructors take it: what made it, and that it is for research."""
    return {
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": plain(analysis.software)[:_LONGEST_LO],
        "device_serial_number": analysis.bundle.sha256[:_LONGEST_LO],
        "content_qualification": "RESEARCH",
    }


def segmentation_reference(analysis: Analysis, origin: Origin) -> Dataset:
    """The UIDs of the segmentation that is made of an analysis with outlines, as a reference to it needs them."""
    identity, reference = result_identity(analysis, origin, ResultKind.SEG), Dataset()
    reference.SOPClassUID, reference.SOPInstanceUID = SegmentationStorage, identity["sop_instance_uid"]
    reference.StudyInstanceUID = origin.image.StudyInstanceUID
    reference.SeriesInstanceUID = identity["series_instance_uid"]
    return reference


def view_in_words(analysis: Analysis) -> str:
    """``"L MLO"``; an unknown side or view is named as unknown."""
    side, view = analysis.input.laterality, analysis.input.view
    return f"{side[0] if side else 'side unknown'} {view or 'view unknown'}"


def device_uid(analysis: Analysis) -> UID:
    """The UID of the observing device: this version of the software with these models."""
    return uid_of("device", analysis.software, analysis.bundle.sha256)


def algorithm_parameters(analysis: Analysis) -> dict[str, str]:
    """The bundle and its thresholds."""
    return {
        "bundle": plain(f"{analysis.bundle.name} {analysis.bundle.version}"),
        "bundle-sha256": analysis.bundle.sha256,
        "detection-threshold": f"{analysis.thresholds.detection:g}",
        "malignancy-threshold": f"{analysis.thresholds.malignancy:g}",
    }


def tracking(analysis: Analysis, origin: Origin, number: int) -> dict[str, str]:
    """What results call a finding, whose number counts from 1; the same in those of all views that show one lesion."""
    lesion = analysis.findings[number - 1].lesion
    if lesion is None:
        return {"uid": origin.uid("finding", number), "identifier": f"{MAKER} finding {number}"}
    return {"uid": lesion, "identifier": f"{MAKER} lesion {lesion[-_SHORT_NAME:]}"}


def algorithm_version(analysis: Analysis) -> str:
    """The program's version without its name."""
    return plain(analysis.software).removeprefix(f"{MAKER} ")


def plain(text: str) -> str:
    """A text in ASCII, which every character set includes, so that it fits the image's."""
    return text.encode("ascii", "replace").decode().replace("\\", "/")
