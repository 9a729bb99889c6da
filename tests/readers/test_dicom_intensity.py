"""Whatever way a file stores its grey values, the same breast is shown, dense tissue bright."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import breast, mammogram, save, shown, table
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mammoscope.mammogram import Mammogram
from mammoscope.readers import read_mammogram


def read(folder: Path, stored: NDArray[Any] | None = None, **changes: Any) -> Mammogram:
    return read_mammogram(save(folder / "a.dcm", mammogram(stored, **changes)))


INVERTED = (4095 - breast()).astype(np.uint16)


@pytest.mark.parametrize(
    ("stored", "changes"),
    [
        (INVERTED, {"PhotometricInterpretation": "MONOCHROME1"}),
        # The standard has both in one file: still turned once.
        (INVERTED, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}),
        (INVERTED, {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "SOMETHING"}),
        (breast(), {"PresentationLUTShape": "IDENTITY"}),
        (INVERTED, {"RescaleSlope": -1, "RescaleIntercept": 4095}),
        (breast(), {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 3995.5, "WindowWidth": 8191}),
        (breast(), {"WindowCenter": 2047.5, "WindowWidth": 4095, "VOILUTFunction": "LINEAR_EXACT"}),
        (breast(), {"WindowCenter": [2048, 3000], "WindowWidth": [4096, 100]}),
        (INVERTED, {"ModalityLUTSequence": table(np.arange(4095, -1, -1), 0, 12)}),
        (breast(), {"VOILUTSequence": table(np.arange(4096), 0, 12), "WindowCenter": 1, "WindowWidth": 2}),
        # Says 16 bits, uses 12: common, and would be nearly black.
        (breast(), {"VOILUTSequence": table(np.arange(4096), 0, 16)}),
        ((breast().astype(np.int16) - 2048), {"VOILUTSequence": table(np.arange(4096), -2048, 12)}),
    ],
)
def test_the_same_breast_is_shown(tmp_path: Path, stored: NDArray[Any], changes: dict[str, Any]) -> None:
    mammogram_read = read(tmp_path, stored.astype(stored.dtype), **changes)
    np.testing.assert_allclose(mammogram_read.pixels.astype(int), shown(breast()).astype(int), atol=1)
    assert mammogram_read.warnings == ()


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(1800, 900), (2048.5, 3000.25), (100, 60), (4000, 500)])
def test_windows_agree_with_pydicom(tmp_path: Path, function: str, center: float, width: float) -> None:
    dataset = mammogram(
        VOILUTFunction=function, WindowCenter=center, WindowWidth=width, RescaleSlope=1.5, RescaleIntercept=-20
    )
    reference = apply_voi_lut(apply_modality_lut(breast(), dataset), dataset)
    low, high = -20.0, 4095 * 1.5 - 20.0
    expected = (reference - low) / (high - low) * 65535
    pixels = read_mammogram(save(tmp_path / "a.dcm", dataset)).pixels
    np.testing.assert_allclose(pixels, expected, atol=1)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_voi_table_agrees_with_pydicom(tmp_path: Path, syntax: str) -> None:
    curve = np.rint(4095 * np.linspace(0, 1, 3000) ** 2)
    dataset = mammogram(VOILUTSequence=table(curve, 500, 12))
    reference = mammogram(VOILUTSequence=table(curve, 500, 12))
    reference.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    expected = apply_voi_lut(breast(), reference)
    if syntax == ExplicitVRBigEndian:
        item = dataset.VOILUTSequence[0]
        item["LUTData"].value = curve.astype(">u2").tobytes()
    pixels = read_mammogram(save(tmp_path / "a.dcm", dataset, syntax)).pixels
    np.testing.assert_array_equal(pixels, shown(expected))


def test_without_a_window_the_full_range_is_shown(tmp_path: Path) -> None:
    stored = (breast() // 4 + 1000).astype(np.uint16)
    pixels = read(tmp_path, stored, WindowCenter=None, WindowWidth=None).pixels
    assert pixels.min() == 0
    assert pixels.max() == 65535
    order = np.argsort(stored, axis=None)
    assert (np.diff(pixels.reshape(-1)[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (4095, {"PixelPaddingValue": 4095}),
        (0, {"PixelPaddingValue": 0}),
        (4090, {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4080}),
    ],
)
def test_padding_is_black_and_sets_no_range(
    tmp_path: Path, photometric: str, value: int, changes: dict[str, int]
) -> None:
    tissue = np.clip(breast() // 2 + 900, 1, 4000).astype(np.uint16)
    stored = tissue.copy()
    stored[:, 60:] = value
    padded = read(
        tmp_path, stored, WindowCenter=None, WindowWidth=None, PhotometricInterpretation=photometric, **changes
    )
    assert (padded.pixels[:, 60:] == 0).all()
    plain = tissue.copy()
    plain[:, 60:] = tissue[:, :20]
    unpadded = read(tmp_path, plain, WindowCenter=None, WindowWidth=None, PhotometricInterpretation=photometric)
    np.testing.assert_allclose(padded.pixels[:, :60].astype(int), unpadded.pixels[:, :60].astype(int), atol=700)


def test_signed_padding_written_as_unsigned_is_padding(tmp_path: Path) -> None:
    stored = (breast().astype(np.int16) - 1000).astype(np.int16)
    stored[:, 70:] = -2000
    dataset = mammogram(stored, BitsStored=16, HighBit=15, WindowCenter=None, WindowWidth=None)
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    pixels = read_mammogram(save(tmp_path / "a.dcm", dataset)).pixels
    assert (pixels[:, 70:] == 0).all()
    assert pixels[:, :70].max() == 65535


@pytest.mark.parametrize(
    ("bits", "signed", "value", "limit"),
    [
        (12, False, 65535, None),
        (12, False, 4096, None),
        (12, False, 63536, None),
        (12, True, 5000, None),
        (12, True, 40000, None),
        (12, False, 65535, 65000),
        (12, False, 5000, 65535),
    ],
)
def test_padding_that_cannot_occur_blackens_nothing(
    tmp_path: Path, bits: int, signed: bool, value: int, limit: int | None
) -> None:
    stored = (breast().astype(np.int16) - 2048 * signed).astype(np.int16 if signed else np.uint16)
    dataset = mammogram(stored, BitsStored=bits, WindowCenter=0 if signed else 2048)
    for keyword, number in (("PixelPaddingValue", value), ("PixelPaddingRangeLimit", limit)):
        if number is not None:
            dataset.add_new(keyword, "US", number)
    found = read_mammogram(save(tmp_path / "a.dcm", dataset))
    np.testing.assert_array_equal(found.pixels, shown(breast()))
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("bits", "vr", "value"),
    [
        (16, "SS", -2000),
        (16, "US", 65536 - 2000),
        (12, "SS", -2000),
        (12, "US", 65536 - 2000),  # the sign fills the word
        (12, "US", 4096 - 2000),  # or only the bits stored
    ],
)
def test_signed_padding_is_found_in_every_form(tmp_path: Path, bits: int, vr: str, value: int) -> None:
    stored = (breast().astype(np.int16) // 2 - 1000).astype(np.int16)
    stored[:, 70:] = -2000
    dataset = mammogram(stored, BitsStored=bits, HighBit=bits - 1, WindowCenter=None, WindowWidth=None)
    dataset.add_new("PixelPaddingValue", vr, value)
    pixels = read_mammogram(save(tmp_path / "a.dcm", dataset)).pixels
    assert (pixels[:, 70:] == 0).all() and pixels[:, :70].max() == 65535


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize(
    ("offset", "first", "vr"),
    [
        (-2048, -2048, "SS"),
        (-2048, 65536 - 2048, "US"),  # unsigned, though pixels are signed
        (0, 0, "US"),
        (40000, 40000, "US"),
        (40000, 40000 - 65536, "SS"),  # signed, though pixels are not
    ],
)
def test_where_a_table_begins_is_understood_in_either_form(
    tmp_path: Path, syntax: str, keyword: str, offset: int, first: int, vr: str
) -> None:
    stored = (breast().astype(np.int32) + offset).astype(np.int16 if offset < 0 else np.uint16)
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [4096, first, 12])
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    item.add_new("LUTData", "OW", np.arange(4096).astype(f"{order}u2").tobytes())
    dataset = mammogram(stored, BitsStored=16, HighBit=15, **{keyword: [item]})
    found = read_mammogram(save(tmp_path / "a.dcm", dataset, syntax))
    np.testing.assert_allclose(found.pixels.astype(int), shown(breast()).astype(int), atol=1)
    assert found.warnings == ()


def exposure() -> NDArray[np.uint16]:
    """What a detector counts behind the breast: little behind dense tissue, 12 bits."""
    return np.clip(np.rint(4000 * np.exp(-3.0 * breast() / 4095)), 1, 4095).astype(np.uint16)


@pytest.mark.parametrize(
    ("stored", "changes"),
    [
        (exposure(), {"PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": 1}),
        (4095 - exposure(), {"PixelIntensityRelationship": "LIN", "PixelIntensityRelationshipSign": -1}),
        (exposure(), {"PhotometricInterpretation": "MONOCHROME1"}),
        (breast(), {"PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1}),
        (4095 - breast(), {"PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": 1}),
    ],
)
def test_raw_detector_values_are_turned_into_density(
    tmp_path: Path, stored: NDArray[Any], changes: dict[str, Any]
) -> None:
    raw = read(
        tmp_path,
        stored.astype(np.uint16),
        SOPClassUID=DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
        WindowCenter=None,
        WindowWidth=None,
        **changes,
    )
    assert np.corrcoef(raw.pixels.reshape(-1), breast().reshape(-1))[0, 1] > 0.95
    assert len(raw.warnings) == 1
    assert raw.warnings[0].startswith("The file holds a detector's raw values (FOR PROCESSING)")


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"WindowWidth": 0}, "WindowWidth (0028,1051) is 0, which leaves no range: not used."),
        (
            {"WindowCenter": -50_000, "WindowWidth": 10},
            "The file's window shows almost no grey levels of the image; the full range is shown instead.",
        ),
        (
            {"VOILUTSequence": table(np.arange(1, 4), 0, 12)},
            "The file's window shows almost no grey levels of the image; the full range is shown instead.",
        ),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "RescaleSlope (0028,1053) is 0, which leaves no image: not used."),
        (
            {"VOILUTFunction": "CURVED"},
            "VOILUTFunction (0028,1056) is 'CURVED', expected LINEAR, LINEAR_EXACT or SIGMOID: taken as LINEAR.",
        ),
    ],
)
def test_a_useless_window_is_left_out_and_said(tmp_path: Path, changes: dict[str, Any], warning: str) -> None:
    found = read(tmp_path, **changes)
    assert warning in found.warnings
    np.testing.assert_allclose(found.pixels.astype(int), shown(breast()).astype(int), atol=40)


def test_a_damaged_table_is_left_out_and_said(tmp_path: Path) -> None:
    sequence = table(np.arange(4096), 0, 12)
    sequence[0]["LUTData"].value = b"\1\2\3\4"
    found = read(tmp_path, VOILUTSequence=sequence)
    np.testing.assert_array_equal(found.pixels, shown(breast()))
    assert found.warnings == ("The table in VOILUTSequence (0028,3010) cannot be read: not used.",)


@pytest.mark.parametrize("value", [0, 700, 4095])
def test_an_empty_image_is_said_to_be_empty(tmp_path: Path, value: int) -> None:
    found = read(tmp_path, np.full((96, 80), value, dtype=np.uint16), WindowCenter=None, WindowWidth=None)
    assert found.warnings == ("The image is empty: all its pixels have the same value.",)
    padding = read(tmp_path, np.full((96, 80), value, dtype=np.uint16), PixelPaddingValue=value)
    assert padding.warnings == ("The image is empty: it holds nothing but padding.",)
    assert not padding.pixels.any()
