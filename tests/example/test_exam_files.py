"""The phantom's files: valid mammography DICOM that says it is synthetic, read back without surprises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from mammoscope.errors import MammoscopeError
from mammoscope.example import PhantomSettings, make_exam, write_exam
from mammoscope.example.truth import read_truth
from mammoscope.mammogram import Laterality
from mammoscope.readers import read_mammogram

ROWS, COLUMNS, SEED = 416, 320, 3
NAMES = ["phantom-R-CC.dcm", "phantom-L-CC.dcm", "phantom-R-MLO.dcm", "phantom-L-MLO.dcm"]

# PS3.3 A.27 and the modules it requires, without those that are required only under conditions that do not hold here.
TYPE_1 = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "PresentationIntentType",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "ImageType",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
    "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "PresentationLUTShape",
    "LossyImageCompression",
    "BurnedInAnnotation",
    "PatientOrientation",
    "WindowCenter",
    "WindowWidth",
    "ImageLaterality",
    "AnatomicRegionSequence",
    "ImagerPixelSpacing",
    "PositionerType",
    "OrganExposed",
    "BreastImplantPresent",
    "ViewCodeSequence",
)
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "SeriesNumber",
    "Manufacturer",
    "InstanceNumber",
    "ContentDate",
    "ContentTime",
    "DetectorType",
    "AcquisitionContextSequence",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_exam(tmp_path_factory.mktemp("exam") / "new" / "folder", SEED, ROWS, COLUMNS)


def test_four_files_and_the_truth_are_written_and_nothing_else(files: tuple[Path, ...]) -> None:
    assert [path.name for path in files] == NAMES
    assert sorted(path.name for path in files[0].parent.iterdir()) == sorted([*NAMES, "truth.json"])


def test_the_header_is_a_complete_mammogram(files: tuple[Path, ...]) -> None:
    for path in files:
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert dataset.SOPClassUID == DigitalMammographyXRayImageStorageForPresentation
        assert [keyword for keyword in TYPE_1 if dataset.get(keyword) in (None, "")] == []
        assert [keyword for keyword in TYPE_2 if keyword not in dataset] == []
        assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (16, 12, 11)
        assert (dataset.Modality, dataset.PresentationIntentType) == ("MG", "FOR PRESENTATION")
        assert dataset.ViewCodeSequence[0].CodeValue == {"CC": "399162004", "MLO": "399368009"}[dataset.ViewPosition]


def test_every_value_is_valid_for_its_type(files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.RAISE)
    for path in files:
        for element in pydicom.dcmread(path).iterall():
            assert element.value is not None


def test_the_header_says_that_it_is_synthetic(files: tuple[Path, ...]) -> None:
    for path in files:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        assert str(dataset.PatientName) == "SYNTHETIC^PHANTOM"
        assert dataset.PatientID.startswith("SYNTHETIC-PHANTOM")
        for keyword in ("SeriesDescription", "StudyDescription", "ImageComments", "DerivationDescription"):
            assert "SYNTHETIC PHANTOM" in dataset[keyword].value
        assert dataset.BurnedInAnnotation == "YES"


def test_identifiers_are_one_study_of_four_images(files: tuple[Path, ...]) -> None:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    assert len({header.StudyInstanceUID for header in headers}) == 1
    assert len({header.SeriesInstanceUID for header in headers}) == 4
    assert len({header.SOPInstanceUID for header in headers}) == 4
    for header in headers:
        assert header.SOPInstanceUID.is_valid
        assert header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID


def test_writing_again_gives_the_same_bytes_and_another_seed_other_identifiers(
    files: tuple[Path, ...], tmp_path: Path
) -> None:
    for path, again in zip(files, write_exam(tmp_path, SEED, ROWS, COLUMNS), strict=True):
        assert path.read_bytes() == again.read_bytes()
    (other, *_) = write_exam(tmp_path, SEED + 1, ROWS, COLUMNS)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in (files[0], other)]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert headers[0][keyword].value != headers[1][keyword].value


def test_the_project_reads_them_with_no_warning_beyond_what_is_right(files: tuple[Path, ...]) -> None:
    views = make_exam(SEED, ROWS, COLUMNS)
    for path, view in zip(files, views, strict=True):
        mammogram = read_mammogram(path)
        assert (mammogram.laterality, mammogram.view) == (view.laterality, view.view)
        assert mammogram.modality == "MG"
        assert mammogram.bits == 12
        assert mammogram.spacing is not None
        assert mammogram.spacing.source == "ImagerPixelSpacing"
        assert mammogram.spacing.column_mm == mammogram.spacing.row_mm == pytest.approx(view.spacing_mm)
        np.testing.assert_allclose(mammogram.pixels, view.pixels * (65535 / 4095), atol=1)
        burned_in, synthetic = mammogram.warnings
        assert "burned-in text" in burned_in
        assert "quality control image" in synthetic


def test_truth_tells_the_lesions_of_each_file(files: tuple[Path, ...]) -> None:
    truth = json.loads((files[0].parent / "truth.json").read_text())
    assert truth["seed"] == SEED
    assert "SYNTHETIC" in truth["about"]
    assert list(truth["files"]) == NAMES
    for view, told in zip(make_exam(SEED, ROWS, COLUMNS), truth["files"].values(), strict=True):
        assert (Laterality(told["laterality"]), told["view"], told["exam"]) == (view.laterality, view.view, "present")
        assert told["spacing_mm"] == pytest.approx(view.spacing_mm)
        assert len(told["lesions"]) == len(view.lesions)
        for lesion, expected in zip(told["lesions"], view.lesions, strict=True):
            np.testing.assert_allclose(lesion["outline"], expected.outline, atol=0.006)
            np.testing.assert_allclose(lesion["box"], expected.box, atol=0.006)
            np.testing.assert_allclose(lesion["centre"], expected.centre, atol=0.006)
            assert lesion["radius"] == pytest.approx(expected.radius, abs=0.006)
            assert (lesion["kind"], lesion["malignant"]) == ("mass", True)
            assert lesion["features"] == {"shape": "IRREGULAR", "margin": "SPICULATED"}


EVERY = PhantomSettings.model_validate(
    {
        "masses": ("round", "lobulated"),
        "calcifications": ("amorphous-regional", "linear-linear"),
        "density": "D",
        "look": "film",
        "prior": "smaller",
    }
)


@pytest.fixture(scope="module")
def two_exams(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_exam(tmp_path_factory.mktemp("two"), SEED, ROWS, COLUMNS, EVERY)


def test_the_exam_before_is_of_the_same_woman_a_year_earlier(two_exams: tuple[Path, ...]) -> None:
    assert [path.name for path in two_exams] == [*NAMES, *(f"prior-{name}" for name in NAMES)]
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in two_exams]
    assert len({header.PatientID for header in headers}) == 1
    assert [header.StudyDate for header in headers] == ["20000101"] * 4 + ["19990101"] * 4
    assert len({header.StudyInstanceUID for header in headers}) == 2
    assert len({header.SOPInstanceUID for header in headers}) == 8
    assert {header.DetectorType for header in headers} == {"FILM"}


def test_truth_is_read_again_as_it_was_drawn(two_exams: tuple[Path, ...]) -> None:
    truth = read_truth(two_exams[0].parent)
    assert truth.settings == EVERY
    for name in NAMES:
        now, before = truth.files[name].lesions, truth.files[f"prior-{name}"].lesions
        assert [(one.lesion, one.kind, one.features) for one in now] == [
            (one.lesion, one.kind, one.features) for one in before
        ]
        for one, earlier in zip(now, before, strict=True):
            assert 0.5 < earlier.radius / one.radius < 0.8
            np.testing.assert_allclose(earlier.centre, one.centre, atol=6)
    kinds = sorted(one.kind for view in truth.files.values() for one in view.lesions if view.exam == "present")
    assert kinds == ["calcification"] * 4 + ["mass"] * 4  # each in both views of its breast


def test_other_settings_give_other_identifiers(files: tuple[Path, ...], two_exams: tuple[Path, ...]) -> None:
    one, other = (pydicom.dcmread(paths[0], stop_before_pixels=True) for paths in (files, two_exams))
    assert one.StudyInstanceUID != other.StudyInstanceUID


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "truth.json: cannot be read"), ("{}", "seed: Field required"), ("[", "is not the truth of a phantom")],
)
def test_a_truth_that_cannot_be_used_is_named(content: str | None, named: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "truth.json").write_text(content)
    with pytest.raises(MammoscopeError, match=named):
        read_truth(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    with pytest.raises(MammoscopeError, match="a file"):
        write_exam(blocked, SEED, ROWS, COLUMNS)
