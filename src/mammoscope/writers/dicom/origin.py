"""The DICOM file that was analysed, as its results refer to it: patient, study, image, and what it does not state."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import BaseTag
from pydicom.uid import JPEG2000, UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from mammoscope.errors import place_of
from mammoscope.findings import Analysis
from mammoscope.readers.dicom.compressed import is_lossy
from mammoscope.readers.dicom.header import DicomFile, Header, described, read_header
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.readers.source import MAGIC_BYTES, data_set_sha256, detect_format, read_source
from mammoscope.readers.uids import is_standard_uid, kept_uid
from mammoscope.writers.dicom.display import shown_as
from mammoscope.writers.dicom.silence import without_warnings

# Patient, General Study and Patient Study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2): all of group 0010, and these.
_PATIENT_GROUP = 0x0010
_COPIED = (
    "SpecificCharacterSet",
    "ReferencedPatientSequence",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "ConsultingPhysicianIdentificationSequence",
    "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansReadingStudyIdentificationSequence",
    "ReferencedStudySequence",
    "ProcedureCodeSequence",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReasonForPerformedProcedureCodeSequence",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "ReasonForVisit",
    "ReasonForVisitCodeSequence",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "IssuerOfServiceEpisodeIDSequence",
    "PatientState",
)
# Of type 2: required, but may be empty.
_ALWAYS_THERE = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_MOMENTS = {
    "StudyDate": re.compile(r"[0-9]{8}"),
    "StudyTime": re.compile(r"[0-9]{6}(\.[0-9]{1,6})?"),
    "ContentDate": re.compile(r"[0-9]{8}"),
    "ContentTime": re.compile(r"[0-9]{6}(\.[0-9]{1,6})?"),
}
LOSSINESS = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI", "UT", "UC"})
# Defined terms for methods of lossy compression (PS3.3 C.7.6.1.1.5.1).
_METHODS = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
}
_LARGEST_INTEGER = 2**31 - 1  # of a value of type IS


@dataclass(frozen=True, eq=False)
class Origin:
    """The image that results are about.

    Attributes
    ----------
    path
        The file.
    image
        The reference to the image: its UIDs, SOP class, modality, size and lossy compression; the other elements that
        highdicom requires are empty.
    inherited
        Patient and study, byte for byte as in the file and in its character set, without private elements.
    key
        What the UIDs of the results are computed from.
    series_number
        Of the image; 0 where it has none.
    orientation
        Patient Orientation, two directions; empty where they are not known.
    shown
        How the image is to be shown, see ``shown_as``.
    moments
        Study and Content Date and Time, as far as they are stated and valid.
    notes
        What the file does not state and what follows for the results, as full sentences.
    """

    path: Path
    image: Dataset
    inherited: Dataset
    key: tuple[str, ...]
    series_number: int
    orientation: tuple[str, ...]
    shown: Dataset
    moments: Mapping[str, str]
    notes: tuple[str, ...]

    def uid(self, *parts: object) -> UID:
        """The UID of a part of the results: the same parts of the same results always have the same."""
        return uid_of(*self.key, *parts)

    def pass_on(self, result: Dataset) -> None:
        """Add patient and study of the image to a result that is otherwise complete."""
        correct_ambiguous_vr(result, True)
        for tag in self.inherited.keys():  # noqa: SIM118 (iterating a Dataset decodes its elements)
            result[tag] = self.inherited.get_item(tag)
        # Then pydicom writes elements that were not decoded unchanged.
        named = result.get("SpecificCharacterSet")
        result.set_original_encoding(False, True, convert_encodings(named) if named else default_encoding)


def uid_of(*parts: object) -> UID:
    """A UID that the same parts always give (PS3.5 B.2: the integer of a UUID under 2.25)."""
    text = "\n".join(str(part) for part in ("mammoscope results", *parts))
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, text).int}")


def read_origin(path: Path, analysis: Analysis) -> Origin:
    """Read the header of the file that was analysed.

    Raises
    ------
    InputError
        The file is not DICOM, is not the one that was analysed, or has no SOP Instance or SOP Class UID.
    """
    with without_warnings():
        return _read_origin(Path(path), analysis)


def _read_origin(path: Path, analysis: Analysis) -> Origin:
    source = read_source(path, DEFAULT_LIMITS)
    if detect_format(source.data[:MAGIC_BYTES]) != "DICOM":
        raise source.error("is not a DICOM file, so there are no DICOM results for it")
    if source.sha256 != analysis.input.sha256:
        raise source.error("is not the file that was analysed, so there are no DICOM results for it")
    file = read_header(source)
    header, notes = file.header, []
    sop_class, instance = (_required_uid(header, keyword) for keyword in ("SOPClassUID", "SOPInstanceUID"))
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = sop_class, instance
    for keyword, meaning in (
        ("StudyInstanceUID", "the results form a separate study"),
        ("SeriesInstanceUID", "the results refer to a generated one"),
    ):
        uid = _uid(header, keyword)
        if uid is None:
            notes.append(f"{described(keyword)} is missing or invalid: {meaning}.")
            uid = uid_of(source.sha256, keyword)
        elif not is_standard_uid(uid):
            notes.append(f"{described(keyword)} is not written as a UID should be: used as it stands.")
        setattr(image, keyword, uid)
    if not header.has("PatientID"):
        notes.append(f"{described('PatientID')} is empty, so a PACS may not file the results with the patient.")
    image.Modality = analysis.input.modality or "OT"
    image.Rows, image.Columns = analysis.input.rows, analysis.input.columns
    for keyword in _ALWAYS_THERE:
        setattr(image, keyword, "")
    try:
        inherited = _inherited(source.data)
    except Exception as error:  # what a damaged header makes pydicom raise is not bounded
        raise source.error(f"its patient and study cannot be copied ({place_of(error)})") from None
    inherited.StudyInstanceUID = image.StudyInstanceUID
    image.update(_lossiness(file, len(source.data), analysis))
    return Origin(
        path=path,
        image=image,
        inherited=inherited,
        key=(
            instance,
            data_set_sha256(source.data),
            analysis.bundle.sha256,
            repr(analysis.thresholds.detection),
            repr(analysis.thresholds.malignancy),
            analysis.software,
            *_seen_with(analysis),
        ),
        series_number=int(header.number("SeriesNumber", 0, _LARGEST_INTEGER) or 0),
        orientation=_orientation(header),
        shown=shown_as(header),
        moments={keyword: moment for keyword in _MOMENTS if (moment := _moment(header, keyword))},
        notes=tuple(notes),
    )


def _seen_with(analysis: Analysis) -> list[str]:
    """What findings owe to other images of the exam: results that differ by that are different objects."""
    return sorted({finding.lesion for finding in analysis.findings if finding.lesion is not None})


def _uid(header: Header, keyword: str) -> UID | None:
    uid = kept_uid(header.text(keyword))
    return None if uid is None else UID(uid)


def _required_uid(header: Header, keyword: str) -> UID:
    uid = _uid(header, keyword)
    if uid is None:
        raise header.error(f"{described(keyword)} is missing or invalid, so DICOM results cannot refer to the image")
    return uid


def _orientation(header: Header) -> tuple[str, ...]:
    directions = tuple((header.text("PatientOrientation") or "").upper().split("\\"))
    letters = set("".join(directions))
    # CBIS-DDSM keeps the view there.
    return directions if len(directions) == 2 and all(directions) and letters <= set("ALRPHF") else ()


def _moment(header: Header, keyword: str) -> str | None:
    moment = header.text(keyword) or ""
    return moment if _MOMENTS[keyword].fullmatch(moment) else None


def _inherited(data: bytes) -> Dataset:
    """Patient and study of a file."""
    tags = {tag for keyword in _COPIED if (tag := tag_for_keyword(keyword)) is not None}
    # Elements as they are read, not through Header, which decodes those that name the patient.
    read = dcmread(BytesIO(data), stop_before_pixels=True, force=True)
    inherited = Dataset()
    for tag in read.keys():  # noqa: SIM118 (iterating a Dataset decodes its elements)
        if (tag in tags or tag.group == _PATIENT_GROUP) and tag.element != 0:
            inherited[tag] = _copied(read, tag)
    for keyword in _ALWAYS_THERE:
        if keyword not in inherited:
            setattr(inherited, keyword, "")
    return inherited


def _copied(read: Dataset, tag: BaseTag) -> DataElement | RawDataElement:
    """An element exactly as in the file: decoding and encoding a text again may change it."""
    raw, vr = read.get_item(tag), _vr_of(read, tag)
    if isinstance(raw, RawDataElement) and vr in _TEXT_VRS:
        return raw._replace(VR=vr, value=raw.value or b"", is_implicit_VR=False, is_little_endian=True)
    element = deepcopy(read[tag])
    if element.VR == "SQ":
        for item in element.value:
            _drop_private(item)
    return element


def _drop_private(item: Dataset) -> None:
    for tag in list(item.keys()):
        if tag.is_private:
            del item[tag]
        elif item[tag].VR == "SQ":  # decodes the item here, while pydicom's warnings are off
            for inner in item[tag].value:
                _drop_private(inner)


def _vr_of(dataset: Dataset, tag: BaseTag) -> str:
    return dataset.get_item(tag).VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")


def _lossiness(file: DicomFile, file_bytes: int, analysis: Analysis) -> Dataset:
    """The lossy compression of the image, which results must state too (PS3.3 C.7.6.1.1.5)."""
    header, syntax, module = file.header, file.transfer_syntax, Dataset()
    if not is_lossy(file):
        module.LossyImageCompression = "00"
        return module
    ratio = header.number("LossyImageCompressionRatio", 1, 1e4)
    if ratio is None:
        facts = analysis.input
        stored = file_bytes - (file.pixels.offset if file.pixels else 0)
        ratio = max(1.0, facts.rows * facts.columns * (2 if facts.bits > 8 else 1) / max(1, stored))
    module.LossyImageCompression, module.LossyImageCompressionRatio = "01", f"{ratio:.6g}"
    if method := header.code("LossyImageCompressionMethod") or _METHODS.get(syntax):
        module.LossyImageCompressionMethod = method
    return module
