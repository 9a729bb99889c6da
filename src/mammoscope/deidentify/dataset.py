"""Make a new data set of a mammogram from the elements that may be kept."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from mammoscope import __version__
from mammoscope.deidentify.kept import (
    EMPTIED,
    KEPT,
    KEPT_SEQUENCES,
    KEPT_TEXTS,
    ONLY_IN_ITEMS,
    POSITION_REFERENCES,
    REQUIRED_UIDS,
)
from mammoscope.deidentify.pixels import KeptPixels
from mammoscope.deidentify.pseudonyms import Pseudonyms
from mammoscope.readers.dicom.header import DicomFile, Header
from mammoscope.readers.uids import kept_uid

_DEEPEST = 4  # sequences in sequences
_LONGEST_TEXT = 64
_EARLIEST_YEAR = 1900
_CODE = re.compile(r"[A-Za-z0-9_ .+/-]{0,16}")
_CAN_NAME = frozenset({"CS", "IS", "LO", "SH"})  # UIDs and dates are replaced, other numbers are too short
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_METHODS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
)


def deidentified(file: DicomFile, pixels: KeptPixels, pseudonyms: Pseudonyms, *, may_name_patient: bool) -> Dataset:
    """A mammogram with what ``kept`` lists and nothing else, its file meta and preamble included.

    Parameters
    ----------
    file
        The mammogram.
    pixels
        What is kept of its pixel data.
    pseudonyms
        Replaces UIDs, the patient's ID and name, and dates.
    may_name_patient
        Whether the pixels may hold text. If so, the data set does not claim that the patient's identity was removed.

    """
    header = file.header
    dataset = _kept(header, 0)
    for keyword in REQUIRED_UIDS:
        if keyword not in dataset:
            shared = None if keyword == "SOPInstanceUID" else header.text(keyword)
            setattr(dataset, keyword, _made_up(keyword, shared or file.source.sha256))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.DeidentificationMethod = f"mammoscope {__version__}"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = pixels.syntax
    pseudonyms.apply(dataset, _patient(file))
    for keyword in EMPTIED:
        dataset.setdefault(keyword, "")  # only now, because dicognito would make an ID for an empty one
    if "FrameOfReferenceUID" in dataset:
        said = (header.text("PositionReferenceIndicator") or "").upper()
        dataset.PositionReferenceIndicator = said if said in POSITION_REFERENCES else ""  # type 2 beside it
    if header.value("AcquisitionContextSequence") is not None:
        dataset.AcquisitionContextSequence = []  # also of type 2
    if "PixelSpacingCalibrationType" in dataset:
        dataset.PixelSpacingCalibrationDescription = "removed"  # which the type requires
    dataset.PatientIdentityRemoved = "NO" if may_name_patient else "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.DeidentificationMethodCodeSequence = [_code(*method) for method in _METHODS]
    is_encapsulated = pixels.syntax.is_encapsulated
    dataset.add_new("PixelData", "OB" if is_encapsulated or dataset.BitsAllocated == 8 else "OW", pixels.data)
    dataset["PixelData"].is_undefined_length = is_encapsulated
    return dataset


def _patient(file: DicomFile) -> tuple[str, ...]:
    """What identifies the patient: ID and its issuer; else name and birth date; else the study, or the file."""
    text = file.header.text
    if identifier := text("PatientID"):
        return ("id", identifier, text("IssuerOfPatientID") or "")
    if name := text("PatientName"):
        return ("name", name.casefold(), text("PatientBirthDate") or "")
    return ("study", text("StudyInstanceUID") or file.source.sha256)


def _kept(header: Header, depth: int) -> Dataset:
    dataset = Dataset()
    for keyword in KEPT | KEPT_TEXTS if depth else (KEPT | KEPT_TEXTS) - ONLY_IN_ITEMS:
        value = header.value(keyword)
        if value is not None and _may_stay(header, keyword, value):
            vr = _vr(keyword, value)
            dataset.add_new(keyword, vr, kept_uid(value) if vr == "UI" and isinstance(value, str) else value)
    if depth < _DEEPEST:
        for keyword in KEPT_SEQUENCES:
            if header.has(keyword):
                setattr(dataset, keyword, [_kept(item, depth + 1) for item in header.items(keyword)])
    _drop_times_without_dates(dataset)
    return dataset


def _made_up(keyword: str, value: str) -> UID:
    """A UID in place of one that is missing, or is none: the same for all files of the same invalid study or series."""
    return UID(f"2.25.{int(hashlib.sha256(f'{keyword} {value}'.encode()).hexdigest()[:32], 16)}")


def _vr(keyword: str, value: Any) -> str:
    vr = dictionary_VR(keyword)
    if vr == "US or OW":  # which pydicom would choose by the length alone
        return "OW" if isinstance(value, bytes) else "US"
    return vr


def _may_stay(header: Header, keyword: str, value: Any) -> bool:
    """Whether every value fits the element's type, and no value that is kept unchanged names the patient."""
    several = not isinstance(value, str | bytes) and hasattr(value, "__len__") and hasattr(value, "__iter__")
    vr = dictionary_VR(keyword)
    fits = _is_text if keyword in KEPT_TEXTS else _FITS[vr]
    if keyword.endswith("ClassUID"):
        fits = _is_known_class
    can_name = vr in _CAN_NAME
    return all(
        fits(one) and not (can_name and header.names_patient(str(one))) for one in (value if several else [value])
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and value.isprintable()


def _is_uid(value: Any) -> bool:
    return kept_uid(value) is not None


def _is_known_class(value: Any) -> bool:
    return isinstance(value, str) and UID(value).name != value


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"\d{8}", value):
        return False
    try:
        return datetime.strptime(value, "%Y%m%d").year >= _EARLIEST_YEAR
    except ValueError:
        return False


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def _is_moment(value: Any) -> bool:
    return isinstance(value, str) and _is_date(value[:8]) and _is_time(value[8:])


_FITS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("IS", "US", "SS", "US or SS"), _is_whole),
    **dict.fromkeys(("CS", "LO"), _is_code),  # what is kept of LO are terms that the standard defines
    "DA": _is_date,
    "DS": _is_number,
    "DT": _is_moment,
    "TM": _is_time,
    "UI": _is_uid,
    "US or OW": lambda value: isinstance(value, int | bytes),
}


def _drop_times_without_dates(dataset: Dataset) -> None:
    """Because a time is shifted only with its date."""
    for keyword in [element.keyword for element in dataset if element.VR == "TM"]:
        if keyword.replace("Time", "Date") not in dataset:
            delattr(dataset, keyword)


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
