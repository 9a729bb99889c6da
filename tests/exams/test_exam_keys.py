"""Which images are of one exam: the study and the patient decide, and nothing of them is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from exams.two_women import ANNA, BERTA, OTHER_STUDY, STUDY, image, picture
from mammoscope.readers import read_mammogram
from mammoscope.readers.exam_key import ExamSecret
from mammoscope.readers.identify import read_exam_key
from readers.dicom_files import mammogram, save

NOBODY = dict.fromkeys(("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate"))


def key_of(path: Path) -> str | None:
    """The key by the header alone, which must be that of reading the whole file."""
    key = read_exam_key(path)
    assert read_mammogram(path).exam_key == key
    return key


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"ImageLaterality": "R", "SOPInstanceUID": "1.2.3"}, True),
        ({"StudyInstanceUID": OTHER_STUDY}, False),
        ({"PatientID": "BERTA-77311"}, False),
        ({"PatientID": "anna-77310"}, False),  # IDs differ in capitals in some hospitals
        ({"PatientID": None}, False),
        ({"PatientID": ""}, False),
        ({"IssuerOfPatientID": "OTHER"}, False),
        ({"IssuerOfPatientID": None}, False),
        ({"PatientName": "Beispiel^Berta"}, False),
        ({"PatientName": None}, False),
        ({"PatientBirthDate": "19391114"}, False),
        ({"PatientBirthDate": None}, False),
        ({"PatientName": "BEISPIEL^ANNA^^"}, True),
        ({"PatientName": " Beispiel ^Anna "}, True),
        ({"PatientName": "Beispiel Anna"}, False),
        ({"PatientID": " ANNA-77310 "}, True),
        ({"PatientSex": "F", "PatientAge": "086Y", "SeriesTime": "101010", "AcquisitionDate": "20260101"}, True),
        ({"AccessionNumber": "77"}, False),
        ({"StudyDate": "20260101", **NOBODY}, False),
    ],
)
def test_study_and_patient_must_agree(tmp_path: Path, changes: dict[str, Any], is_same: bool) -> None:
    one, other = image(tmp_path / "one.dcm", ANNA), image(tmp_path / "other.dcm", ANNA, **changes)
    assert key_of(one) is not None and key_of(other) is not None
    assert (key_of(one) == key_of(other)) == is_same


def test_an_umlaut_is_the_same_in_every_character_set(tmp_path: Path) -> None:
    name = {"PatientName": "Müller^Änne"}
    latin = image(tmp_path / "latin.dcm", ANNA, SpecificCharacterSet="ISO_IR 100", **name)
    unicode = image(tmp_path / "unicode.dcm", ANNA, SpecificCharacterSet="ISO_IR 192", **name)
    assert key_of(latin) == key_of(unicode)
    assert key_of(latin) != key_of(image(tmp_path / "a.dcm", ANNA, PatientName="Muller^Anne"))


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({}, True),
        ({"StudyDate": "20260102"}, False),
        ({"StudyTime": "111010"}, False),
        ({"StudyTime": "101010"}, True),
        ({"AccessionNumber": "2"}, False),
        ({"PatientAge": "061Y"}, False),
    ],
)
@pytest.mark.parametrize("patient", [NOBODY, {**NOBODY, "PatientID": "ANON", "PatientName": "ANONYMOUS"}])
def test_where_no_patient_is_told_apart_the_whole_study_must_agree(
    tmp_path: Path, patient: dict[str, Any], changes: dict[str, Any], is_same: bool
) -> None:
    stated = {
        **patient,
        "StudyInstanceUID": STUDY,
        "StudyDate": "20260101",
        "StudyTime": "101010.25",
        "AccessionNumber": "1",
        "PatientAge": "060Y",
    }
    one, other = image(tmp_path / "1.dcm", stated), image(tmp_path / "2.dcm", {**stated, **changes})
    assert key_of(one) is not None and (key_of(one) == key_of(other)) == is_same


@pytest.mark.parametrize("changes", [{}, {"StudyTime": "101010"}, {"StudyTime": "101011"}])
def test_a_study_is_one_however_its_time_is_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    stated = {**ANNA, "StudyDate": "20260101", "StudyTime": "101010.000000", "AccessionNumber": "1", "StudyID": "7"}
    one, other = image(tmp_path / "1.dcm", stated), image(tmp_path / "2.dcm", {**stated, **changes})
    assert (key_of(one) == key_of(other)) == (changes.get("StudyTime") != "101011")


@pytest.mark.parametrize(
    "woman",
    [
        {**ANNA, "StudyInstanceUID": None},
        {**ANNA, "StudyInstanceUID": ""},
        {**NOBODY, "StudyInstanceUID": STUDY, "PatientAge": "060Y"},  # given to whatever files an archive holds
    ],
)
def test_without_a_study_or_all_of_its_facts_an_image_is_alone(tmp_path: Path, woman: dict[str, Any]) -> None:
    assert key_of(image(tmp_path / "a.dcm", woman)) is None


def test_what_is_not_dicom_states_nothing(tmp_path: Path) -> None:
    assert key_of(picture(tmp_path / "a.png")) is None
    (tmp_path / "letter.dcm").write_text("dear radiologist")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "cut.dcm").write_bytes(image(tmp_path / "a.dcm", ANNA).read_bytes()[:200])
    for name in ("letter.dcm", "empty.dcm", "cut.dcm", "absent.dcm", "."):
        assert read_exam_key(tmp_path / name) is None


def test_no_pixel_is_read_and_a_long_header_is(tmp_path: Path) -> None:
    short = image(tmp_path / "short.dcm", ANNA)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(short.read_bytes()[:-5000])
    assert read_exam_key(cut) == key_of(short)
    long = mammogram(**ANNA)
    long.private_block(0x0009, "UNIT", create=True).add_new(0x10, "OB", bytes(1 << 20))  # before the patient
    assert key_of(save(tmp_path / "long.dcm", long)) == key_of(short)
    after = mammogram(**ANNA)
    after.private_block(0x0029, "UNIT", create=True).add_new(0x10, "OB", bytes(6 << 20))
    assert key_of(save(tmp_path / "after.dcm", after, ImplicitVRLittleEndian)) == key_of(short)
    after.private_block(0x0029, "UNIT").add_new(0x11, "OB", bytes(3 << 20))  # more than a header has
    assert read_exam_key(save(tmp_path / "longest.dcm", after, ImplicitVRLittleEndian)) is None


def test_a_key_says_nothing_without_its_secret(tmp_path: Path) -> None:
    path = image(tmp_path / "a.dcm", ANNA)
    keys = {read_exam_key(path, secret=ExamSecret()) for _ in range(3)}
    assert len(keys) == 3 and all(key and len(key) == 64 and int(key, 16) for key in keys)
    secret = ExamSecret()
    assert read_exam_key(path, secret=secret) == read_exam_key(
        path, secret=ExamSecret.from_message(secret.to_message())
    )
    read = read_mammogram(path)
    assert str(read.exam_key) not in repr(dataclasses.replace(read, pixels=read.pixels[:1]))
    assert secret.to_message() not in repr(secret) and repr(secret._secret) not in repr(secret)


def test_no_value_can_pass_for_two(tmp_path: Path) -> None:
    secret = ExamSecret()
    assert secret.key_of("1.2", ["a", "b"]) != secret.key_of("1.2", ["a,b"]) != secret.key_of("1.2", ['a", "b'])
    with pytest.raises(ValueError, match="a secret of 3 bytes"):
        ExamSecret(b"abc")


def test_two_women_never_have_one_key(tmp_path: Path) -> None:
    women = [ANNA, BERTA, {**BERTA, "StudyInstanceUID": STUDY}, {**ANNA, "StudyInstanceUID": OTHER_STUDY}]
    assert len({key_of(image(tmp_path / f"{number}.dcm", woman)) for number, woman in enumerate(women)}) == 4
