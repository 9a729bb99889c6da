"""PNG, JPEG, TIFF and PGM files: grey ones are read, everything else is named."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from dicom_files import breast
from numpy.typing import NDArray

from mammoscope.datasets.pixels import read_image
from mammoscope.errors import InputError
from mammoscope.readers import Limits, read_mammogram

GREY_8 = breast(8).astype(np.uint8)
GREY_16 = breast(16)
NOTHING_KNOWN = "The file does not say the laterality, view and pixel spacing; sizes in millimetres cannot be given."
COLOURS_ARE_GREY = "The file stores colours, but all its pixels are grey; it is read as a grey image."


def encoded(suffix: str, pixels: NDArray[Any], *options: int) -> bytes:
    ok, data = cv2.imencode(suffix, pixels, options)
    assert ok
    return data.tobytes()


def tiff(pixels: NDArray[Any], pages: int = 1, **tags: int) -> bytes:
    """An uncompressed little-endian TIFF file; ``tags`` replace entries of its directory."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    entries = {
        "width": (256, 4, pixels.shape[1]),
        "length": (257, 4, pixels.shape[0]),
        "bits": (258, 3, 8 * pixels.itemsize),
        "compression": (259, 3, 1),
        "photometric": (262, 3, 1),
        "offset": (273, 4, 8),
        "orientation": (274, 3, 1),
        "samples": (277, 3, channels),
        "rows_per_strip": (278, 4, pixels.shape[0]),
        "count": (279, 4, pixels.nbytes),
        "sample_format": (339, 3, 1),
    }
    directory = struct.pack("<H", len(entries))
    for name, (tag, kind, value) in entries.items():
        directory += struct.pack("<HHII", tag, kind, 1, tags.get(name, value))
    start = 8 + pixels.nbytes
    following = start + len(directory) + 4 if pages > 1 else 0
    first = directory + struct.pack("<I", following)
    more = directory + struct.pack("<I", 0) if pages > 1 else b""
    return b"II*\0" + struct.pack("<I", start) + pixels.tobytes() + first + more


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width: int, height: int) -> bytes:
    """A PNG file whose header promises a huge image."""
    ihdr = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return png((b"IHDR", ihdr), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b""))


def palette_png(grey: NDArray[np.uint8]) -> bytes:
    """A PNG file of indices into a palette of greys that runs backwards."""
    ihdr = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], 8, 3, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in 255 - grey)
    palette = np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes()
    return png((b"IHDR", ihdr), (b"PLTE", palette), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def pgm(pixels: NDArray[Any], white: int, *, text: bool = False) -> bytes:
    """A PGM file with comments where they may stand."""
    rows, columns = pixels.shape
    head = f"P{2 if text else 5}\n# a comment\n{columns} {rows}\n# another\n{white}\n".encode()
    if text:
        return head + "\n".join(" ".join(map(str, row)) for row in pixels.tolist()).encode() + b"\n"
    return head + pixels.astype(np.uint8 if white < 256 else ">u2").tobytes()


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(encoded(".jpg", GREY_8))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "file_format", "bits"),
    [
        ("a.png", encoded(".png", GREY_8), "PNG", 8),
        ("a.png", encoded(".png", GREY_16), "PNG", 16),
        ("a.png", encoded(".png", np.dstack([GREY_8] * 3)), "PNG", 8),
        ("a.png", encoded(".png", np.dstack([GREY_16] * 3 + [np.full_like(GREY_16, 65535)])), "PNG", 16),
        ("a.jpg", encoded(".jpg", GREY_8, cv2.IMWRITE_JPEG_QUALITY, 100), "JPEG", 8),
        ("a.jpg", encoded(".jpg", np.dstack([GREY_8] * 3), cv2.IMWRITE_JPEG_QUALITY, 98), "JPEG", 8),
        ("a.jpg", encoded(".jpg", GREY_8, cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 98), "JPEG", 8),
        ("a.jpg", imagecodecs.jpeg8_encode(breast(12), 98, bitspersample=12), "JPEG", 12),
        ("a.tif", encoded(".tif", GREY_8), "TIFF", 8),
        ("a.tif", encoded(".tif", GREY_16), "TIFF", 16),
        ("a.tif", imagecodecs.tiff_encode(GREY_16, compression=8), "TIFF", 16),
        ("a.tif", tiff(GREY_16), "TIFF", 16),
        ("a.tif", tiff((65535 - GREY_16).astype(np.uint16), photometric=0), "TIFF", 16),
        ("a.tif", tiff(np.dstack([GREY_8] * 3), photometric=2, bits=8), "TIFF", 8),
        ("a.png", palette_png(GREY_8), "PNG", 8),
        ("a.pgm", encoded(".pgm", GREY_8), "PGM", 8),
        ("a.pgm", encoded(".pgm", GREY_16), "PGM", 16),
        ("a.pgm", pgm(GREY_8, 255), "PGM", 8),
        ("a.pgm", pgm(GREY_8, 255, text=True), "PGM", 8),
        ("a.pgm", pgm(GREY_16, 65535, text=True), "PGM", 16),
        # What it is, not what it is called, counts.
        ("a.dcm", encoded(".png", GREY_8), "PNG", 8),
    ],
)
def test_grey_files_are_read(tmp_path: Path, name: str, data: bytes, file_format: str, bits: int) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    read = read_mammogram(path)
    expected = GREY_16 if bits == 16 else breast(bits).astype(float) * 65535 / ((1 << bits) - 1)
    assert np.abs(read.pixels - expected).max() <= (4 * 257 if file_format == "JPEG" else 0.5)
    assert (read.file_format, read.bits, read.name) == (file_format, bits, "a")
    assert (read.laterality, read.view, read.spacing, read.modality) == (None, None, None, None)
    assert read.warnings[-1] == NOTHING_KNOWN
    assert set(read.warnings) <= {NOTHING_KNOWN, COLOURS_ARE_GREY}


