"""Files that mean harm, made by hand, and what must be said of each. What a fuzz run found once stands here by name."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import pydicom.uid as uids
from pydicom.dataset import Dataset

from fuzz.mutations import nest_of_sequences
from fuzz.seeds import PATIENT
from fuzz.structure import Encoding
from readers.dicom_files import breast, jpeg2000, mammogram, save

_EXPLICIT, _IMPLICIT = Encoding(explicit=True, order="little"), Encoding(explicit=False, order="little")
_MODALITY = b"\x08\0\x60\0"
_PIXELS = b"\xe0\x7f\x10\0"


@dataclass(frozen=True)
class MeanFile:
    """A file.

    Attributes
    ----------
    name
        What is mean about it.
    make
        Gives its bytes.
    says
        Pattern at the start of the refusal; empty where the file is to be read.
    """

    name: str
    make: Callable[[], bytes]
    says: str = ""


def _file(syntax: str = uids.ExplicitVRLittleEndian, compressed: bytes | None = None, **changes: Any) -> bytes:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about values that it would not write
        dataset = mammogram(**{**PATIENT, **changes})
        path = save(Path(folder, "a.dcm"), dataset, syntax, None if compressed is None else [compressed])
        return path.read_bytes()


def _before(marker: bytes, inserted: bytes, whole: bytes) -> bytes:
    place = whole.index(marker, 132)
    return whole[:place] + inserted + whole[place:]


def _replaced(old: bytes, new: bytes, whole: bytes) -> bytes:
    assert whole.count(old) == 1
    return whole.replace(old, new)


def _nest(encoding: Encoding, *, known: bool, closed: bool = True, tag: int = 0x00082218) -> bytes:
    syntax = uids.ExplicitVRLittleEndian if encoding.explicit else uids.ImplicitVRLittleEndian
    nest = nest_of_sequences(encoding, tag, 10_000, known=known, closed=closed)
    return _before(_MODALITY, nest, _file(syntax))


def _nest_behind_a_known_length() -> bytes:
    """The nest is only met when the value of the sequence is asked for."""
    nest = nest_of_sequences(_EXPLICIT, 0x00082218, 10_000, known=False, closed=True)
    item = _EXPLICIT.header(0xFFFEE000, b"", len(nest)) + nest
    return _before(_PIXELS, _EXPLICIT.header(0x00540220, b"SQ", len(item)) + item, _file())


def _nest_of_unknown_kind() -> bytes:
    """PS3.5 6.2.2 has UN of undefined length hold a sequence in implicit VR."""
    nest = nest_of_sequences(_IMPLICIT, 0x00082218, 10_000, known=False, closed=True)
    opened = b"\x09\0\x10\x10UN\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    return _before(b"\x18\0\x64\x11", opened + nest + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0", _file())


def _stretched_codestream(syntax: str, stream: bytes, marker: bytes, at: int, size: bytes, side: int = 65_535) -> bytes:
    spoiled = bytearray(stream)
    place = spoiled.index(marker) + at
    spoiled[place : place + len(size)] = size
    return _file(syntax, bytes(spoiled), Rows=side, Columns=side)


def _decoy_of_jpeg_2000() -> bytes:
    """A JP2 file whose first box holds a small image, all of it; the image that is decoded is a large one."""
    small, large = jpeg2000(breast()), jpeg2000(np.zeros((2000, 2000), np.uint16), codecformat="jp2")
    box = struct.pack(">I4s16s", 24 + len(small), b"uuid", b"\0" * 16) + small
    place = large.index(b"jp2h") - 4
    return _file(uids.JPEG2000Lossless, large[:place] + box + large[place:])


def _two_frame_headers() -> bytes:
    """A JPEG stream whose second frame header is the one that fits; libjpeg takes the first, a large image."""
    stream = bytes(imagecodecs.jpeg8_encode(breast(8).astype(np.uint8), 90))
    place = stream.index(b"\xff\xc0")
    frame = stream[place : place + 2 + int.from_bytes(stream[place + 2 : place + 4], "big")]
    large = frame[:5] + struct.pack(">HH", 65_000, 65_000) + frame[9:]
    stored = breast(8).astype(np.uint8)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": stored.tobytes()}
    return _file(uids.JPEGBaseline8Bit, stream[:place] + large + stream[place:], **eight)


def _png(width: int, height: int, pixels: bytes, extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _png_with_inflating_profile() -> bytes:
    body = b"profile\0\0" + zlib.compress(b"\0" * 50_000_000, 1)
    profile = struct.pack(">I", len(body)) + b"iCCP" + body + struct.pack(">I", zlib.crc32(b"iCCP" + body))
    return _png(64, 64, zlib.compress(b"\0" * 65 * 64), profile)


def _png_with_a_wrong_checksum() -> bytes:
    """Its message once held what had become of libpng's."""
    sound = _png(64, 64, zlib.compress(b"\0" * 65 * 64))
    return sound[:-20] + bytes([sound[-20] ^ 1]) + sound[-19:]


