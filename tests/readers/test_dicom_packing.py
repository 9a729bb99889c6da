"""Compressed frames that are packed wrongly are read, with a warning, and never with pixels missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom.uid as uids
import pytest
from dicom_files import Encode, breast, jpeg2000, lossless_jpeg, lossy_jpeg, mammogram, run_lengths, save, shown

from mammoscope.deidentify import deidentify_files
from mammoscope.errors import InputError
from mammoscope.readers import read_mammogram
from mammoscope.readers.dicom.codestreams import read_codestream_header

END_OF_ITEMS = b"\xfe\xff\xdd\xe0\0\0\0\0"
NOT_MARKED = "The end of the compressed pixel data is not marked (no Sequence Delimitation Item)."
NO_TABLE = "The compressed pixel data has no offset table, not even an empty one."
NO_ITEMS = "The compressed pixel data is not packed in items."
STATED = "The pixel data has a stated length, unlike compressed pixel data; its first bytes say what it is."
NO_END = "The compressed image lacks its end marker; all its pixels are there."
SHORT = "The last byte of the compressed pixel data is missing."
LOSSY = "The image was compressed with loss; fine detail may be missing."


def near_lossless(stored: Any) -> bytes:
    return bytes(imagecodecs.jpegls_encode(stored, level=3))


def htj2k(stored: Any) -> bytes:
    return bytes(imagecodecs.htj2k_encode(stored, reversible=True))


PACKED: dict[str, Encode] = {
    uids.RLELossless: run_lengths,
    uids.JPEGLosslessSV1: lossless_jpeg(1),
    uids.JPEGLSLossless: imagecodecs.jpegls_encode,
    uids.JPEG2000Lossless: jpeg2000,
    uids.HTJ2KLossless: htj2k,
}


def item(data: bytes) -> bytes:
    return b"\xfe\xff\0\xe0" + len(data).to_bytes(4, "little") + data


def even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def pixel_data(value: bytes, length: int | None = None) -> bytes:
    return b"\xe0\x7f\x10\0OB\0\0" + (0xFFFFFFFF if length is None else length).to_bytes(4, "little") + value


def written(path: Path, syntax: str, element: bytes) -> Path:
    """A file with these bytes as its last element."""
    save(path, mammogram(), syntax if uids.UID(syntax).is_encapsulated else uids.RLELossless, [b"\0\0"])
    whole = path.read_bytes()
    whole = whole[: whole.rindex(b"\xe0\x7f\x10\0OB")]
    if not uids.UID(syntax).is_encapsulated:
        old, new = uids.RLELossless.encode() + b"\0" * (len(uids.RLELossless) % 2), syntax.encode()
        new += b"\0" * (len(new) % 2)
        whole = whole.replace(
            b"UI" + len(old).to_bytes(2, "little") + old, b"UI" + len(new).to_bytes(2, "little") + new
        )
    path.write_bytes(whole + element)
    return path


@dataclass(frozen=True)
class Packing:
    """A way to pack a frame, and what is said of it."""

    name: str
    element: Callable[[bytes], bytes]
    warnings: tuple[str, ...]


def _zeros(frame: bytes) -> bytes:
    return pixel_data(item(b"") + item(even(frame)) + bytes(8))


PACKINGS = (
    Packing("as it should be", lambda frame: pixel_data(item(b"") + item(even(frame)) + END_OF_ITEMS), ()),
    Packing("zeros at the end", _zeros, (NOT_MARKED,)),
    Packing("a few zeros", lambda frame: pixel_data(item(b"") + item(even(frame)) + bytes(3)), (NOT_MARKED,)),
    Packing("nothing at the end", lambda frame: pixel_data(item(b"") + item(even(frame))), (NOT_MARKED,)),
    Packing("no offset table", lambda frame: pixel_data(item(even(frame)) + END_OF_ITEMS), (NO_TABLE,)),
    Packing(
        "items of a stated length",
        lambda frame: pixel_data(
            item(b"") + item(even(frame)) + END_OF_ITEMS, len(item(b"") + item(even(frame)) + END_OF_ITEMS)
        ),
        (STATED,),
    ),
    Packing(
        "items of a stated length, no end",
        lambda frame: pixel_data(item(b"") + item(even(frame)), len(item(b"") + item(even(frame)))),
        (STATED,),
    ),
    Packing("bare", lambda frame: pixel_data(even(frame), len(even(frame))), (STATED, NO_ITEMS)),
    Packing("bare, of no stated length", lambda frame: pixel_data(even(frame)), (NO_ITEMS,)),
)


@pytest.mark.parametrize("syntax", PACKED, ids=lambda syntax: uids.UID(syntax).name)
@pytest.mark.parametrize("packing", PACKINGS, ids=lambda packing: packing.name)
def test_a_frame_is_found_however_it_is_packed(tmp_path: Path, packing: Packing, syntax: str) -> None:
    path = written(tmp_path / "a.dcm", syntax, packing.element(bytes(PACKED[syntax](breast()))))
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == packing.warnings
    (done,) = deidentify_files([path], tmp_path / "out")
    again = read_mammogram(Path(str(done.written)))
    np.testing.assert_array_equal(again.pixels, shown(breast()))
    assert again.warnings == ()


ENDED: list[tuple[str, Encode]] = [
    (uids.JPEGBaseline8Bit, lossy_jpeg(8)),
    (uids.JPEGExtended12Bit, lossy_jpeg(12)),
    (uids.JPEGLossless, lossless_jpeg(6)),
    (uids.JPEGLosslessSV1, lossless_jpeg(1)),
    (uids.JPEGLSLossless, imagecodecs.jpegls_encode),
    (uids.JPEGLSNearLossless, near_lossless),
    (uids.JPEG2000Lossless, jpeg2000),
    (uids.HTJ2KLossless, htj2k),
]


@pytest.mark.parametrize(("syntax", "encode"), ENDED, ids=[uids.UID(row[0]).name for row in ENDED])
def test_the_last_end_marker_may_be_missing_but_no_pixel(tmp_path: Path, syntax: str, encode: Encode) -> None:
    stored = breast(8).astype(np.uint8) if syntax == uids.JPEGBaseline8Bit else breast()
    whole = bytes(encode(stored))
    frame = whole[: whole.rindex(b"\xff\xd9")]
    expected = read_mammogram(save(tmp_path / "a.dcm", mammogram(stored), syntax, [whole]))
    path = save(tmp_path / "b.dcm", mammogram(stored), syntax, [frame])
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, expected.pixels)
    assert read.warnings == (NO_END, *expected.warnings)
    (done,) = deidentify_files([path], tmp_path / "out")
    np.testing.assert_array_equal(read_mammogram(Path(str(done.written))).pixels, expected.pixels)
    for missing in (3, 20, len(frame) // 2):
        cut = save(tmp_path / "c.dcm", mammogram(stored), syntax, [frame[:-missing]])
        with pytest.raises(InputError, match=r"is cut off|cannot be decoded"):
            read_mammogram(cut)
        (refused,) = deidentify_files([cut], tmp_path / "cut")
        assert refused.error is not None


def test_a_progressive_jpeg_without_its_end_is_refused(tmp_path: Path) -> None:
    stored = breast(8).astype(np.uint8)
    whole = imagecodecs.jpeg8_encode(stored, 98)
    progressive = whole.replace(b"\xff\xc0", b"\xff\xc2")
    path = save(tmp_path / "a.dcm", mammogram(stored), uids.JPEGBaseline8Bit, [progressive[:-2]])
    with pytest.raises(InputError, match="is cut off"):
        read_mammogram(path)


def test_a_missing_byte_of_padding_is_no_cut(tmp_path: Path) -> None:
    frame = jpeg2000(breast())
    frame += b"\0" * (1 - len(frame) % 2)
    path = written(tmp_path / "a.dcm", uids.JPEG2000Lossless, pixel_data(item(b"") + item(frame + b"\0"))[:-1])
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == (SHORT, NOT_MARKED)


@pytest.mark.parametrize(
    ("syntax", "encode", "found"),
    [
        (uids.JPEGLosslessSV1, jpeg2000, "JPEG 2000"),
        (uids.JPEG2000Lossless, lossless_jpeg(1), "JPEG"),
        (uids.JPEGLossless, imagecodecs.jpegls_encode, "JPEG-LS"),
        (uids.JPEGLSLossless, lossless_jpeg(1), "JPEG"),
        (uids.RLELossless, jpeg2000, "JPEG 2000"),
        (uids.JPEG2000, run_lengths, "RLE"),
        (uids.ExplicitVRLittleEndian, jpeg2000, "JPEG 2000"),
        (uids.ExplicitVRLittleEndian, run_lengths, "RLE"),
    ],
)
def test_a_frame_is_what_its_bytes_say(tmp_path: Path, syntax: uids.UID, encode: Encode, found: str) -> None:
    frame = even(bytes(encode(breast())))
    path = written(tmp_path / "a.dcm", syntax, pixel_data(item(b"") + item(frame) + END_OF_ITEMS))
    read = read_mammogram(path)
    np.testing.assert_array_equal(read.pixels, shown(breast()))
    assert read.warnings == (
        f"The transfer syntax is '{syntax.name}', but the pixel data is {found}, and is read as that.",
    )
    (done,) = deidentify_files([path], tmp_path / "out")
    assert read_mammogram(Path(str(done.written))).warnings == ()


@pytest.mark.parametrize(
    ("syntax", "encode", "is_lossy"),
    [
        (uids.JPEGLossless, lossy_jpeg(12), True),
        (uids.JPEGLosslessSV1, lossless_jpeg(1), False),
        (uids.JPEGLSLossless, near_lossless, True),
        (uids.JPEGLSLossless, imagecodecs.jpegls_encode, False),
        (uids.JPEGLSNearLossless, imagecodecs.jpegls_encode, True),  # as its syntax says
        (uids.JPEG2000Lossless, lambda stored: jpeg2000(stored, level=70, reversible=False), True),
        (uids.JPEG2000, lambda stored: jpeg2000(stored, level=70, reversible=False), True),
        (uids.JPEG2000, jpeg2000, False),
        (uids.HTJ2KLossless, lambda stored: imagecodecs.htj2k_encode(stored, 0.00005, reversible=False), True),
        (uids.HTJ2K, htj2k, False),
    ],
)
def test_what_was_lost_is_said_whatever_the_syntax(tmp_path: Path, syntax: str, encode: Encode, is_lossy: bool) -> None:
    read = read_mammogram(save(tmp_path / "a.dcm", mammogram(), syntax, [bytes(encode(breast()))]))
    assert read.warnings == ((LOSSY,) if is_lossy else ())


def test_the_pieces_of_a_frame_may_lack_their_end_too(tmp_path: Path) -> None:
    frame = jpeg2000(breast())
    half = len(frame) // 4 * 2
    value = item(b"") + item(frame[:half]) + item(even(frame[half:])) + bytes(8)
    read = read_mammogram(written(tmp_path / "a.dcm", uids.JPEG2000Lossless, pixel_data(value)))
    np.testing.assert_array_equal(read.pixels, shown(breast()))


def _cut_htj2k(missing: int, *, is_told: bool) -> bytes:
    """A codestream that lacks bytes before its end marker; its tile-part is told to be that much shorter, or not."""
    cut = bytearray(htj2k(breast()))
    del cut[-2 - missing : -2]
    length = cut.index(b"\xff\x90") + 6
    if is_told:
        told = int.from_bytes(cut[length : length + 4], "big")
        cut[length : length + 4] = (told - missing).to_bytes(4, "big")
    return bytes(cut)


def _torn_htj2k() -> bytes:
    """A codestream with zeros in the middle, which OpenJPEG refuses."""
    whole = htj2k(breast())
    for start in range(len(whole) // 4, len(whole) - 600, 97):
        torn = whole[:start] + bytes(500) + whole[start + 500 :]
        try:
            imagecodecs.jpeg2k_decode(torn)
        except imagecodecs.Jpeg2kError:
            return torn
    raise AssertionError("OpenJPEG refused none")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "frame",
    [*(_cut_htj2k(missing, is_told=told) for missing in (3, 50, 1000) for told in (False, True)), _torn_htj2k()],
)
def test_a_damaged_htj2k_image_is_refused_and_not_black_where_it_ends(tmp_path: Path, frame: bytes) -> None:
    path = save(tmp_path / "a.dcm", mammogram(breast()), uids.HTJ2KLossless, [frame])
    before = sys.unraisablehook
    with pytest.raises(InputError, match=r"cannot be decoded"):
        read_mammogram(path)
    assert sys.unraisablehook is before


@pytest.mark.parametrize(
    ("frame", "is_fast"),
    [
        (htj2k(breast()), True),
        (bytes(imagecodecs.htj2k_encode(breast(), reversible=True, tile=(64, 64))), True),
        (bytes(imagecodecs.htj2k_encode(breast().astype(np.int16), reversible=True)), True),
        (bytes(imagecodecs.htj2k_encode(breast(), 0.00005, reversible=False)), True),
        (jpeg2000(breast()), False),
        (jpeg2000(breast(), codecformat="jp2"), False),
        (bytes(imagecodecs.htj2k_encode(np.stack([breast()] * 3, axis=-1), reversible=True)), False),
        (htj2k(breast())[:-2], False),
    ],
)
def test_openjph_gets_whole_grey_htj2k_alone(frame: bytes, is_fast: bool) -> None:
    assert read_codestream_header(frame).high_throughput is is_fast
    if is_fast:
        slow, fast = imagecodecs.jpeg2k_decode(frame), imagecodecs.htj2k_decode(frame)
        assert fast.dtype == slow.dtype
        assert np.abs(fast.astype(np.int64) - slow).max() <= (1 if read_codestream_header(frame).lossy else 0)
