"""Air is shown dark, also where a file is wrong about which values are white, and doubts are said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from dicom_files import WHITE_12_BIT, breast, mammogram, save, shown, table
from numpy.typing import NDArray
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing

from mammoscope.readers import read_mammogram

WRONG = (
    "The air around the breast would be bright, so the file is wrong about which values are white: the image is shown "
    "inverted."
)
UPRIGHT, INVERTED = breast(), (WHITE_12_BIT - breast()).astype(np.uint16)
ONE, TWO = {"PhotometricInterpretation": "MONOCHROME1"}, {"PhotometricInterpretation": "MONOCHROME2"}
SHAPE_INVERSE, SHAPE_IDENTITY = {"PresentationLUTShape": "INVERSE"}, {"PresentationLUTShape": "IDENTITY"}
TURNS_VALUES: dict[str, Any] = {"RescaleSlope": -1, "RescaleIntercept": 4095}
TURNS_TABLE: dict[str, Any] = {"VOILUTSequence": table(np.arange(4095, -1, -1), 0, 12)}
RAW: dict[str, Any] = {
    "SOPClassUID": DigitalMammographyXRayImageStorageForProcessing,
    "PresentationIntentType": "FOR PROCESSING",
    "WindowCenter": None,
    "PixelIntensityRelationship": "LOG",
}


def contradiction(photometric: str, shape: str, follows: str = "the air around the breast tells which") -> str:
    return (
        f"PhotometricInterpretation (0028,0004) is {photometric} but PresentationLUTShape (2050,0020) is {shape}: "
        f"only one can be true, {follows}."
    )


MIXED = contradiction("MONOCHROME2", "INVERSE"), contradiction("MONOCHROME1", "IDENTITY")


@dataclass(frozen=True)
class Said:
    """What a file says of which values are white, and what is said of that. The breast is to be shown upright."""

    name: str
    stored: NDArray[np.uint16]
    changes: dict[str, Any]
    warnings: tuple[str, ...] = field(default=())


@pytest.mark.parametrize(
    "case",
    [
        Said("as usual", UPRIGHT, TWO),
        Said("agreed", UPRIGHT, TWO | SHAPE_IDENTITY),
        Said("low is white", INVERTED, ONE),
        Said("low is white, said twice", INVERTED, ONE | SHAPE_INVERSE),
        Said("turned by the values and back", UPRIGHT, ONE | SHAPE_INVERSE | TURNS_VALUES),
        Said("turned by a table and back", UPRIGHT, ONE | TURNS_TABLE),
        Said("differently, the second is true", INVERTED, TWO | SHAPE_INVERSE, MIXED[:1]),
        Said("differently, the first is true", UPRIGHT, TWO | SHAPE_INVERSE, MIXED[:1]),
        Said("differently, low is white", INVERTED, ONE | SHAPE_IDENTITY, MIXED[1:]),
        Said("differently, high is white", UPRIGHT, ONE | SHAPE_IDENTITY, MIXED[1:]),
        Said("wrong", UPRIGHT, ONE, (WRONG,)),
        Said("wrong, the other way round", INVERTED, TWO, (WRONG,)),
        Said("wrong in both places", INVERTED, TWO | SHAPE_IDENTITY, (WRONG,)),
        Said("wrong in both places, the other way round", UPRIGHT, ONE | SHAPE_INVERSE, (WRONG,)),
        Said("a slope of the wrong sign", UPRIGHT, TWO | TURNS_VALUES, (WRONG,)),
        Said("a table of the wrong sign", UPRIGHT, TWO | TURNS_TABLE, (WRONG,)),
    ],
    ids=lambda case: case.name,
)
def test_the_breast_is_shown_upright(tmp_path: Path, case: Said) -> None:
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(case.stored, **case.changes)))
    np.testing.assert_allclose(read.pixels.astype(int), shown(breast()).astype(int), atol=1)
    assert read.warnings == case.warnings


@pytest.mark.parametrize("sign", [-1, 1])
def test_raw_values_of_the_wrong_sign_are_turned(tmp_path: Path, sign: int) -> None:
    stored = INVERTED if sign < 0 else UPRIGHT  # LOG, -1: more where there is more tissue
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(stored, **RAW, PixelIntensityRelationshipSign=sign)))
    assert np.corrcoef(read.pixels.reshape(-1), breast().reshape(-1))[0, 1] > 0.95
    assert WRONG in read.warnings


def _filled() -> NDArray[np.uint16]:
    """A breast that fills the picture: there is no air to tell."""
    y, x = np.mgrid[0:96, 0:80]
    return np.rint(2000 + 900 * np.sin(x / 7) * np.cos(y / 9)).astype(np.uint16)


def _framed(width: int) -> NDArray[np.uint16]:
    """A white frame around the film."""
    framed = np.full((96 + 2 * width, 80 + 2 * width), WHITE_12_BIT, np.uint16)
    framed[width:-width, width:-width] = breast()
    return framed


def _one_bright_side() -> NDArray[np.uint16]:
    lit = breast().copy()
    lit[:, 60:] = WHITE_12_BIT
    return lit


@pytest.mark.parametrize(
    "stored",
    [_filled(), _framed(4), _framed(8), _framed(12), _one_bright_side(), np.full((96, 80), 4095, np.uint16)],
    ids=["no air", "thin frame", "wider frame", "wide frame", "one side", "white"],
)
def test_what_is_not_surely_air_turns_nothing(tmp_path: Path, stored: NDArray[np.uint16]) -> None:
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(stored)))
    np.testing.assert_array_equal(read.pixels, shown(stored))
    assert WRONG not in read.warnings
    unsure = read_mammogram(save(tmp_path / "b.dcm", mammogram(stored, PresentationLUTShape="INVERSE")))
    told = contradiction("MONOCHROME2", "INVERSE", "make sure that dense tissue is shown bright")
    assert told in unsure.warnings or MIXED[0] in unsure.warnings


def test_padding_is_not_taken_for_air(tmp_path: Path) -> None:
    stored = np.maximum(INVERTED, 1)
    stored[:, 66:] = 0
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(stored, **ONE, PixelPaddingValue=0)))
    assert (read.pixels[:, 66:] == 0).all()
    np.testing.assert_allclose(read.pixels[:, :66].astype(int), shown(breast())[:, :66], atol=16)
    assert read.warnings == ()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_a_picture_without_a_header_is_turned_back_too(tmp_path: Path, suffix: str) -> None:
    upright = cv2.GaussianBlur((breast() >> 4).astype(np.uint8), (3, 3), 0)
    write = {".png": imagecodecs.png_encode, ".tif": imagecodecs.tiff_encode, ".jpg": imagecodecs.jpeg8_encode}[suffix]
    for name, pixels in (("a", upright), ("b", 255 - upright)):
        (tmp_path / f"{name}{suffix}").write_bytes(write(pixels))
    plain, turned = (read_mammogram(tmp_path / f"{name}{suffix}") for name in "ab")
    np.testing.assert_allclose(turned.pixels.astype(int), plain.pixels.astype(int), atol=6 * 257)
    told = "The air around the breast is bright in the file, so it is an inverted image: it is shown inverted back."
    assert told in turned.warnings and told not in plain.warnings
