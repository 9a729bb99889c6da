"""What units of many makers are known to send, one row each, and what must come out.

A row is named after a kind of unit whose habit it shows. The pixels are the tests' own synthetic breast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom.uid as uids
import pytest
from dicom_files import (
    TOMO_2D,
    Encode,
    breast,
    coded,
    items,
    jpeg2000,
    lossless_jpeg,
    lossy_jpeg,
    mammogram,
    run_lengths,
    save,
    shown,
    table,
    view,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut

from mammoscope.errors import InputError
from mammoscope.mammogram import Laterality
from mammoscope.readers import read_mammogram
from mammoscope.readers.dicom.compressed import READABLE_SYNTAXES

LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT
INVERTED = (4095 - breast()).astype(np.uint16)
GREY_8 = breast(8).astype(np.uint8)
NON_STANDARD = "unlike the full standard views that the models know."
RAW = (
    "The file holds a detector's raw values (FOR PROCESSING), not the processed image that is meant for reading; "
    "its contrast is only approximated, and findings are less certain."
)
LOSSY = "The image was compressed with loss; fine detail may be missing."
SYNTHESISED = "The image was synthesised from tomosynthesis, unlike the mammograms that the models know."
TOMOSYNTHESIS = (
    "SOPClassUID (0008,0016) is 'Breast Tomosynthesis Image Storage': tomosynthesis is not supported, "
    "expected a 2D mammogram"
)


@dataclass(frozen=True)
class Unit:
    """A file and what must come out of it.

    Attributes
    ----------
    name
        The kind of unit and its habit.
    changes, stored, syntax, encode
        The file: changes to a left MLO with 0.07 mm at the detector, the stored pixels, and how they are packed.
    laterality, view, spacing
        What must be known; spacing in mm of square pixels.
    warnings
        All that must be said.
    pixels, tolerance
        What must be shown, and within how many of 65,535 steps; None: the breast, dense tissue bright.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    stored: NDArray[Any] | None = None
    syntax: str = uids.ExplicitVRLittleEndian
    encode: Encode | None = None
    laterality: Laterality | None = LEFT
    view: str | None = "MLO"
    spacing: float | None = 0.07
    warnings: tuple[str, ...] = ()
    pixels: NDArray[np.uint16] | None = field(default_factory=lambda: shown(breast()))
    tolerance: float = 1.0

    def file(self, folder: Path) -> Path:
        """Write it."""
        stored = breast() if self.stored is None else self.stored
        compressed = None if self.encode is None else [self.encode(stored)]
        return save(folder / "a.dcm", mammogram(self.stored, **self.changes), self.syntax, compressed)


def filed_as(modality: str, words: str) -> str:
    return f"The file is filed as {modality} ({words}), not as a mammogram (MG); it is taken as the scan of a film."


def unknown(what: str) -> str:
    return f"The file does not say the {what}."


def sigmoid(center: float, width: float) -> NDArray[np.uint16]:
    dataset = mammogram(WindowCenter=center, WindowWidth=width, VOILUTFunction="SIGMOID")
    return np.rint(apply_voi_lut(breast(), dataset) / 4095 * 65535).astype(np.uint16)


def padded(value: int) -> NDArray[np.uint16]:
    """The inverted breast with a margin of padding."""
    stored = INVERTED.copy()
    stored[:, 70:] = value
    return stored


def shown_padded() -> NDArray[np.uint16]:
    pixels = shown(breast())
    pixels[:, 70:] = 0
    return pixels


CURVE = np.rint(4095 * np.linspace(0, 1, 4096) ** 1.5)

RAW_CLASS = uids.DigitalMammographyXRayImageStorageForProcessing
EXPOSURE = np.clip(np.rint(4000 * np.exp(-3.0 * breast() / 4095)), 1, 4095).astype(np.uint16)
JAPANESE = "富士フイルム"

