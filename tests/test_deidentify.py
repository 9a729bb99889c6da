"""De-identification: what identifies the patient is removed, the pixels stay, and what is not done is said."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pydicom.uid as uids
import pytest
from numpy.typing import NDArray
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from mammoscope.deidentify import Deidentified, deidentify_files
from mammoscope.errors import MammoscopeError
from mammoscope.readers import read_mammogram
from readers.dicom_files import breast, jpeg2000, lossless_jpeg, mammogram, run_lengths, save

SALT = "a secret of the hospital"
NAME, IDENTIFIER, BORN, ACCESSION = "Zwirnleitner^Ottilie", "PID-77310466", "19391113", "ACC-90117466"
SECRETS = ("Zwirnleitner", "Ottilie", "77310466", BORN, "90117466", "GEHEIM")
PATIENT: dict[str, Any] = {
    "PatientName": NAME,
    "PatientID": IDENTIFIER,
    "PatientBirthDate": BORN,
    "AccessionNumber": ACCESSION,
    "StudyInstanceUID": "1.2.826.77310466.1",
    "SeriesInstanceUID": "1.2.826.77310466.1.1",
    "SOPInstanceUID": "1.2.826.77310466.1.1.1",
    "BurnedInAnnotation": "NO",
}


def film(**changes: Any) -> Dataset:
    return mammogram(**{**PATIENT, **changes})


def deidentify(*paths: Path, out: Path, salt: str | None = None) -> list[Deidentified]:
    return list(deidentify_files(paths, out, salt))


def only(path: Path, out: Path) -> Dataset:
    """The one new file that a file becomes."""
    (done,) = deidentify(path, out=out)
    assert done.error is None and done.written is not None
    return pydicom.dcmread(done.written)


def secrets_in(path: Path) -> list[str]:
    content = path.read_bytes().lower()
    return [secret for secret in SECRETS if secret.lower().encode() in content]


_FILLING: dict[str, Any] = {
    **dict.fromkeys(("AE", "CS", "SH", "LO", "ST", "LT", "UC", "UT", "UR"), "GEHEIM-77310466"),
    "PN": "GEHEIM^Ottilie",
    "UI": "1.2.826.77310466.99",
    "DA": BORN,
    "DT": f"{BORN}1200",
    "TM": "193911",
    "AS": "087Y",
    **dict.fromkeys(("OB", "OW", "OD", "OF", "OL", "OV", "UN"), b"GEHEIM-77310466"),
}


def test_nothing_of_any_element_that_the_standard_knows_comes_through(tmp_path: Path) -> None:
    dataset = film()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    needed = ("AccessionNumber", "SOPClassUID", "Modality", "PhotometricInterpretation", "SpecificCharacterSet")
    named = {dataset[keyword].tag for keyword in needed}
    for number, (types, _, _, _, keyword) in DicomDictionary.items():
        tag, vr = Tag(number), types.split(" or ")[-1]
        if tag.group >= 8 and tag not in named and vr in _FILLING and keyword != "PixelData":
            dataset.add(DataElement(tag, vr, _FILLING[vr], validation_mode=0))
    for keyword in ("ViewCodeSequence", "OriginalAttributesSequence", "RequestAttributesSequence", "ContentSequence"):
        item = Dataset()
        item.PatientName, item.CodeMeaning, item.TextValue, item.Date = NAME, "GEHEIM^Ottilie", IDENTIFIER, BORN
        item.ViewModifierCodeSequence = [deepcopy(item)]
        setattr(dataset, keyword, [item])
    dataset.private_block(0x0029, "GEHEIM", create=True).add_new(0x10, "LO", NAME)
    for group in (0x6000, 0x6002, 0x5000):
        dataset.add_new((group, 0x0022 if group > 0x5000 else 0x2500), "LO", "GEHEIM")
        dataset.add_new((group, 0x3000), "OW", b"GEHEIM")
    dataset.add_new(0xFFFCFFFC, "OB", b"GEHEIM")
    dataset.StudyDate, dataset.ImageType = "20200303", ["ORIGINAL", "PRIMARY", "Ottilie"]
    path = save(tmp_path / "in.dcm", dataset)
    assert len(secrets_in(path)) == len(SECRETS) and len(dataset) > 1900
    new = only(path, tmp_path / "out")
    assert secrets_in(Path(str(new.filename))) == []
    assert not [element for element in new.iterall() if element.tag.is_private]
    assert "ImageType" not in new and "20200303" not in str(new)


def test_what_stands_around_the_data_set_goes(tmp_path: Path) -> None:
    path = save(tmp_path / "in.dcm", film())
    dataset = pydicom.dcmread(path)
    dataset.preamble = b"GEHEIM".ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = "GEHEIM"
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.826.77310466"
    dataset.file_meta.PrivateInformation = b"GEHEIM"
    dataset.PixelData += b"GEHEIM"  # behind the image
    dataset.save_as(path)
    new = only(path, tmp_path / "out")
    assert secrets_in(Path(str(new.filename))) == [] and new.preamble == b"\0" * 128
    assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
    assert Path(str(new.filename)).name == f"{new.SOPInstanceUID}.dcm"


_MARK = np.zeros_like(breast())
_MARK[20:40, 10:60] = 0x8000
_SIGNED = (breast().astype(np.int16) - 2048).astype(np.int16).view(np.uint16)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uids.ExplicitVRLittleEndian, None),
        (uids.ExplicitVRBigEndian, None),
        (uids.RLELossless, run_lengths),
        (uids.JPEGLosslessSV1, lossless_jpeg(1, 16)),
        (uids.JPEGLSLossless, imagecodecs.jpegls_encode),
        (uids.JPEG2000Lossless, lambda stored: jpeg2000(stored, bitspersample=16)),
        (uids.HTJ2KLossless, lambda stored: imagecodecs.htj2k_encode(stored, reversible=True)),
    ],
)
@pytest.mark.parametrize(("stored", "signed"), [(breast(), 0), (_SIGNED, 1)], ids=["unsigned", "signed"])
def test_overlays_in_unused_bits_of_pixels_go(
    tmp_path: Path, stored: NDArray[np.uint16], signed: int, syntax: uids.UID, encode: Callable[[Any], bytes] | None
) -> None:
    marked = stored ^ _MARK
    dataset = film(PixelData=marked.tobytes(), PixelRepresentation=signed)
    path = save(tmp_path / "in.dcm", dataset, syntax, None if encode is None else [bytes(encode(marked))])
    new = only(path, tmp_path / "out")
    order = ">" if new.file_meta.TransferSyntaxUID == uids.ExplicitVRBigEndian else "<"
    np.testing.assert_array_equal(np.frombuffer(new.PixelData, f"{order}u2").reshape(stored.shape), stored)
    assert new.PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(
    ("syntax", "encode", "overlay"),
    [
        (uids.JPEG2000, lambda stored: jpeg2000(stored, bitspersample=16, level=70, reversible=False), None),
        (uids.JPEGLSNearLossless, lambda stored: imagecodecs.jpegls_encode(stored, level=3), None),
        (uids.JPEGLSLossless, lambda stored: imagecodecs.jpegls_encode(stored & 0xFFF), 11),
        (uids.ExplicitVRLittleEndian, None, 11),
    ],
)
def test_an_overlay_that_cannot_be_taken_out_is_warned_of(
    tmp_path: Path, syntax: uids.UID, encode: Callable[[Any], bytes] | None, overlay: int | None
) -> None:
    marked = breast() | _MARK
    dataset = film(PixelData=marked.tobytes())
    if overlay is not None:
        dataset.add_new((0x6000, 0x0100), "US", 16)
        dataset.add_new((0x6000, 0x0102), "US", overlay)
    path = save(tmp_path / "in.dcm", dataset, syntax, None if encode is None else [bytes(encode(marked))])
    (done,) = deidentify(path, out=tmp_path / "out")
    assert "overlay" in str(done.warning)
    assert pydicom.dcmread(str(done.written)).PatientIdentityRemoved == "NO"


def _jpeg(stored: NDArray[Any], **options: Any) -> bytes:
    return _jpeg_with_comments(imagecodecs.jpeg8_encode(stored, bitspersample=12, **options))


def _jpeg_with_comments(data: bytes) -> bytes:
    def segment(marker: int, text: bytes) -> bytes:
        return bytes((0xFF, marker)) + (len(text) + 2).to_bytes(2, "big") + text

    added = (
        segment(0xFE, b"GEHEIM") + segment(0xE1, b"Exif\0\0Ottilie") + segment(0xE0, b"JFIF\0".ljust(14) + b"GEHEIM")
    )
    return data[:2] + added + data[2:] + b"GEHEIM"


def _jpeg2000_with_comments(data: bytes) -> bytes:
    size = data.index(b"\xff\x51")
    place = size + 2 + int.from_bytes(data[size + 2 : size + 4], "big")
    comment = b"\xff\x64" + (10).to_bytes(2, "big") + b"\0\1GEHEIM"
    return data[:place] + comment + data[place:] + b"GEHEIM"


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uids.ImplicitVRLittleEndian, None),
        (uids.ExplicitVRLittleEndian, None),
        (uids.ExplicitVRBigEndian, None),
        (uids.RLELossless, None),
        (uids.JPEGExtended12Bit, lambda stored: _jpeg(stored, level=98)),
        (uids.JPEGLosslessSV1, lambda stored: _jpeg(stored, lossless=True, predictor=1)),
        (uids.JPEGLSLossless, lambda stored: _jpeg_with_comments(imagecodecs.jpegls_encode(stored))),
        (uids.JPEG2000Lossless, lambda stored: _jpeg2000_with_comments(jpeg2000(stored))),
        (uids.JPEG2000, lambda stored: _jpeg2000_with_comments(jpeg2000(stored, level=70, reversible=False))),
        (uids.HTJ2KLossless, lambda stored: _jpeg2000_with_comments(imagecodecs.htj2k_encode(stored, reversible=True))),
    ],
    ids=lambda value: value.name if isinstance(value, uids.UID) else "",
)
def test_the_image_and_what_is_known_of_it_stay(
    tmp_path: Path, syntax: uids.UID, encode: Callable[[Any], bytes] | None
) -> None:
    if syntax == uids.RLELossless:
        path = save(tmp_path / "in.dcm", film())
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    else:
        path = save(tmp_path / "in.dcm", film(), syntax, None if encode is None else [encode(breast())])
    before, new = read_mammogram(path), only(path, tmp_path / "out")
    after = read_mammogram(Path(str(new.filename)))
    np.testing.assert_array_equal(after.pixels, before.pixels)
    for name in ("laterality", "view", "spacing", "manufacturer", "bits", "warnings"):
        assert getattr(after, name) == getattr(before, name)
    assert new.file_meta.TransferSyntaxUID == syntax and secrets_in(Path(str(new.filename))) == []


@pytest.mark.parametrize(
    ("said", "kept"), [("", ""), ("XIPHOID", "XIPHOID"), ("sternal notch", "STERNAL NOTCH"), ("Frau Zwirnleitner", "")]
)
def test_the_position_reference_stays_beside_its_frame(tmp_path: Path, said: str, kept: str) -> None:
    with_frame = film(FrameOfReferenceUID="1.2.3.4", PositionReferenceIndicator=said)
    new = only(save(tmp_path / "with.dcm", with_frame), tmp_path / "out")
    assert new.PositionReferenceIndicator == kept and new.FrameOfReferenceUID != "1.2.3.4"
    without = film(FrameOfReferenceUID=None, PositionReferenceIndicator=said)
    assert "PositionReferenceIndicator" not in only(save(tmp_path / "without.dcm", without), tmp_path / "other")


def test_lookup_tables_and_codes_stay(exam: Path, tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4096, 0, 16], "US"
    table.add_new("LUTData", "US", list(range(0, 65536, 16)))
    dataset = film(ModalityLUTSequence=[table])
    path = save(tmp_path / "in.dcm", dataset)
    np.testing.assert_array_equal(
        read_mammogram(Path(str(only(path, tmp_path / "out").filename))).pixels, read_mammogram(path).pixels
    )
    new = only(exam / "phantom-L-MLO.dcm", tmp_path / "out")
    assert new.ViewCodeSequence[0].CodeMeaning == "medio-lateral oblique"


def test_a_batch_agrees_with_itself_and_under_the_same_salt_with_a_later_one(tmp_path: Path) -> None:
    def one(name: str, **changes: Any) -> Path:
        return save(tmp_path / f"{name}.dcm", film(**changes))

    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = uids.CTImageStorage, PATIENT["SOPInstanceUID"]
    first = one("a", StudyDate="20200301", StudyTime="101112")
    second = one(
        "b",
        SOPInstanceUID="1.2.826.77310466.1.1.2",
        PatientName="ZWIRNLEITNER^OTTILIE^DR",
        StudyDate="20200311",
        SourceImageSequence=[source],
    )
    other = one("c", PatientID="4711", SOPInstanceUID="1.2.826.9", StudyInstanceUID="1.2.826.8", StudyDate="20200301")
    other_giver = one("d", IssuerOfPatientID="ELSEWHERE", SOPInstanceUID="1.2.826.10")

    def run(out: str, salt: str | None, *paths: Path) -> list[Dataset]:
        return [pydicom.dcmread(str(done.written)) for done in deidentify(*paths, out=tmp_path / out, salt=salt)]

    a, b, c, d = run("1", SALT, first, second, other, other_giver)
    assert (
        a.PatientID == b.PatientID
        and b.PatientName == f"PSEUDONYM^{a.PatientID}"
        and len({x.PatientID for x in (a, c, d)}) == 3
    )
    assert a.StudyInstanceUID == b.StudyInstanceUID != c.StudyInstanceUID
    assert b.SourceImageSequence[0].ReferencedSOPInstanceUID == a.SOPInstanceUID
    assert b.SourceImageSequence[0].ReferencedSOPClassUID == uids.CTImageStorage
    days = [datetime.strptime(dataset.StudyDate, "%Y%m%d") for dataset in (a, b, c)]
    assert (days[1] - days[0]).days == 10 and days[2] != days[0] and days[0].year < 2020
    assert a.StudyTime == "101112" and a.PatientBirthDate == a.AccessionNumber == a.PatientSex == ""
    (later,) = run("2", SALT, first)
    assert later.to_json() == a.to_json()
    for salt in (None, None, "another secret of it"):
        (foreign,) = run("3", salt, first)
        assert foreign.PatientID != a.PatientID and foreign.SOPInstanceUID != a.SOPInstanceUID
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SALT.encode() in path.read_bytes()]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    "missing",
    [
        {"PatientID": None},
        {"PatientID": "", "PatientName": None},
        {"PatientID": None, "PatientName": None, "StudyInstanceUID": None, "SOPInstanceUID": None},
        {"SOPInstanceUID": "no uid"},
    ],
)
def test_patients_without_an_id_are_not_made_one(tmp_path: Path, missing: dict[str, Any]) -> None:
    other = {"PatientName": "Other^One", "StudyInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.3.4", "InstanceNumber": 2}
    paths = save(tmp_path / "a.dcm", film(**missing)), save(tmp_path / "b.dcm", film(**{**other, **missing}))
    first, second = [pydicom.dcmread(str(done.written)) for done in deidentify(*paths, out=tmp_path / "out")]
    assert first.PatientID and (first.PatientID != second.PatientID) == ("PatientID" in missing)
    assert first.SOPInstanceUID.is_valid


@pytest.mark.parametrize("date", ["20201332", "Zwirnleitner", "2020", "00010101", "20200101\\20200102", ""])
def test_a_date_that_is_none_is_left_out(tmp_path: Path, date: str) -> None:
    path = tmp_path / "in.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(path, film(ContentDate=date, ContentTime="101010", AcquisitionDateTime=date))
        new = only(path, tmp_path / "out")
    if "\\" not in date:
        assert "ContentDate" not in new and "ContentTime" not in new
    assert "AcquisitionDateTime" not in new or "\\" in date
    assert secrets_in(Path(str(new.filename))) == []


@pytest.mark.parametrize(
    ("changes", "warning", "removed"),
    [
        ({}, None, "YES"),
        ({"BurnedInAnnotation": "YES"}, "hold burnt-in text", "NO"),
        ({"BurnedInAnnotation": None}, "does not say that its pixels are free", "NO"),
        (
            {"Modality": "OT", "SOPClassUID": uids.SecondaryCaptureImageStorage},
            "scan of a film (OT), whose label",
            "NO",
        ),
    ],
)
def test_text_in_the_pixels_is_warned_of(
    tmp_path: Path, changes: dict[str, Any], warning: str | None, removed: str
) -> None:
    (done,) = deidentify(save(tmp_path / "in.dcm", film(**changes)), out=tmp_path / "out")
    assert done.warning is None if warning is None else warning in str(done.warning)
    new = pydicom.dcmread(str(done.written))
    assert new.PatientIdentityRemoved == removed and new.DeidentificationMethod[1] == "DICOGNITO"
    assert [item.CodeValue for item in new.DeidentificationMethodCodeSequence] == ["113100", "113107"]


def _raw(content: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return make


def _cut(path: Path) -> Path:
    save(path, film())
    path.write_bytes(path.read_bytes()[:-500])
    return path


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_raw(b""), "is empty"),
        (_raw(b"Zwirnleitner"), "is not an image, only DICOM"),
        (_raw(b"\x89PNG\r\n\x1a\n"), "is PNG, only DICOM"),
        (_cut, "is cut off: its pixel data has"),
        (lambda path: save(path, film(Modality="CT")), "Modality (0008,0060) is 'CT'"),
        (lambda path: save(path, film(SOPClassUID=None)), "SOPClassUID (0008,0016) is missing"),
        (lambda path: save(path, film(PixelData=None)), "has no PixelData"),
        (lambda path: save(path, film(), uids.MPEG2MPML, [b"\0\0"]), "TransferSyntaxUID (0002,0010) is 'MPEG2"),
        (lambda path: save(path, film(), uids.JPEG2000, [b"\xff\x4f\xff\x51\0\4"]), "does not start as a JPEG 2000"),
        (lambda path: save(path, film(), uids.JPEGLossless, [b"\xff\xd8\xff\xda"]), "ends within its JPEG header"),
        (lambda path: save(path, film(SharedFunctionalGroupsSequence=[Dataset()])), "is an enhanced object"),
    ],
)
def test_a_bad_file_is_one_error_and_leaves_nothing(tmp_path: Path, make: Callable[[Path], Path], problem: str) -> None:
    good = save(tmp_path / "good.dcm", film(SOPInstanceUID="1.2.3.4"))
    bad, done = deidentify(make(tmp_path / "bad.dcm"), good, out=tmp_path / "out")
    assert problem in str(bad.error) and "77310466" not in str(bad.error)
    assert done.error is None and [done.written] == list((tmp_path / "out").iterdir())


def test_two_files_of_one_instance(tmp_path: Path) -> None:
    first, same = save(tmp_path / "a.dcm", film()), save(tmp_path / "b.dcm", film())
    another = save(tmp_path / "c.dcm", film(KVP=28))
    a, b, c = deidentify(first, same, another, out=tmp_path / "out")
    assert a.written == b.written and "has the SOP instance UID of an earlier file" in str(c.error)


def test_a_salt_must_be_long(tmp_path: Path) -> None:
    with pytest.raises(MammoscopeError, match="the salt has 5 characters"):
        deidentify(save(tmp_path / "in.dcm", film()), out=tmp_path / "out", salt="short")


def test_the_command_says_what_it_does_not_do_and_ends_with_3_where_some_failed(tmp_path: Path) -> None:
    folder = tmp_path / "Zwirnleitner"
    folder.mkdir()
    save(folder / "Ottilie.dcm", film(BurnedInAnnotation="YES"))
    (folder / "Ottilie.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    command = [sys.executable, "-m", "mammoscope", "deidentify", str(folder), "--out", str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stderr
    assert "1 of 2 de-identified, 1 failed" in ended.stdout
    assert "Text in the pixels is not removed" in ended.stdout
    told = " ".join(ended.stderr.split())
    assert "Ottilie.dcm: the pixels hold burnt-in text" in told and "Ottilie.png: is PNG, only DICOM" in told
    (new,) = (tmp_path / "out").iterdir()
    assert secrets_in(new) == [] and not any(secret in new.name for secret in SECRETS)