def _big_tiff(*entries: tuple[int, int, int, int], directory: int = 16) -> bytes:
    tags = b"".join(struct.pack("<HHQQ", *entry) for entry in entries)
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", directory, len(entries)) + tags + b"\0" * 200


def _tiff_of_odd_bits() -> bytes:
    """Its message once listed the bits of every sample."""
    tags = ((256, 3, 1, 80), (257, 3, 1, 96), (258, 3, 80, 200), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 64))
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + directory + b"\0" * 200 + bytes(range(200))


def _zip_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", b"\0" * 50_000_000)
    return packed.getvalue()


def _deflated() -> bytes:
    head, body = _file().split(b"\x08\0\x16\0", 1)
    named = b"UI\x16\x001.2.840.10008.1.2.1.99"
    head = _replaced(b"UI\x14\x001.2.840.10008.1.2.1\0", named, head)
    return head + zlib.compress(b"\x08\0\x16\0" + body + b"\0" * 50_000_000, 1, wbits=-15)


def _dicomdir(file_id: bytes) -> bytes:
    record = Dataset()
    record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", "PLACEHOLDER_PATH"
    changes = {"SOPClassUID": uids.MediaStorageDirectoryStorage, "Modality": None, "DirectoryRecordSequence": [record]}
    return _file(**changes).replace(b"PLACEHOLDER_PATH", file_id.ljust(16))


def _text(keyword: str, value: bytes) -> bytes:
    """A file with these bytes as a text, whatever its value representation allows."""
    marker = "PLACEHOLDER"
    written = _file(**{keyword: marker})
    place = written.rindex(marker.encode())
    header, old = place - 2, int.from_bytes(written[place - 2 : place], "little")
    value += b" " * (len(value) % 2)
    return written[:header] + struct.pack("<H", len(value)) + value + written[place + old :]


def _table(entries: bytes, vr: bytes) -> bytes:
    item = (
        b"\x28\0\x02\x30US\x06\0\x01\0\0\0\x0c\0" + b"\x28\0\x06\x30" + vr + struct.pack("<H", len(entries)) + entries
    )
    sequence = (
        b"\x28\0\x10\x30SQ\0\0" + struct.pack("<I", len(item) + 8) + b"\xfe\xff\0\xe0" + struct.pack("<I", len(item))
    )
    return _before(_PIXELS, sequence + item, _file())


def _empty_fragments() -> bytes:
    whole = _file(uids.JPEG2000Lossless, jpeg2000(breast()))
    start = whole.index(_PIXELS, 132) + 12
    return whole[:start] + b"\xfe\xff\0\xe0\0\0\0\0" * 500_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"


def _polyglot(start: bytes) -> bytes:
    return start.ljust(128, b"\0") + _file()[128:]


_NO_END = "its DICOM header cannot be read: sequences within sequences without end"
_TOO_LARGE = r"Rows \(0028,0010\) is 65535, it must be in the range"
_UNDECODABLE = "its compressed image (cannot be decoded|decodes to)"