@pytest.mark.parametrize(("bits", "scaled"), [(12, True), (10, True), (16, False)])
def test_dark_16_bit_files_are_scaled_to_the_bits_they_use(tmp_path: Path, bits: int, scaled: bool) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png", breast(bits)))
    read = read_mammogram(path)
    assert read.pixels.max() == 65535
    said = f"The file has 16 bits a pixel but uses only {bits} of them; its values are scaled up."
    assert (said in read.warnings) == scaled


@pytest.mark.parametrize(("white", "text"), [(4095, False), (4095, True), (100, False)])
def test_white_of_a_pgm_is_what_its_header_says(tmp_path: Path, white: int, text: bool) -> None:
    levels = np.rint(GREY_16 / 65535 * white * 0.5).astype(np.int64)
    path = tmp_path / "a.pgm"
    path.write_bytes(pgm(levels, white, text=text))
    read = read_mammogram(path)
    assert np.abs(read.pixels - levels * (65535 / white)).max() <= 0.5
    assert read.warnings == (NOTHING_KNOWN,)
    # As an image of a dataset it is the same, to the precision of its bits.
    assert np.abs(read_image(path).astype(int) - read.pixels).max() <= (0 if white > 255 else 129)


def test_a_black_file_stays_black(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(".png", np.zeros((96, 80), dtype=np.uint16)))
    assert not read_mammogram(path).pixels.any()