UNITS = (
    # Grey values: photometric interpretation, VOI tables and windows, padding, intent.
    Unit(
        "Hologic: three VOI tables and as many windows, the first of each is for reading",
        {
            "VOILUTSequence": [*table(CURVE, 0, 12), *table(CURVE[::-1], 0, 12), *table(CURVE // 2, 0, 12)],
            "WindowCenter": [2048, 100, 4000],
            "WindowWidth": [4096, 10, 10],
            "EstimatedRadiographicMagnificationFactor": 1,
            "ViewCodeSequence": view("399368009"),
        },
        syntax=uids.JPEGLosslessSV1,
        encode=lossless_jpeg(1),
        pixels=shown(CURVE[breast()]),
    ),
    Unit(
        "GE: a sigmoid window, and the breast a little above the detector",
        {
            "VOILUTFunction": "SIGMOID",
            "WindowCenter": [1900, 2200],
            "WindowWidth": [1300, 1500],
            "EstimatedRadiographicMagnificationFactor": 1.04,
        },
        spacing=0.07 / 1.04,
        pixels=sigmoid(1900, 1300),
        tolerance=2,
    ),
    Unit(
        "GE: raw values of a detector, more where there is less breast",
        {
            "SOPClassUID": RAW_CLASS,
            "PresentationIntentType": "FOR PROCESSING",
            "PixelIntensityRelationship": "LIN",
            "PixelIntensityRelationshipSign": 1,
            "WindowCenter": None,
        },
        stored=EXPOSURE,
        warnings=(RAW,),
        pixels=None,
    ),
    Unit(
        "Siemens: raw by its class alone, without an intent",
        {
            "SOPClassUID": RAW_CLASS,
            "PresentationIntentType": None,
            "PixelIntensityRelationship": "LIN",
            "PixelIntensityRelationshipSign": 1,
            "WindowCenter": None,
        },
        stored=EXPOSURE,
        syntax=uids.ImplicitVRLittleEndian,
        warnings=(RAW,),
        pixels=None,
    ),
    Unit(
        "Siemens: a VOI table that says 16 bits and holds 12",
        {"VOILUTSequence": table(np.arange(4096), 0, 16), "WindowCenter": None},
        syntax=uids.RLELossless,
        encode=run_lengths,
    ),
    Unit(
        "Philips: white is low, said in both ways, and meant once",
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        stored=INVERTED,
        syntax=uids.JPEG2000Lossless,
        encode=jpeg2000,
    ),
    Unit(
        "Planmed: white is low, the margin padded with white",
        {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 4095},
        stored=padded(4095),
        syntax=uids.ExplicitVRBigEndian,
        pixels=shown_padded(),
    ),
    Unit(
        "IMS Giotto: a range of padding, its limits in any order",
        {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4080},
        stored=padded(4086),
        syntax=uids.JPEGLSLossless,
        encode=imagecodecs.jpegls_encode,
        # The darkest of the background lies within the range.
        pixels=np.where(INVERTED >= 4080, 0, shown_padded()).astype(np.uint16),
    ),
    Unit(
        "Konica: no window, and signed values with a slope",
        {"WindowCenter": None, "RescaleSlope": 1, "RescaleIntercept": 2048},
        stored=(breast().astype(np.int16) - 2048).astype(np.int16),
        syntax=uids.HTJ2KLossless,
        encode=lambda stored: bytes(imagecodecs.htj2k_encode(stored, reversible=True)),
        pixels=None,
    ),
    Unit(
        "Metaltronica: a window for each of two purposes, exact, in a class of JPEG 2000 that streams",
        {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": [2047.5, 3000], "WindowWidth": [4095, 500]},
        syntax=uids.HTJ2KLosslessRPCL,
        encode=lambda stored: bytes(imagecodecs.htj2k_encode(stored, reversible=True)),
    ),
    # Computed radiography and scanned film.
    Unit(
        "Fuji: computed radiography filed as a mammogram, its words in Japanese",
        {
            "SOPClassUID": uids.ComputedRadiographyImageStorage,
            "PresentationIntentType": None,
            "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
            "Manufacturer": JAPANESE,
            "PhotometricInterpretation": "MONOCHROME1",
            "PixelSpacing": [0.05, 0.05],
            "ImagerPixelSpacing": [0.05, 0.05],
        },
        stored=INVERTED,
        syntax=uids.JPEGLossless,
        encode=lossless_jpeg(6),
        spacing=0.05,
    ),
    Unit(
        "Carestream: computed radiography whose view alone names the side",
        {
            "Modality": "CR",
            "SOPClassUID": uids.ComputedRadiographyImageStorage,
            "ImageLaterality": None,
            "ViewPosition": "RMLO",
            "BodyPartExamined": "BREAST",
        },
        syntax=uids.JPEGLSNearLossless,
        encode=lambda stored: imagecodecs.jpegls_encode(stored, level=2),
        laterality=RIGHT,
        warnings=(filed_as("CR", "computed radiography, Computed Radiography Image Storage"), LOSSY),
        tolerance=2.5 * 16,
    ),
    Unit(
        "Agfa: the side is a code of the anatomic region, the codes are of the old scheme",
        {
            "ImageLaterality": None,
            "AnatomicRegionSequence": view("T-04020", "SRT"),
            "ViewCodeSequence": view("R-10242", "SRT"),
            "ViewPosition": None,
        },
        syntax=uids.JPEGExtended12Bit,
        encode=lossy_jpeg(12),
        laterality=RIGHT,
        view="CC",
        warnings=(LOSSY,),
        tolerance=12.5 * 16,
    ),
    Unit(
        "Agfa: the side is a modifier of the anatomic region",
        {
            "ImageLaterality": None,
            "AnatomicRegionSequence": items(
                {"CodeValue": "76752008", "AnatomicRegionModifierSequence": [coded("24028007")]}
            ),
        },
        laterality=RIGHT,
    ),
    Unit(
        "Vidar: a film scanned, its step is the scanner's, its view where CBIS-DDSM keeps it",
        {
            "Modality": "OT",
            "SOPClassUID": uids.SecondaryCaptureImageStorage,
            "PresentationIntentType": None,
            "ViewPosition": None,
            "PatientOrientation": "CC",
            "ImageLaterality": None,
            "Laterality": "R",
            "ImagerPixelSpacing": None,
            "NominalScannedPixelSpacing": [0.044, 0.044],
        },
        stored=GREY_8,
        syntax=uids.JPEGBaseline8Bit,
        encode=lossy_jpeg(8),
        laterality=RIGHT,
        view="CC",
        spacing=0.044,
        warnings=(filed_as("OT", "other, Secondary Capture Image Storage"), LOSSY),
        pixels=shown(GREY_8, 255),
        tolerance=4 * 257,
    ),
    Unit(
        "Howtek: a film scanned with its spacing calibrated at the film",
        {
            "Modality": "RG",
            "SOPClassUID": uids.SecondaryCaptureImageStorage,
            "ImagerPixelSpacing": None,
            "PixelSpacing": [0.0435, 0.0435],
        },
        syntax=uids.JPEG2000,
        encode=lambda stored: jpeg2000(stored, level=70, reversible=False),
        spacing=0.0435,
        warnings=(filed_as("RG", "radiographic film, Secondary Capture Image Storage"), LOSSY),
        tolerance=12.5 * 16,
    ),
    Unit(
        "a scanner of documents: white film in colours, nothing known",
        {
            "Modality": "OT",
            "SOPClassUID": uids.SecondaryCaptureImageStorage,
            **dict.fromkeys(("ImageLaterality", "ViewPosition", "ImagerPixelSpacing")),
            "SamplesPerPixel": 3,
            "PlanarConfiguration": 0,
            "PhotometricInterpretation": "RGB",
            "PixelData": np.dstack([GREY_8] * 3).tobytes(),
        },
        stored=GREY_8,
        laterality=None,
        view=None,
        spacing=None,
        warnings=(
            filed_as("OT", "other, Secondary Capture Image Storage"),
            "The file stores colours, but all its pixels are grey; it is read as a grey image.",
            "The file does not say the laterality, view and pixel spacing; sizes in millimetres cannot be given.",
        ),
        pixels=shown(GREY_8, 255),
    ),
    Unit(
        "a film scan in a container of many frames that holds one",
        {
            "Modality": "OT",
            "SOPClassUID": uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
            "NumberOfFrames": 1,
        },
        syntax=uids.HTJ2K,
        encode=lambda stored: bytes(imagecodecs.htj2k_encode(stored, 0.00005, reversible=False)),
        warnings=(filed_as("OT", "other, Multi-frame Grayscale Word Secondary Capture Image Storage"), LOSSY),
        tolerance=12.5 * 16,
    ),
    # Side and view.
    Unit("Lorad: the side of the series alone", {"ImageLaterality": None, "Laterality": "R"}, laterality=RIGHT),
    Unit(
        "a series of both sides with the side in each image",
        {"Laterality": "B"},
        warnings=("Laterality (0020,0060) is 'B' (both breasts), expected L or R: not used.",),
    ),
    Unit(
        "sides that contradict each other",
        {"Laterality": "R"},
        warnings=("ImageLaterality (0020,0062) says LEFT but Laterality (0020,0060) says RIGHT: the first is used.",),
    ),
    Unit(
        "a view that contradicts the side",
        {"ViewPosition": "RMLO"},
        warnings=("ImageLaterality (0020,0062) says LEFT but ViewPosition (0018,5101) says RIGHT: the first is used.",),
    ),
    Unit(
        "LM is a view and no side",
        {"ImageLaterality": None, "ViewPosition": "LM"},
        laterality=None,
        view="LM",
        warnings=(unknown("laterality"),),
    ),
    Unit("LLM is a view of the left", {"ImageLaterality": None, "ViewPosition": "LLM"}, view="LM"),
    Unit(
        "LAT is no view of a breast",
        {"ImageLaterality": None, "ViewPosition": "LAT"},
        laterality=None,
        view=None,
        warnings=(
            "ViewPosition (0018,5101) is 'LAT', which is not a mammographic view: not used.",
            unknown("laterality and view"),
        ),
    ),
    Unit(
        "a code that contradicts the view's name",
        {"ViewCodeSequence": view("399162004")},
        view="CC",
        warnings=("ViewCodeSequence (0054,0220) says CC but ViewPosition (0018,5101) says MLO: the first is used.",),
    ),
    Unit(
        "an axillary tail named by its basic view",
        {"ViewCodeSequence": view("399368009", modifiers=("399011000",))},
        view="AT",
    ),
    Unit("a code that nobody knows, beside a name", {"ViewCodeSequence": view("VENDOR-1", "99X")}),
    Unit(
        "a code that nobody knows",
        {"ViewCodeSequence": view("VENDOR-1", "99X"), "ViewPosition": None},
        view=None,
        warnings=("ViewCodeSequence (0054,0220) names no mammographic view: not used.", unknown("view")),
    ),
    # Views that are not the four standard ones.
    Unit(
        "GE: magnification, said by a modifier and a factor",
        {
            "ViewCodeSequence": view("399368009", modifiers=("399163009",)),
            "EstimatedRadiographicMagnificationFactor": 1.75,
        },
        spacing=0.04,
        warnings=(f"This is a magnification view, {NON_STANDARD}",),
    ),
    Unit(
        "Hologic: magnification, said by the factor alone",
        {"EstimatedRadiographicMagnificationFactor": 1.75},
        spacing=0.04,
        warnings=(f"This is a magnification view, {NON_STANDARD}",),
    ),
    Unit(
        "Fuji: magnification without a factor",
        {"ViewCodeSequence": view("R-10226", "SRT", modifiers=("R-102D6",))},
        spacing=None,
        warnings=(
            "This is a magnification view without a usable EstimatedRadiographicMagnificationFactor (0018,1114), so "
            "the pixel spacing in the breast is not known.",
            f"This is a magnification view, {NON_STANDARD}",
            "The file does not say the pixel spacing; sizes in millimetres cannot be given.",
        ),
    ),
    Unit(
        "a spot view whose modifier stands beside the view",
        {"ViewCodeSequence": view("399368009"), "ViewModifierCodeSequence": [coded("399055006")]},
        warnings=(f"This is a spot compression view, {NON_STANDARD}",),
    ),
    Unit(
        "a rolled view",
        {"ViewCodeSequence": view("399368009", modifiers=("399197002",))},
        warnings=(f"This is a view of the breast rolled laterally, {NON_STANDARD}",),
    ),
    Unit(
        "one image of a large breast in parts",
        {"PartialView": "YES", "PartialViewDescription": "upper half"},
        warnings=("This is a partial view: it shows only a part of the breast.",),
    ),
    Unit(
        "one image of a large breast in parts, said by a code alone",
        {"PartialViewCodeSequence": [coded("255561001")]},
        warnings=("This is a partial view: it shows only a part of the breast.",),
    ),
    Unit(
        "an implant, and the same breast with it displaced",
        {"BreastImplantPresent": "YES", "ViewCodeSequence": view("399368009", modifiers=("399209000",))},
        warnings=(
            f"This is a view with the implant displaced, {NON_STANDARD}",
            "A breast implant is present, which the models do not know.",
        ),
    ),
    # Tomosynthesis.
    Unit(
        "GE V-Preview: the 2D image made of tomosynthesis, as a plain mammogram",
        {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]},
        warnings=(SYNTHESISED,),
    ),
    Unit(
        "Hologic C-View: the 2D image made of tomosynthesis, as a tomosynthesis object of one frame",
        TOMO_2D,
        laterality=RIGHT,
        view="CC",
        spacing=0.09,
        warnings=(SYNTHESISED,),
    ),
    # Text, and headers that are not as they should be.
    Unit("a character set that no list has", {"SpecificCharacterSet": "ISO_IR 999", "Manufacturer": "Maker"}),
    Unit("a text in another character set than is said", {"SpecificCharacterSet": "ISO_IR 6"}),
)


@pytest.mark.filterwarnings("ignore:.*(encoding|Value).*:UserWarning")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_comes_out_of_a_units_file(tmp_path: Path, unit: Unit) -> None:
    read = read_mammogram(unit.file(tmp_path))
    assert read.warnings == unit.warnings
    assert (read.laterality, read.view) == (unit.laterality, unit.view)
    spacing = None if read.spacing is None else (read.spacing.row_mm, read.spacing.column_mm)
    assert spacing == (None if unit.spacing is None else pytest.approx((unit.spacing, unit.spacing)))
    if unit.pixels is None:
        assert np.corrcoef(read.pixels.reshape(-1), breast().reshape(-1))[0, 1] > 0.95
        assert (int(read.pixels.min()), int(read.pixels.max())) == (0, 65535)
    else:
        np.testing.assert_allclose(read.pixels.astype(int), unit.pixels.astype(int), atol=unit.tolerance)


def test_the_table_has_every_transfer_syntax() -> None:
    assert {unit.syntax for unit in UNITS} == set(READABLE_SYNTAXES)


def hologic_tomosynthesis() -> Dataset:
    dataset = mammogram(Modality="MG", SOPClassUID=uids.SecondaryCaptureImageStorage, PixelData=None)
    block = dataset.private_block(0x7E01, "HOLOGIC, Inc.", create=True)
    block.add_new(0x12, "OB", b"\1\2\3\4")
    return dataset


@pytest.mark.parametrize(
    ("dataset", "problem"),
    [
        (mammogram(**{**TOMO_2D, "NumberOfFrames": 40}), TOMOSYNTHESIS),
        (mammogram(**{**TOMO_2D, "ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"]}), TOMOSYNTHESIS),
        (
            mammogram(SOPClassUID=uids.BreastProjectionXRayImageStorageForProcessing),
            "SOPClassUID (0008,0016) is 'Breast Projection X-Ray Image Storage - For Processing': tomosynthesis is not "
            "supported, expected a 2D mammogram",
        ),
        (
            hologic_tomosynthesis(),
            "holds tomosynthesis in Hologic's private format, expected a 2D mammogram",
        ),
        (mammogram(NumberOfFrames=2), "NumberOfFrames (0028,0008) is 2, expected one single image"),
        (
            mammogram(
                Modality="OT",
                SOPClassUID=uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
                NumberOfFrames=60,
            ),
            "NumberOfFrames (0028,0008) is 60, expected one single image",
        ),
    ],
    ids=["a stack of slices", "one slice", "projections", "Hologic's own format", "two frames", "a stack as capture"],
)
def test_what_is_not_a_single_2d_image_is_refused_by_name(tmp_path: Path, dataset: Dataset, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read_mammogram(save(tmp_path / "a.dcm", dataset))
    assert caught.value.problem == problem


def without_meta_header(whole: bytes) -> bytes:
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def with_meta_header_that_ends_early(whole: bytes) -> bytes:
    return whole[:140] + (8).to_bytes(4, "little") + whole[144:]


def without_a_named_syntax(whole: bytes) -> bytes:
    named = whole.index(b"\2\0\x10\0UI")
    return whole[:named] + whole[named + 8 + int.from_bytes(whole[named + 6 : named + 8], "little") :]


def with_kinds_unknown(whole: bytes) -> bytes:
    """As some archives give back elements that they do not know."""
    for tag, kind in ((b"\x28\0\x50\x10", b"DS"), (b"\x20\0\x62\0", b"CS"), (b"\x18\0\x64\x11", b"DS")):
        start = whole.index(tag + kind)
        length = int.from_bytes(whole[start + 6 : start + 8], "little")
        header = tag + b"UN\0\0" + length.to_bytes(4, "little")
        whole = whole[:start] + header + whole[start + 8 :]
    return whole


def with_a_text_in_no_character_set(whole: bytes) -> bytes:
    return whole.replace(b"LO\x06\0Maker ", b"LO\x06\0\xc3M\xe4k\x81 ")


@pytest.mark.parametrize("syntax", [uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, uids.ExplicitVRBigEndian])
@pytest.mark.parametrize(
    "spoil",
    [without_meta_header, with_meta_header_that_ends_early, without_a_named_syntax],
    ids=lambda call: call.__name__,
)
def test_a_meta_header_that_is_missing_or_wrong_is_done_without(tmp_path: Path, syntax: str, spoil: Any) -> None:
    path = save(tmp_path / "a.dcm", mammogram(), syntax)
    path.write_bytes(spoil(path.read_bytes()))
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert (read.laterality, read.view, read.warnings) == (LEFT, "MLO", ())


def test_a_data_set_in_implicit_vr_that_calls_itself_explicit_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram(), uids.ImplicitVRLittleEndian)
    named = b"\2\0\x10\0UI\x12\x001.2.840.10008.1.2\0"
    whole = path.read_bytes()
    assert whole.count(named) == 1
    path.write_bytes(whole.replace(named, b"\2\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"))
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == ()


def test_elements_that_an_archive_calls_unknown_are_known(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    path.write_bytes(with_kinds_unknown(path.read_bytes()))
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert (read.laterality, read.warnings) == (LEFT, ())
    assert read.spacing is not None
    assert read.spacing.row_mm == 0.07


@pytest.mark.parametrize("charset", [None, "ISO_IR 192", "ISO_IR 13", "\\ISO 2022 IR 87", "GB18030"])
def test_bytes_outside_the_character_set_spoil_nothing_but_the_text(tmp_path: Path, charset: str | None) -> None:
    path = save(tmp_path / "a.dcm", mammogram(SpecificCharacterSet=charset))
    whole = with_a_text_in_no_character_set(path.read_bytes())
    path.write_bytes(whole.replace(b"Secret^Patient", b"Secr\xe4t^P\x1bt\x81int"))
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert "Secr" not in repr((read.manufacturer, read.warnings))
    assert set(read.warnings) <= {"Manufacturer (0008,0070) is not the name of a manufacturer: not used."}