MEAN_FILES: tuple[MeanFile, ...] = (
    MeanFile("nothing", lambda: b"", "is empty"),
    MeanFile("nothing but zeros", lambda: b"\0" * 4096, "is not a DICOM, PNG, JPEG, TIFF or PGM file"),
    MeanFile("nothing but DICM", lambda: b"\0" * 128 + b"DICM", "its DICOM header is empty or cut off"),
    # Sequences within sequences.
    MeanFile("10,000 sequences, lengths known", partial(_nest, _EXPLICIT, known=True)),
    MeanFile("10,000 sequences, lengths undefined", partial(_nest, _EXPLICIT, known=False), _NO_END),
    MeanFile("10,000 sequences, never closed", partial(_nest, _EXPLICIT, known=False, closed=False), _NO_END),
    MeanFile("10,000 sequences, implicit", partial(_nest, _IMPLICIT, known=False), _NO_END),
    MeanFile("10,000 sequences, implicit, lengths known", partial(_nest, _IMPLICIT, known=True)),
    MeanFile("10,000 sequences of a kind unknown", _nest_of_unknown_kind, _NO_END),
    MeanFile("10,000 sequences in a view", _nest_behind_a_known_length),
    # Sizes that lie, and sizes that are too large.
    MeanFile("65,535 x 65,535 pixels", partial(_file, Rows=65_535, Columns=65_535), _TOO_LARGE),
    MeanFile(
        "100 million pixels of nothing", partial(_file, Rows=10_000, Columns=10_000), "is cut off: its pixel data has"
    ),
    MeanFile(
        "65,535 x 65,535 pixels of JPEG-LS",
        lambda: _stretched_codestream(
            uids.JPEGLSLossless, imagecodecs.jpegls_encode(breast()), b"\xff\xf7", 5, b"\xff" * 4
        ),
        _TOO_LARGE,
    ),
    MeanFile(
        "100 million pixels of JPEG 2000",
        lambda: _stretched_codestream(
            uids.JPEG2000Lossless, jpeg2000(breast()), b"\xff\x51", 6, struct.pack(">II", 10_000, 10_000), 10_000
        ),
        "is cut off: a part of its compressed image is missing",
    ),
    MeanFile(
        "100 million pixels of JPEG-LS",
        lambda: _stretched_codestream(
            uids.JPEGLSLossless,
            imagecodecs.jpegls_encode(breast()),
            b"\xff\xf7",
            5,
            struct.pack(">HH", 10_000, 10_000),
            10_000,
        ),
        _UNDECODABLE,
    ),
    MeanFile(
        "a small JPEG 2000 image before a large one", _decoy_of_jpeg_2000, r"its compressed image decodes to \(2000"
    ),
    MeanFile("two JPEG frame headers", _two_frame_headers, _UNDECODABLE),
    MeanFile("half a million empty fragments", _empty_fragments, r"its PixelData \(7FE0,0010\) is empty"),
    MeanFile(
        "an element as long as four gigabytes",
        lambda: _before(_MODALITY, b"\x08\0\x50\0UN\0\0\xfe\xff\xff\xff", _file()),
        r"Rows \(0028,0010\) is missing",
    ),
    MeanFile("a hundred thousand elements", lambda: _before(_PIXELS, b"\x29\0\x10\x10SH\0\0" * 100_000, _file())),
    # What inflates.
    MeanFile("a deflated data set of 50 MB", _deflated, r"Transfer Syntax UID \(0002,0010\) is 'Deflated"),
    MeanFile("a ZIP archive of 50 MB", _zip_bomb, "is not a DICOM, PNG, JPEG, TIFF or PGM file"),
    MeanFile("a GIF", lambda: b"GIF89a" + b"\0" * 300, "is not a DICOM, PNG, JPEG, TIFF or PGM file"),
    MeanFile(
        "a small PNG that inflates to 50 MB",
        lambda: _png(64, 64, zlib.compress(b"\0" * 50_000_000, 1)),
    ),
    MeanFile("a PNG whose colour profile inflates to 50 MB", _png_with_inflating_profile),
    MeanFile(
        "a PNG of 65,535 x 65,535 pixels",
        lambda: _png(65_535, 65_535, zlib.compress(b"")),
        "has 65535 rows, they must be",
    ),
    # Text.
    MeanFile("a script as manufacturer", partial(_text, "Manufacturer", b"<script>alert(1)</script>")),
    MeanFile(
        "a terminal's control sequence as manufacturer", partial(_text, "Manufacturer", b"\x1b]0;owned\x07\x1b[2J")
    ),
    MeanFile("a header of HTTP as view", partial(_text, "ViewPosition", b"CC\r\nSet-Cookie: a=b")),
    MeanFile(
        "a script as modality", partial(_text, "Modality", b"<IMG SRC=X ONERROR=ALERT(1)>"), "Modality .* is '<IMG"
    ),
    MeanFile(
        "text that runs backwards as modality", partial(_text, "Modality", "\u202efdp.exe".encode()), "Modality .* is "
    ),
    MeanFile(
        "the patient as modality", partial(_text, "Modality", b"ZQXJVW"), "Modality .* is a text that names the patient"
    ),
    MeanFile("an endless modality", partial(_text, "Modality", b"MG" * 30_000), "Modality .* is 'MGMG"),
    MeanFile("a character set that is none", partial(_text, "SpecificCharacterSet", b"../../etc/passwd")),
    MeanFile("a character set of Python's", partial(_text, "SpecificCharacterSet", b"unicode_escape")),
    MeanFile(
        "5000 digits as frames",
        lambda: _replaced(b"IS\x02\x0012", b"IS\x88\x13" + b"9" * 5000, _file(NumberOfFrames=12)),
        r"NumberOfFrames .* it must be in the range \(1, 1000000\)",
    ),
    # A DICOMDIR names files; none of them is opened.
    *(
        MeanFile(
            f"a DICOMDIR that points to {shown}", partial(_dicomdir, path), "is a DICOMDIR, an index of other files"
        )
        for shown, path in (
            ("a parent folder", b"..\\..\\ETC\\PASSWD"),
            ("a device", b"/dev/zero"),
            ("a share", b"\\\\host\\share\\A"),
            ("nothing printable", b"\x1b[2J\r\n\0\0"),
        )
    ),
    # Two kinds of file in one: by its fourth bytes 128 it is DICOM, and read as that and nothing else.
    *(
        MeanFile(f"a mammogram that starts as {shown}", partial(_polyglot, start))
        for shown, start in (
            ("a Windows program", b"MZ\x90\0\3\0\0\0"),
            ("a Linux program", b"\x7fELF\2\1\1\0"),
            ("a shell script", b"#!/bin/sh\ntouch owned\nexit\n"),
            ("a PDF", b"%PDF-1.7\n"),
            ("a ZIP archive", b"PK\3\4\x14\0\0\0"),
            ("a web page", b"<html><script>alert(1)</script>"),
            ("a TIFF", b"II*\0\x08\0\0\0"),
        )
    ),
    MeanFile("a mammogram that starts as a PNG", partial(_polyglot, b"\x89PNG\r\n\x1a\n"), "has a damaged PNG header"),
    MeanFile(
        "a mammogram that starts as a JPEG", partial(_polyglot, b"\xff\xd8\xff\xe0\0\x10JFIF"), "has no marker at byte"
    ),
    # Found by fuzzing, or by reading the code for it: each was a fault of the reader.
    MeanFile(
        "a BigTIFF whose directory lies beyond 2^63",
        partial(_big_tiff, directory=1 << 63),
        "is cut off within its TIFF",
    ),
    MeanFile(
        "a BigTIFF with a tag beyond 2^63",
        partial(_big_tiff, (256, 4, 9, 1 << 63)),
        "is cut off within its TIFF header",
    ),
    MeanFile(
        "a TIFF of 80 samples, each with bits of its own", _tiff_of_odd_bits, "is a TIFF file whose samples differ"
    ),
    MeanFile("a PNG with a wrong checksum", _png_with_a_wrong_checksum, "its PNG data cannot be decoded$"),
    MeanFile("a VOI table of numbers without end", partial(_table, b"1.7e308 ", b"DS")),
    MeanFile("a VOI table of negative numbers", partial(_table, b"\xff\xff", b"SS")),
)