COLOURED = np.dstack([GREY_8, GREY_8, np.roll(GREY_8, 9)])
TRANSPARENT = np.dstack([GREY_8] * 4)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (encoded(".png", COLOURED), "is a colour image, expected grey"),
        (encoded(".jpg", COLOURED), "is a colour image, expected grey"),
        (tiff(COLOURED, photometric=2, bits=8), "is a colour image, expected grey"),
        (encoded(".png", TRANSPARENT), "is partly transparent, expected an opaque image"),
        (
            encoded(".png", (GREY_8 > 99) * np.uint8(255), cv2.IMWRITE_PNG_BILEVEL, 1),
            "has 1 bits a sample, expected 8 or 16",
        ),
        (encoded(".png", GREY_8[:50]), "has 50 rows, they must be in the range (64, 20000)"),
        (png_header(30_000, 30_000), "has 30000 rows, they must be in the range (64, 20000)"),
        (png_header(19_000, 19_000), "has 19000 x 19000 pixels, more than 100 million"),
        (jpeg_of_size(60_000, 100), "has 60000 columns, they must be in the range (64, 20000)"),
        (tiff(GREY_8, width=19_000, length=19_000), "has 19000 x 19000 pixels, more than 100 million"),
        (tiff(GREY_8, pages=2), "is a TIFF file of several pages, expected one single image"),
        (
            tiff(GREY_16.astype(np.float32), sample_format=3),
            "is a TIFF file of floating-point numbers (SampleFormat 3), expected unsigned",
        ),
        (
            tiff(GREY_16.astype(np.int16), sample_format=2),
            "is a TIFF file of signed whole numbers (SampleFormat 2), expected unsigned",
        ),
        (tiff(GREY_8, photometric=3), "is a palette TIFF file (PhotometricInterpretation 3), expected grey"),
        (tiff(GREY_8, bits=12), "its TIFF data"),
        (
            png((b"IHDR", struct.pack(">IIBBBBB", 80, 96, 8, 0, 0, 0, 0)), (b"acTL", b"\0" * 8), (b"IEND", b"")),
            "is an animated PNG, expected one single image",
        ),
        (
            imagecodecs.jpeg8_encode(np.dstack([GREY_8] * 4), colorspace="CMYK", outcolorspace="CMYK"),
            "is a JPEG file of 4 components, expected 1 (grey)",
        ),
        (encoded(".png", GREY_8)[:-300], "is cut off: the end of its PNG data is missing"),
        (encoded(".png", GREY_8)[:20], "is cut off within its PNG header"),
        (encoded(".jpg", GREY_8)[:-300], "is cut off: the end of its JPEG data is missing"),
        (encoded(".jpg", GREY_8)[:100], "ends within its JPEG header"),
        (tiff(GREY_8)[:100], "is cut off within its TIFF header"),
        (tiff(GREY_8, count=10**6), "is cut off: a part of its TIFF data is missing"),
        (encoded(".jpg", GREY_8)[:4] + b"\0" * 50, "has no marker at byte 4"),
        (pgm(GREY_8, 255)[:-1], "is cut off: a part of its PGM data is missing"),
        (pgm(GREY_8, 255, text=True)[:200], "is cut off: a part of its PGM data is missing"),
        (pgm(GREY_8, 255) * 2, "is a PGM file of several images, expected one single image"),
        (b"P5 80 96\n", "has a damaged PGM header: expected width, height and largest value"),
        (b"P5 80 96 70000\n", "has a damaged PGM header: the largest value is 70000"),
        (b"P5 19000 19000 9\n", "is cut off: a part of its PGM data is missing"),
        (pgm(GREY_8, 100), "its PGM data cannot be decoded (is damaged: a sample of its PGM data is "),
        (pgm(GREY_8, 255, text=True).replace(b" 0 ", b" x "), "its PGM data cannot be decoded (is damaged: a sample"),
        (b"GIF89a" + b"\0" * 200, "is not a DICOM, PNG, JPEG, TIFF or PGM file"),
        (b"", "is empty"),
        (b"\0", "is not a DICOM, PNG, JPEG, TIFF or PGM file"),
    ],
)
def test_everything_else_is_named(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_mammogram(path)
    assert caught.value.problem.startswith(problem)


def test_a_damaged_png_is_refused(tmp_path: Path) -> None:
    data = bytearray(encoded(".png", GREY_16))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match="its PNG data cannot be decoded"):
        read_mammogram(path)


def test_a_rotated_tiff_is_taken_as_stored_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(GREY_16, orientation=3))
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, GREY_16)
    assert (
        "The file states that it is to be rotated or mirrored for display; its pixels are used as stored."
        in read.warnings
    )


@pytest.mark.parametrize(
    ("exif", "turned"),
    [
        (b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", True),
        (b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0", False),
        (b"II*\0\xff\xff\xff\xff", False),
        (b"", False),
    ],
)
def test_a_rotated_jpeg_is_taken_as_stored_and_said_so(tmp_path: Path, exif: bytes, turned: bool) -> None:
    block = b"Exif\0\0" + exif
    data = encoded(".jpg", GREY_8)
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:])
    read = read_mammogram(path)
    assert read.pixels.shape == GREY_8.shape
    assert any("is to be rotated" in warning for warning in read.warnings) == turned


@pytest.mark.parametrize("data", [encoded(".png", GREY_8), encoded(".jpg", GREY_8), tiff(GREY_8), pgm(GREY_8, 255)])
def test_every_cut_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cut"
    for length in range(1, len(data) - 2, max(1, len(data) // 40)):
        path.write_bytes(data[:length])
        with pytest.raises(InputError):
            read_mammogram(path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_mammogram(tmp_path / "absent.png")
    with pytest.raises(InputError, match="is a folder, expected a file"):
        read_mammogram(tmp_path)
    large = tmp_path / "large.png"
    large.write_bytes(b"\0" * 2_000_000)
    with pytest.raises(InputError, match="is larger than 1 MiB"):
        read_mammogram(large, Limits(file_bytes=1 << 20))
