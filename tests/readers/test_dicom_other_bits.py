"""What lies in a pixel's word beside the bits stored is no pixel, however the words are packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom.uid as uids
import pytest
from dicom_files import Encode, breast, jpeg2000, lossless_jpeg, mammogram, run_lengths, save, shown
from numpy.typing import NDArray

from mammoscope.readers import read_mammogram

LEFT_OUT = "Pixels hold more than the 12 bits that BitsStored (0028,0101) says; the other bits are left out."
LOST = (
    "Pixels hold more than the 12 bits that BitsStored (0028,0101) says, and were compressed with loss: what the other "
    "bits hold cannot be taken away."
)
LOSSY = "The image was compressed with loss; fine detail may be missing."


def _j2k(bits: int = 16, **options: Any) -> Encode:
    return lambda stored: jpeg2000(stored, bitspersample=bits, **options)


def _htj2k(stored: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.htj2k_encode(stored, reversible=True))


LOSSLESS: list[tuple[str, Encode | None]] = [
    (uids.ImplicitVRLittleEndian, None),
    (uids.ExplicitVRBigEndian, None),
    (uids.RLELossless, run_lengths),
    (uids.JPEGLossless, lossless_jpeg(6, 16)),
    (uids.JPEGLosslessSV1, lossless_jpeg(1, 16)),
    (uids.JPEGLSLossless, imagecodecs.jpegls_encode),
    (uids.JPEG2000Lossless, _j2k()),
    (uids.JPEG2000, _j2k()),  # which may be lossless too
    (uids.HTJ2KLossless, _htj2k),
    (uids.HTJ2KLosslessRPCL, _htj2k),
    (uids.HTJ2K, _htj2k),
]


def _noise() -> NDArray[np.uint16]:
    return (np.random.default_rng(0).integers(0, 16, breast().shape) << 12).astype(np.uint16)


def _overlay(bit: int) -> NDArray[np.uint16]:
    drawn = np.zeros_like(breast())
    drawn[20:40, 10:60] = 1 << bit
    return drawn


@dataclass(frozen=True)
class Words:
    """Words and what is said of them; the breast is to be shown."""

    name: str
    words: NDArray[Any]
    warnings: tuple[str, ...] = (LEFT_OUT,)
    high_bit: int = 11


UNSIGNED = (
    Words("nothing else", breast(), ()),
    Words("garbage above", breast() | _noise()),
    Words("an overlay just above", breast() | _overlay(12)),
    Words("an overlay in the highest bit", breast() | _overlay(15)),
    Words("values at the top", breast() << 4, (), high_bit=15),
    Words("values at the top, an overlay below", breast() << 4 | _overlay(0), high_bit=15),
    Words("values in the middle, something on both sides", breast() << 2 | _overlay(0) | _overlay(15), high_bit=13),
)


@pytest.mark.parametrize(("syntax", "encode"), LOSSLESS, ids=[uids.UID(row[0]).name for row in LOSSLESS])
@pytest.mark.parametrize("case", UNSIGNED, ids=lambda case: case.name)
def test_only_the_bits_stored_are_pixels(tmp_path: Path, case: Words, syntax: str, encode: Encode | None) -> None:
    words = np.ascontiguousarray(case.words, dtype=np.uint16)
    path = save(
        tmp_path / "a.dcm",
        mammogram(words, HighBit=case.high_bit),
        syntax,
        None if encode is None else [bytes(encode(words))],
    )
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == case.warnings


SIGNED = (breast().astype(np.int16) - 2048).astype(np.int16).view(np.uint16)


@pytest.mark.parametrize(("syntax", "encode"), LOSSLESS[:8], ids=[uids.UID(row[0]).name for row in LOSSLESS[:8]])
@pytest.mark.parametrize(
    ("words", "warnings"),
    [
        (SIGNED, ()),
        (SIGNED & 0xFFF, ()),  # the sign does not fill the word
        (SIGNED ^ _overlay(15), (LEFT_OUT,)),
        ((SIGNED & 0xFFF) | _noise(), (LEFT_OUT,)),
    ],
    ids=["filled by the sign", "not filled", "an overlay", "garbage"],
)
def test_signed_values_are_those_of_the_bits_stored(
    tmp_path: Path, words: NDArray[np.uint16], warnings: tuple[str, ...], syntax: str, encode: Encode | None
) -> None:
    dataset = mammogram(words, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096)
    path = save(tmp_path / "a.dcm", dataset, syntax, None if encode is None else [bytes(encode(words))])
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == warnings


def _near_lossless(stored: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.jpegls_encode(stored, level=3))


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uids.JPEG2000, _j2k(level=70, reversible=False)),
        (uids.JPEG2000Lossless, _j2k(level=70, reversible=False)),  # which it is not
        (uids.JPEGLSNearLossless, _near_lossless),
        (uids.JPEGLSLossless, _near_lossless),
    ],
)
def test_what_a_lossy_codec_adds_to_white_is_white(tmp_path: Path, syntax: str, encode: Encode) -> None:
    white = breast().copy()
    white[:30] = 4095
    white[0, 0] = 4120
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(white), syntax, [encode(white)]))
    assert int(read.pixels[:28].min()) > 64_000
    assert read.warnings == (LOSSY,)
    read = read_mammogram(
        save(tmp_path / "b.dcm", mammogram(), syntax, [encode((breast() | _overlay(15)).astype(np.uint16))])
    )
    assert read.warnings == (LOST, LOSSY)
