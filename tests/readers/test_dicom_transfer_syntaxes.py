"""Every transfer syntax shows the same mammogram, and what cannot be decoded is named."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom.uid as uids
import pytest
from dicom_files import (
    Encode,
    breast,
    jpeg2000,
    lossless_jpeg,
    lossy_jpeg,
    mammogram,
    run_lengths,
    save,
    shown,
)
from numpy.typing import NDArray
from PIL import Image

from mammoscope.errors import InputError
from mammoscope.readers import Limits, read_mammogram

ONE_LEVEL = 65535 / 4095

NATIVE = [uids.ImplicitVRLittleEndian, uids.ExplicitVRLittleEndian, uids.ExplicitVRBigEndian]
COMPRESSED: list[tuple[str, Encode, int]] = [
    (uids.RLELossless, run_lengths, 0),
    (uids.JPEGExtended12Bit, lossy_jpeg(12), 12),
    (uids.JPEGLossless, lossless_jpeg(6), 0),
    (uids.JPEGLosslessSV1, lossless_jpeg(1), 0),
    (uids.JPEGLSLossless, imagecodecs.jpegls_encode, 0),
    (uids.JPEGLSNearLossless, lambda stored: imagecodecs.jpegls_encode(stored, level=3), 3),
    (uids.JPEG2000Lossless, jpeg2000, 0),
    (uids.JPEG2000, lambda stored: jpeg2000(stored, level=70, reversible=False), 12),
    (uids.HTJ2KLossless, lambda stored: imagecodecs.htj2k_encode(stored, reversible=True), 0),
    (uids.HTJ2KLosslessRPCL, lambda stored: imagecodecs.htj2k_encode(stored, reversible=True), 0),
    (uids.HTJ2K, lambda stored: imagecodecs.htj2k_encode(stored, 0.00005, reversible=False), 12),
]


def largest_difference(pixels: NDArray[np.uint16], expected: NDArray[np.uint16]) -> float:
    """In levels of a 12-bit image."""
    return float(np.abs(pixels.astype(int) - expected.astype(int)).max() / ONE_LEVEL)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_uncompressed_files_show_the_stored_values(tmp_path: Path, syntax: uids.UID, bits: int) -> None:
    stored = breast(bits).astype(np.uint8 if bits == 8 else np.uint16)
    white = (1 << bits) - 1
    dataset = mammogram(stored, BitsStored=bits, HighBit=bits - 1, WindowCenter=(white + 1) // 2, WindowWidth=white + 1)
    read = read_mammogram(save(tmp_path / "a.dcm", dataset, syntax))
    np.testing.assert_array_equal(read.pixels, shown(stored, white))
    assert read.bits == bits
    assert read.warnings == ()


@pytest.mark.parametrize(
    ("syntax", "encode", "tolerance"), COMPRESSED, ids=[uids.UID(row[0]).name for row in COMPRESSED]
)
def test_compressed_files_show_the_same(tmp_path: Path, syntax: str, encode: Encode, tolerance: int) -> None:
    path = save(tmp_path / "a.dcm", mammogram(), syntax, [encode(breast())])
    read = read_mammogram(path)
    # Half a level is lost where display values are rounded.
    assert largest_difference(read.pixels, shown(breast())) <= (tolerance + 0.5 if tolerance else 0)


def test_baseline_jpeg_shows_the_same(tmp_path: Path) -> None:
    stored = breast(8).astype(np.uint8)
    path = save(tmp_path / "a.dcm", mammogram(stored), uids.JPEGBaseline8Bit, [lossy_jpeg(8)(stored)])
    read = read_mammogram(path)
    assert np.abs(read.pixels.astype(int) - shown(stored, 255)).max() <= 4 * 257
    assert read.warnings == ("The image was compressed with loss; fine detail may be missing.",)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uids.ExplicitVRLittleEndian, None),
        (uids.ExplicitVRBigEndian, None),
        (uids.RLELossless, lambda stored: run_lengths(stored.view(np.uint16))),
        (uids.JPEG2000Lossless, jpeg2000),
        (uids.HTJ2KLossless, lambda stored: imagecodecs.htj2k_encode(stored, reversible=True)),
        # JPEG and JPEG-LS know no sign: the bits of two's complement are stored.
        (uids.JPEGLosslessSV1, lambda stored: lossless_jpeg(1)(stored.view(np.uint16) & 0xFFF)),
        (uids.JPEGLSLossless, lambda stored: imagecodecs.jpegls_encode(stored.view(np.uint16) & 0xFFF)),
    ],
)
def test_signed_values_show_the_same(tmp_path: Path, syntax: uids.UID, encode: Encode | None) -> None:
    stored = (breast().astype(np.int16) - 2048).astype(np.int16)
    dataset = mammogram(stored, WindowCenter=0, WindowWidth=4096)
    path = save(tmp_path / "a.dcm", dataset, syntax, None if encode is None else [encode(stored)])
    np.testing.assert_array_equal(read_mammogram(path).pixels, shown(breast()))


def test_fragments_of_the_frame_are_joined(tmp_path: Path) -> None:
    codestream = jpeg2000(breast())
    half = len(codestream) // 4 * 2
    path = save(tmp_path / "a.dcm", mammogram(), uids.JPEG2000Lossless, [codestream[:half], codestream[half:]])
    np.testing.assert_array_equal(read_mammogram(path).pixels, shown(breast()))


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_a_data_set_without_preamble_is_read(tmp_path: Path, syntax: uids.UID) -> None:
    whole = save(tmp_path / "a.dcm", mammogram(), syntax).read_bytes()
    meta_bytes = int.from_bytes(whole[140:144], "little")
    bare = tmp_path / "bare"
    bare.write_bytes(whole[144 + meta_bytes :])
    np.testing.assert_array_equal(read_mammogram(bare).pixels, shown(breast()))
    bare.write_bytes(whole[132:])
    np.testing.assert_array_equal(read_mammogram(bare).pixels, shown(breast()))


def test_overlay_and_unused_bits_are_left_out(tmp_path: Path) -> None:
    stored = breast().copy()
    stored[:10] |= 0x8000
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(stored)))
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == (
        "Pixels hold more than the 12 bits that BitsStored (0028,0101) says; the other bits are left out.",
    )


def test_the_high_bit_says_where_values_lie(tmp_path: Path) -> None:
    stored = (breast() << 4).astype(np.uint16)
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(stored, HighBit=15)))
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == ()


@pytest.mark.parametrize(
    ("syntax", "planar", "encode"),
    [
        (uids.ExplicitVRLittleEndian, 0, None),
        (uids.ExplicitVRLittleEndian, 1, None),
        (uids.RLELossless, 1, run_lengths),
        (uids.JPEGBaseline8Bit, 0, lambda stored: imagecodecs.jpeg8_encode(stored, 98)),
        (uids.JPEG2000Lossless, 0, lambda stored: jpeg2000(stored, bitspersample=8)),
    ],
)
def test_grey_stored_as_colours_is_read(tmp_path: Path, syntax: str, planar: int, encode: Encode | None) -> None:
    grey = breast(8).astype(np.uint8)
    stored = np.dstack([grey] * 3)
    native = np.ascontiguousarray(stored.transpose(2, 0, 1)) if planar else stored
    photometric = "YBR_FULL_422" if syntax == uids.JPEGBaseline8Bit else "RGB"
    dataset = mammogram(
        grey,
        SamplesPerPixel=3,
        PlanarConfiguration=planar,
        PhotometricInterpretation=photometric,
        PixelData=native.tobytes(),
    )
    read = read_mammogram(save(tmp_path / "a.dcm", dataset, syntax, None if encode is None else [encode(stored)]))
    assert np.abs(read.pixels.astype(int) - shown(grey, 255)).max() <= (4 * 257 if syntax.endswith(".50") else 0)
    assert "The file stores colours, but all its pixels are grey; it is read as a grey image." in read.warnings


def test_a_colour_image_is_refused(tmp_path: Path) -> None:
    grey = breast(8).astype(np.uint8)
    colours = np.dstack([grey, grey, 255 - grey])
    dataset = mammogram(
        grey, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB", PixelData=colours.tobytes()
    )
    with pytest.raises(InputError, match=r"is a colour image \(PhotometricInterpretation \(0028,0004\) is 'RGB'\)"):
        read_mammogram(save(tmp_path / "a.dcm", dataset))


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (uids.DeflatedExplicitVRLittleEndian, "Deflated Explicit VR Little Endian"),
        (uids.MPEG2MPML, "MPEG2 Main Profile / Main Level"),
        (uids.MPEG4HP41, "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
)
def test_other_syntaxes_are_refused_by_name(tmp_path: Path, syntax: str, name: str) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    whole = path.read_bytes()
    old = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    assert old in whole
    path.write_bytes(whole.replace(old, b"\x02\x00\x10\x00UI" + len(new).to_bytes(2, "little") + new))
    with pytest.raises(InputError) as caught:
        read_mammogram(path)
    assert caught.value.problem.startswith("Transfer Syntax UID (0002,0010) is '")
    assert name in caught.value.problem
    assert caught.value.problem.endswith("which is not supported")


def test_a_compressed_image_larger_than_its_header_says_is_refused_undecoded(tmp_path: Path) -> None:
    bomb = bytearray(jpeg2000(breast()))
    bomb[8:16] = (60_000).to_bytes(4, "big") * 2  # the codestream's own width and height
    path = save(tmp_path / "a.dcm", mammogram(), uids.JPEG2000Lossless, [bytes(bomb)])
    with pytest.raises(InputError, match="its compressed image has 60000 x 60000 pixels of 1 samples, the header says"):
        read_mammogram(path)


@pytest.mark.parametrize(("syntax", "encode"), [row[:2] for row in COMPRESSED], ids=[row[0] for row in COMPRESSED])
def test_a_compressed_image_that_ends_early_is_refused(tmp_path: Path, syntax: str, encode: Encode) -> None:
    codestream = encode(breast())
    # The file itself is whole: only the codestream lacks its second half.
    path = save(tmp_path / "a.dcm", mammogram(), syntax, [codestream[: len(codestream) // 4 * 2]])
    with pytest.raises(InputError, match=r"compressed image|RLE pixel data"):
        read_mammogram(path)


def test_a_tiled_jpeg_2000_image_that_lacks_a_tile_is_refused(tmp_path: Path) -> None:
    packed, stored = BytesIO(), breast(8).astype(np.uint8)
    Image.fromarray(stored).save(packed, "JPEG2000", tile_size=(32, 32), irreversible=False, no_jp2=True)
    codestream = packed.getvalue()
    path = save(tmp_path / "a.dcm", mammogram(stored), uids.JPEG2000Lossless, [codestream])
    np.testing.assert_array_equal(read_mammogram(path).pixels, shown(stored, 255))
    # The decoder would leave the tile black; the codestream has its end.
    last_tile = codestream.rindex(b"\xff\x90\0\x0a")
    path = save(tmp_path / "a.dcm", mammogram(stored), uids.JPEG2000Lossless, [codestream[:last_tile] + b"\xff\xd9"])
    with pytest.raises(InputError, match="is cut off: a part of its compressed image is missing"):
        read_mammogram(path)


def test_a_run_length_bomb_is_refused(tmp_path: Path) -> None:
    header = np.array([2, 64, 64 + 20_000] + [0] * 13, dtype="<u4").tobytes()
    runs = b"\x81\x00" * 20_000  # 128 zeros each
    path = save(tmp_path / "a.dcm", mammogram(), uids.RLELossless, [header + runs])
    with pytest.raises(InputError, match="RLE pixel data"):
        read_mammogram(path)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    for syntax, compressed in ((uids.ExplicitVRLittleEndian, None), (uids.JPEG2000Lossless, [jpeg2000(breast())])):
        path = save(tmp_path / "a.dcm", mammogram(), syntax, compressed)
        path.write_bytes(path.read_bytes()[:-600])
        with pytest.raises(InputError, match="is cut off: "):
            read_mammogram(path)


def test_pixel_data_that_does_not_fit_its_syntax_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    whole = path.read_bytes()
    wrong = uids.RLELossless.encode() + b"\0" * 8
    path.write_bytes(whole.replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x14\x00" + wrong[:20].ljust(20, b"\0")))
    with pytest.raises(InputError, match="its pixel data is not encapsulated, which does not fit"):
        read_mammogram(path)


def test_limits_are_those_of_the_caller(tmp_path: Path) -> None:
    path = save(tmp_path / "a.dcm", mammogram())
    with pytest.raises(InputError, match=r"Rows \(0028,0010\) is 96, it must be in the range \(64, 90\)"):
        read_mammogram(path, Limits(max_side=90))
    with pytest.raises(InputError, match=r"has 80 x 96 pixels, more than 0\.005 million"):
        read_mammogram(path, Limits(max_pixels=5000))
