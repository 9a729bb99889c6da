"""What the header of a DICOM file says, what it leaves open, and what is refused by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.uid as uids
import pytest
from dicom_files import breast, mammogram, save, shown, view
from pydicom.dataset import Dataset

from mammoscope.errors import InputError
from mammoscope.mammogram import Laterality, Mammogram
from mammoscope.readers import read_mammogram


def read(folder: Path, **changes: Any) -> Mammogram:
    return read_mammogram(save(folder / "a.dcm", mammogram(**changes)))


def test_a_complete_mammogram_leaves_nothing_open(tmp_path: Path) -> None:
    found = read_mammogram(save(tmp_path / "1.2.840.99.dcm", mammogram()))
    assert found.name == "1.2.840.99"
    assert (found.file_format, found.bits, found.modality, found.manufacturer) == ("DICOM", 12, "MG", "Maker")
    assert (found.laterality, found.view, found.pixel_aspect) == (Laterality.LEFT, "MLO", 1.0)
    assert found.sop_instance_uid == mammogram().SOPInstanceUID
    assert found.spacing is not None
    assert (found.spacing.row_mm, found.spacing.column_mm, found.spacing.source) == (0.07, 0.07, "ImagerPixelSpacing")
    assert found.warnings == ()


def test_the_dots_of_a_uid_are_not_an_extension(tmp_path: Path) -> None:
    assert read_mammogram(save(tmp_path / "1.2.840.7", mammogram())).name == "1.2.840.7"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"Modality": "CT"},
            "Modality (0008,0060) is 'CT', expected MG (or a film scan: RG, CR, DX, Secondary Capture)",
        ),
        (
            {"Modality": "MR", "SOPClassUID": uids.MRImageStorage},
            "Modality (0008,0060) is 'MR', expected MG (or a film scan: RG, CR, DX, Secondary Capture)",
        ),
        (
            {"Modality": None, "SOPClassUID": None},
            "Modality (0008,0060) is missing, expected MG (or a film scan: RG, CR, DX, Secondary Capture)",
        ),
        (
            {"SOPClassUID": uids.BreastTomosynthesisImageStorage},
            "SOPClassUID (0008,0016) is 'Breast Tomosynthesis Image Storage': tomosynthesis is not supported, "
            "expected a 2D mammogram",
        ),
        (
            {"SOPClassUID": uids.GrayscaleSoftcopyPresentationStateStorage},
            "SOPClassUID (0008,0016) is 'Grayscale Softcopy Presentation State Storage', expected Digital Mammography "
            "X-Ray Image Storage (or a film scan: Computed Radiography, Digital X-Ray, Secondary Capture)",
        ),
        (
            {"Modality": "SR", "SOPClassUID": uids.MammographyCADSRStorage, "PixelData": None},
            "Modality (0008,0060) is 'SR', expected MG (or a film scan: RG, CR, DX, Secondary Capture)",
        ),
        (
            {"Modality": "OT"},
            "Modality (0008,0060) is 'OT' and SOPClassUID (0008,0016) is not a Secondary Capture, "
            "expected MG (or a film scan: RG, CR, DX, Secondary Capture)",
        ),
        (
            {"SOPClassUID": "1.2.3.4"},
            "SOPClassUID (0008,0016) is '1.2.3.4', expected Digital Mammography X-Ray Image Storage (or a film scan: "
            "Computed Radiography, Digital X-Ray, Secondary Capture)",
        ),
        (
            {"DirectoryRecordSequence": [Dataset()], "Modality": None, "SOPClassUID": None},
            "is a DICOMDIR, an index of other files, expected an image",
        ),
        ({"NumberOfFrames": 40}, "NumberOfFrames (0028,0008) is 40, expected one single image"),
        ({"PixelData": None}, "has no PixelData (7FE0,0010), or is cut off before it"),
        ({"PixelData": b""}, "has no PixelData (7FE0,0010), or is cut off before it"),
        ({"Rows": None}, "Rows (0028,0010) is missing, it must be in the range (64, 20000)"),
        ({"Rows": 0}, "Rows (0028,0010) is 0, it must be in the range (64, 20000)"),
        ({"Columns": 63}, "Columns (0028,0011) is 63, it must be in the range (64, 20000)"),
        ({"Columns": 65535}, "Columns (0028,0011) is 65535, it must be in the range (64, 20000)"),
        ({"Rows": 20000, "Columns": 20000}, "has 20000 x 20000 pixels, more than 100 million"),
        ({"Rows": 5000, "Columns": 5000}, "is cut off: its pixel data has 15360 bytes, 50000000 are needed"),
        ({"BitsAllocated": 32}, "BitsAllocated (0028,0100) is 32, expected 8 or 16"),
        ({"BitsAllocated": None}, "BitsAllocated (0028,0100) is missing, it must be in the range (1, 64)"),
        ({"BitsStored": 17}, "BitsStored (0028,0101) is 17, it must be in the range (8, 16)"),
        ({"BitsStored": 1}, "BitsStored (0028,0101) is 1, it must be in the range (8, 16)"),
        ({"HighBit": 16}, "HighBit (0028,0102) is 16, it must be in the range (11, 15)"),
        ({"PixelRepresentation": None}, "PixelRepresentation (0028,0103) is missing, it must be in the range (0, 1)"),
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "PhotometricInterpretation (0028,0004) is 'PALETTE COLOR' with 1 samples a pixel, "
            "expected MONOCHROME1 or MONOCHROME2 with 1",
        ),
        (
            {"PhotometricInterpretation": None},
            "PhotometricInterpretation (0028,0004) is missing with 1 samples a pixel, "
            "expected MONOCHROME1 or MONOCHROME2 with 1",
        ),
        (
            {"SamplesPerPixel": 3},
            "PhotometricInterpretation (0028,0004) is 'MONOCHROME2' with 3 samples a pixel, "
            "expected MONOCHROME1 or MONOCHROME2 with 1",
        ),
        (
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL"},
            "is a colour image (PhotometricInterpretation (0028,0004) is 'YBR_FULL'), expected grey",
        ),
    ],
)
def test_what_is_not_a_mammogram_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, **changes)
    assert caught.value.problem == problem
    assert str(caught.value) == f"{tmp_path / 'a.dcm'}: {problem}"


@pytest.mark.parametrize(
    ("modality", "sop_class", "words"),
    [
        ("RG", uids.SecondaryCaptureImageStorage, "RG (radiographic film, Secondary Capture Image Storage)"),
        ("CR", uids.ComputedRadiographyImageStorage, "CR (computed radiography, Computed Radiography Image Storage)"),
        (
            "DX",
            uids.DigitalXRayImageStorageForPresentation,
            "DX (digital radiography, Digital X-Ray Image Storage - For Presentation)",
        ),
        ("OT", uids.SecondaryCaptureImageStorage, "OT (other, Secondary Capture Image Storage)"),
    ],
)
def test_film_scans_are_read_and_what_is_missing_is_said(
    tmp_path: Path, modality: str, sop_class: str, words: str
) -> None:
    found = read(
        tmp_path,
        Modality=modality,
        SOPClassUID=sop_class,
        PresentationIntentType=None,
        ImageLaterality=None,
        ViewPosition=None,
        ImagerPixelSpacing=None,
        BodyPartExamined="CHEST",
    )
    np.testing.assert_array_equal(found.pixels, shown(breast()))
    assert found.modality == modality
    assert found.warnings == (
        f"The file is filed as {words}, not as a mammogram (MG); it is taken as the scan of a film.",
        "BodyPartExamined (0018,0015) is 'CHEST', not BREAST.",
        "The file does not say the laterality, view and pixel spacing; sizes in millimetres cannot be given.",
    )


@pytest.mark.parametrize(
    ("changes", "laterality", "warned"),
    [
        ({"ImageLaterality": "R"}, Laterality.RIGHT, ""),
        ({"ImageLaterality": None, "Laterality": "R"}, Laterality.RIGHT, ""),
        ({"ImageLaterality": "L", "Laterality": "R"}, Laterality.LEFT, "but Laterality (0020,0060) says RIGHT"),
        ({"ImageLaterality": None, "FrameLaterality": "R"}, Laterality.RIGHT, ""),
        ({"ImageLaterality": "B"}, None, "ImageLaterality (0020,0062) is 'B' (both breasts)"),
        ({"ImageLaterality": "X"}, None, "ImageLaterality (0020,0062) is 'X', expected L or R: not used."),
        ({"ImageLaterality": " R"}, Laterality.RIGHT, ""),
        ({"ImageLaterality": None}, None, "The file does not say the laterality."),
        ({"ImageLaterality": "", "SeriesDescription": "R MLO"}, None, "The file does not say the laterality."),
    ],
)
def test_laterality(tmp_path: Path, changes: dict[str, Any], laterality: Laterality | None, warned: str) -> None:
    found = read(tmp_path, **changes)
    assert found.laterality == laterality
    assert any(warned in warning for warning in found.warnings) if warned else found.warnings == ()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"ViewCodeSequence": view("399162004")}, "CC"),
        ({"ViewCodeSequence": view("R-10226", "SRT")}, "MLO"),
        ({"ViewCodeSequence": view("399260004")}, "ML"),
        ({"ViewCodeSequence": view("399352003")}, "LM"),
        ({"ViewCodeSequence": view("399099002")}, "LMO"),
        ({"ViewCodeSequence": view("399192008")}, "XCCL"),
        ({"ViewCodeSequence": view("R-1024B", "99SDM")}, "XCCM"),
        ({"ViewCodeSequence": view("399188001")}, "SIO"),
        ({"ViewCodeSequence": view("399196006")}, "FB"),
        ({"ViewCodeSequence": view("399368009", modifiers=("399011000",))}, "AT"),
        ({"ViewCodeSequence": view("399162004", modifiers=("399161006",))}, "CV"),
        ({"ViewCodeSequence": view("unknown"), "ViewPosition": "CC"}, "CC"),
        ({"ViewPosition": "LMLO"}, "MLO"),
        ({"ViewPosition": "L CC"}, "CC"),
        ({"ViewPosition": "LMO"}, "LMO"),
        ({"ViewPosition": "LM"}, "LM"),
        ({"ViewPosition": "LLM"}, "LM"),
        ({"ViewPosition": None, "PatientOrientation": "CC"}, "CC"),  # CBIS-DDSM
        ({"ViewPosition": None, "PatientOrientation": ["A", "R"]}, None),
        ({"ViewPosition": "AP"}, None),
        ({"ViewPosition": "LAT"}, None),
    ],
)
def test_view(tmp_path: Path, changes: dict[str, Any], name: str | None) -> None:
    found = read(tmp_path, **{"ViewPosition": None, **changes})
    assert found.view == name
    assert bool(found.warnings) == (name is None)


@pytest.mark.parametrize(
    ("changes", "row_mm", "source"),
    [
        ({}, 0.07, "ImagerPixelSpacing"),
        ({"EstimatedRadiographicMagnificationFactor": 1.75}, 0.04, "ImagerPixelSpacing / 1.75"),
        ({"EstimatedRadiographicMagnificationFactor": 1}, 0.07, "ImagerPixelSpacing"),
        # Not calibrated: it only repeats what holds at the detector.
        (
            {"PixelSpacing": [0.07, 0.07], "EstimatedRadiographicMagnificationFactor": 1.75},
            0.04,
            "ImagerPixelSpacing / 1.75",
        ),
        ({"PixelSpacing": [0.065, 0.065], "EstimatedRadiographicMagnificationFactor": 1.75}, 0.065, "PixelSpacing"),
        (
            {"PixelSpacing": [0.07, 0.07], "PixelSpacingCalibrationType": "GEOMETRY"},
            0.07,
            "PixelSpacing (GEOMETRY)",
        ),
        ({"ImagerPixelSpacing": None, "PixelSpacing": [0.05, 0.05]}, 0.05, "PixelSpacing"),
        (
            {"ImagerPixelSpacing": None, "NominalScannedPixelSpacing": [0.042, 0.042]},
            0.042,
            "NominalScannedPixelSpacing",
        ),
        (
            {"ImagerPixelSpacing": [0, 0], "NominalScannedPixelSpacing": [0.05, 0.05]},
            0.05,
            "NominalScannedPixelSpacing",
        ),
    ],
)
def test_pixel_spacing(tmp_path: Path, changes: dict[str, Any], row_mm: float, source: str) -> None:
    found = read(tmp_path, **changes).spacing
    assert found is not None
    assert (round(found.row_mm, 9), round(found.column_mm, 9), found.source) == (row_mm, row_mm, source)


def test_a_magnification_view_without_its_factor_has_no_known_spacing(tmp_path: Path) -> None:
    magnified = view("399162004", modifiers=("399163009",))
    found = read(tmp_path, ViewCodeSequence=magnified)
    assert found.spacing is None
    assert any(
        "magnification view without a usable EstimatedRadiographicMagnificationFactor" in w for w in found.warnings
    )
    known = read(tmp_path, ViewCodeSequence=magnified, EstimatedRadiographicMagnificationFactor=1.8).spacing
    assert known is not None
    assert known.source == "ImagerPixelSpacing / 1.8"


_DETECTOR, _PATIENT = "DistanceSourceToDetector (0018,1110)", "DistanceSourceToPatient (0018,1111)"
_FACTOR = "EstimatedRadiographicMagnificationFactor (0018,1114)"
_NO_SIZE = ", so the pixel spacing in the breast is not known."
_NOT_STATED = "The file does not say the pixel spacing; sizes in millimetres cannot be given."
_MAGNIFIED = "This is a magnification view, unlike the full standard views that the models know."


def _distances(detector: float, patient: float) -> str:
    return f"{_DETECTOR} is {detector:g} and {_PATIENT} is {patient:g} mm: a magnification of {detector / patient:.3g}"


@pytest.mark.parametrize(
    ("factor", "detector", "patient", "magnified", "row_mm", "warnings"),
    [
        # The quotient of the distances is the factor.
        (None, 650, 361, False, 0.07 * 361 / 650, (_MAGNIFIED,)),
        (None, 650, 361, True, 0.07 * 361 / 650, (_MAGNIFIED,)),
        (None, 660, 633, False, 0.07 * 633 / 660, ()),
        (None, 660, 660, False, 0.07, ()),
        (None, 655, 660, False, 0.07, ()),  # rounded
        # One distance, or 0, says nothing.
        (None, 650, None, False, 0.07, ()),
        (None, None, 360, False, 0.07, ()),
        (None, 650, 0, False, 0.07, ()),
        (None, 0, 0, False, 0.07, ()),
        # What cannot be true.
        (None, 360, 650, False, None, (f"{_distances(360, 650)}, which cannot be true{_NO_SIZE}", _NOT_STATED)),
        (None, 650, 65, False, None, (f"{_distances(650, 65)}, which cannot be true{_NO_SIZE}", _NOT_STATED)),
        # A factor is preferred, but for one that says nothing where the distances say much.
        (1.75, 650, 361, False, 0.04, (_MAGNIFIED,)),
        (1.75, 360, 650, False, 0.04, (_MAGNIFIED,)),
        (
            1.75,
            660,
            660,
            False,
            0.04,
            (f"{_FACTOR} is 1.75, but {_distances(660, 660)}; the first is used.", _MAGNIFIED),
        ),
        (
            1.0,
            650,
            361,
            False,
            None,
            (f"{_FACTOR} is 1, but {_distances(650, 361)}{_NO_SIZE}", _MAGNIFIED, _NOT_STATED),
        ),
        (1.04, 660, 640, False, 0.07 / 1.04, ()),
        # A magnification view whose magnification is none.
        *(
            (
                factor,
                detector,
                660,
                True,
                None,
                (f"This is a magnification view without a usable {_FACTOR}{_NO_SIZE}", _MAGNIFIED, _NOT_STATED),
            )
            for factor, detector in ((None, None), (None, 660), (1.05, None), (1.0, 680))
        ),
    ],
)
def test_the_size_of_a_magnified_breast(
    tmp_path: Path,
    factor: float | None,
    detector: float | None,
    patient: float | None,
    magnified: bool,
    row_mm: float | None,
    warnings: tuple[str, ...],
) -> None:
    found = read(
        tmp_path,
        EstimatedRadiographicMagnificationFactor=factor,
        DistanceSourceToDetector=detector,
        DistanceSourceToPatient=patient,
        ViewCodeSequence=view("399368009", modifiers=("399163009",)) if magnified else None,
    )
    assert found.warnings == warnings
    assert (found.spacing and found.spacing.row_mm) == (row_mm and pytest.approx(row_mm))


@pytest.mark.parametrize(
    "said",
    [
        {"EstimatedRadiographicMagnificationFactor": 1.8},
        {"DistanceSourceToDetector": 650, "DistanceSourceToPatient": 361},
    ],
)
def test_a_film_is_no_scale_where_the_breast_is_magnified(tmp_path: Path, said: dict[str, Any]) -> None:
    found = read(tmp_path, ImagerPixelSpacing=None, PixelSpacing=[0.05, 0.05], **said)
    assert found.spacing is None and _MAGNIFIED in found.warnings
    calibrated = read(tmp_path, PixelSpacing=[0.04, 0.04], **said).spacing
    assert calibrated is not None and calibrated.row_mm == 0.04


@pytest.mark.parametrize("keyword", ["PixelSpacing", "NominalScannedPixelSpacing"])
def test_the_scale_of_a_film_is_not_that_in_a_magnified_breast(tmp_path: Path, keyword: str) -> None:
    magnified = view("399162004", modifiers=("399163009",))
    found = read(
        tmp_path, ViewCodeSequence=magnified, ViewPosition="CC", ImagerPixelSpacing=None, **{keyword: [0.1, 0.05]}
    )
    assert found.spacing is None
    assert found.pixel_aspect == 2
    assert found.warnings[0] == (
        "This is a magnification view without ImagerPixelSpacing (0018,1164), so the pixel spacing in the breast is "
        "not known."
    )


@pytest.mark.parametrize(
    ("changes", "aspect"),
    [
        ({"ImagerPixelSpacing": [0.1, 0.05]}, 2.0),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [3, 2]}, 1.5),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [1, 1]}, 1.0),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [100, 1]}, 1.0),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [0, 0]}, 1.0),
    ],
)
def test_pixel_aspect(tmp_path: Path, changes: dict[str, Any], aspect: float) -> None:
    assert read(tmp_path, **changes).pixel_aspect == aspect


@pytest.mark.parametrize(
    ("keyword", "raw", "shown_value"),
    [
        ("ImagerPixelSpacing", b"wide\\wide", "'wide\\wide'"),
        ("ImagerPixelSpacing", b"0\\0", "'0\\0'"),
        ("ImagerPixelSpacing", b"0.07", "0.07"),
        ("ImagerPixelSpacing", b"-1\\nan", "'-1\\nan'"),
        ("WindowWidth", b"much", "'much'"),
        ("EstimatedRadiographicMagnificationFactor", b"99", "99"),
        ("LossyImageCompressionRatio", b"ten:1", "'ten:1'"),
    ],
)
def test_text_in_numbers_is_said_and_not_used(tmp_path: Path, keyword: str, raw: bytes, shown_value: str) -> None:
    dataset = mammogram(LossyImageCompression="01", EstimatedRadiographicMagnificationFactor=None)
    marker = b"1.23456789"  # put by pydicom where a text that it would not write goes
    setattr(dataset, keyword, marker.decode())
    path = save(tmp_path / "a.dcm", dataset)
    whole = path.read_bytes()
    assert whole.count(marker) == 1
    path.write_bytes(whole.replace(marker, raw.ljust(len(marker))))
    found = read_mammogram(path)
    assert found.pixels.shape == (96, 80)
    warnings = [warning for warning in found.warnings if warning.startswith(keyword)]
    assert len(warnings) == 1
    assert warnings[0].split(" is ")[1].startswith(shown_value.rstrip("'"))
    assert "not used." in warnings[0]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"LossyImageCompression": "01", "LossyImageCompressionRatio": 10},
            "The image was compressed with loss (ratio 10:1); fine detail may be missing.",
        ),
        (
            {"BurnedInAnnotation": "YES"},
            "The pixels hold burned-in text, which may name the patient and may be taken for tissue.",
        ),
        ({"BreastImplantPresent": "YES"}, "A breast implant is present, which the models do not know."),
        ({"QualityControlImage": "YES"}, "This is a quality control image, not a patient's."),
        (
            {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]},
            "The image was synthesised from tomosynthesis, unlike the mammograms that the models know.",
        ),
        ({"PartialView": "YES"}, "This is a partial view: it shows only a part of the breast."),
        (
            {"ViewCodeSequence": view("399368009", modifiers=("399055006",))},
            "This is a spot compression view, unlike the full standard views that the models know.",
        ),
        ({"Modality": None}, "Modality (0008,0060) is missing; taken as MG from the SOP class."),
        ({"SOPInstanceUID": None}, "SOPInstanceUID (0008,0018) is missing, so results cannot point to the image."),
    ],
)
def test_what_may_spoil_the_results_is_said(tmp_path: Path, changes: dict[str, Any], warning: str) -> None:
    assert read(tmp_path, **changes).warnings == (warning,)


def test_nothing_read_or_said_names_the_patient(tmp_path: Path) -> None:
    found = read(tmp_path, ViewPosition="AP", ImageLaterality="Q", PixelAspectRatio=[0, 0], ImagerPixelSpacing=None)
    told = repr([value for name, value in vars(found).items() if name != "pixels"])
    assert "Secret" not in told
    assert "secret-id" not in told


@pytest.mark.parametrize("text", ["Secret^Patient", "LEFT PATIENT", "SECRET-ID", "born 19500131"])
@pytest.mark.parametrize(
    "keyword",
    ["Modality", "SOPClassUID", "SOPInstanceUID", "PhotometricInterpretation", "ImageLaterality", "ViewPosition"],
)
def test_no_value_is_shown_that_names_the_patient(tmp_path: Path, keyword: str, text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about the values
        path = save(tmp_path / "a.dcm", mammogram(PatientBirthDate="19500131", **{keyword: text}))
    try:
        told = " ".join(read_mammogram(path).warnings)
    except InputError as error:
        told = error.problem
    assert f"{keyword} (00" in told
    assert "is a text that names the patient" in told
    assert text.casefold() not in told.casefold()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Maker & Söhne", "Maker & Söhne"),
        ("M" * 64, "M" * 64),
        ("M" * 65, None),
        ("Maker of PATIENT", None),
        ("Maker\x10\0\x20\0LO", None),
        ("M" * 2_000_000, None),
    ],
)
def test_a_manufacturer_is_a_name_and_nothing_else(tmp_path: Path, name: str, kept: str | None) -> None:
    dataset = mammogram(Manufacturer=None, SpecificCharacterSet="ISO_IR 192")
    dataset.add_new("Manufacturer", "UT", name)  # a type of value that takes any text
    found = read_mammogram(save(tmp_path / "a.dcm", dataset))
    assert found.manufacturer == kept
    assert found.warnings == (
        () if kept else ("Manufacturer (0008,0070) is not the name of a manufacturer: not used.",)
    )


def test_a_sequence_in_place_of_a_text_gives_nothing_away(tmp_path: Path) -> None:
    item = Dataset()
    item.PatientName = "Other^Name"
    for keyword in ("Manufacturer", "ViewPosition", "ImageLaterality"):
        dataset = mammogram(**{keyword: None})
        dataset.add_new(keyword, "SQ", [item])
        found = read_mammogram(save(tmp_path / "a.dcm", dataset))
        assert "Other" not in repr((found.manufacturer, found.warnings))
