"""Headers of PNG, JPEG, TIFF and PGM files, read before decoding, to refuse wrong sizes and files that are cut off."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from mammoscope.readers.dicom.codestreams import read_jpeg_header
from mammoscope.readers.raster.pgm import read_pgm_header

_PNG_COLOUR_TYPES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # channels after the palette is resolved
_PNG_PALETTE = 3

_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # BYTE, SHORT, LONG, LONG8
_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _ORIENTATION = 256, 257, 258, 262, 274
_SAMPLES, _PLANAR, _SAMPLE_FORMAT = 277, 284, 339
_DATA_PLACES = ((273, 279), (324, 325))  # offsets and byte counts, of strips and of tiles
_TIFF_PHOTOMETRICS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_MOST_ENTRIES = 4096
_EXIF_START, _EXIF_REACH = b"Exif\0\0", 1 << 16


@dataclass(frozen=True)
class RasterHeader:
    """The header of a raster file.

    Attributes
    ----------
    rows, columns
        Size.
    bits
        Bits of a sample.
    channels
        Samples a pixel, alpha among them, palettes resolved.
    white_is_zero
        True where 0 is to be shown white.
    rotated
        True if the file states that it is to be rotated or mirrored for display.
    white
        The value of the brightest sample; None: the largest that the bits can hold.
    """

    rows: int
    columns: int
    bits: int
    channels: int
    white_is_zero: bool = False
    rotated: bool = False
    white: int | None = None


def read_raster_header(data: bytes, file_format: str) -> RasterHeader:
    """Header of a file of ``file_format`` ``"PNG"``, ``"JPEG"``, ``"TIFF"`` or ``"PGM"``.

    Raises
    ------
    ValueError
        The file is cut off, damaged, or of a kind that is not supported; the text says which and follows a file's name.
    """
    readers: dict[str, Callable[[bytes], RasterHeader]] = {
        "PNG": _read_png,
        "JPEG": _read_jpeg,
        "TIFF": _read_tiff,
        "PGM": _read_pgm,
    }
    try:
        return readers[file_format](data)
    except (struct.error, IndexError, OverflowError):
        raise ValueError(f"is cut off within its {file_format} header") from None


def _read_png(data: bytes) -> RasterHeader:
    columns, rows, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR" or colour not in _PNG_COLOUR_TYPES:
        raise ValueError("has a damaged PNG header")
    position, kind, transparent = 8, b"", False
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position) if position + 12 <= len(data) else (0, b"")
        position += 12 + length
        if not kind or position > len(data):
            raise ValueError("is cut off: the end of its PNG data is missing")
        if kind == b"acTL":
            raise ValueError("is an animated PNG, expected one single image")
        transparent |= kind == b"tRNS"
    channels = _PNG_COLOUR_TYPES[colour] + (1 if transparent and colour in (0, 2, 3) else 0)
    return RasterHeader(rows, columns, 8 if colour == _PNG_PALETTE else bits, channels)


def _read_jpeg(data: bytes) -> RasterHeader:
    header = read_jpeg_header(data)
    if not header.ended:
        raise ValueError("is cut off: the end of its JPEG data is missing")
    if header.components not in (1, 3):
        raise ValueError(f"is a JPEG file of {header.components} components, expected 1 (grey)")
    return RasterHeader(header.rows, header.columns, header.bits, header.components, rotated=_exif_turns(data))


def _read_pgm(data: bytes) -> RasterHeader:
    header = read_pgm_header(data)
    white = None if header.white == (1 << header.bits) - 1 else header.white
    return RasterHeader(header.rows, header.columns, header.bits, 1, white=white)


def _exif_turns(data: bytes) -> bool:
    """Whether a JPEG's Exif block, itself a small TIFF file, asks a viewer to rotate it; False if it is damaged."""
    start = data.find(_EXIF_START, 0, _EXIF_REACH)
    if start < 0:
        return False
    try:
        tags, _ = _first_tiff_directory(data[start + len(_EXIF_START) : start + _EXIF_REACH])
        return tags.get(_ORIENTATION, (1,))[0] != 1
    except (struct.error, IndexError, OverflowError, ValueError):
        return False


def _read_tiff(data: bytes) -> RasterHeader:
    tags, next_page = _first_tiff_directory(data)
    if next_page:
        raise ValueError("is a TIFF file of several pages, expected one single image")
    if not {_WIDTH, _LENGTH} <= tags.keys() or not all(tags.values()):
        raise ValueError("has a damaged TIFF header: no width or no length")
    bits, samples = tags.get(_BITS, (1,)), tags.get(_SAMPLES, (1,))[0]
    sample_format, photometric = tags.get(_SAMPLE_FORMAT, (1,))[0], tags.get(_PHOTOMETRIC, (1,))[0]
    if sample_format != 1:
        kind = {2: "signed whole", 3: "floating-point"}.get(sample_format, "unusual")
        raise ValueError(f"is a TIFF file of {kind} numbers (SampleFormat {sample_format}), expected unsigned")
    if photometric not in (0, 1, 2):
        name = _TIFF_PHOTOMETRICS.get(photometric, "unusual")
        raise ValueError(f"is a {name} TIFF file (PhotometricInterpretation {photometric}), expected grey")
    if samples > 1 and tags.get(_PLANAR, (1,))[0] != 1:
        raise ValueError("is a TIFF file with its colours in planes, expected grey")
    if len(set(bits)) != 1:
        raise ValueError("is a TIFF file whose samples differ in their bits, expected 8 or 16 in all")
    _check_tiff_data(tags, len(data))
    return RasterHeader(
        rows=tags[_LENGTH][0],
        columns=tags[_WIDTH][0],
        bits=bits[0],
        channels=samples,
        white_is_zero=photometric == 0,
        rotated=tags.get(_ORIENTATION, (1,))[0] != 1,
    )


def _check_tiff_data(tags: dict[int, tuple[int, ...]], size: int) -> None:
    for offsets, counts in _DATA_PLACES:
        if offsets in tags:
            pairs = zip(tags[offsets], tags.get(counts, ()), strict=False)
            if any(offset + count > size for offset, count in pairs):
                raise ValueError("is cut off: a part of its TIFF data is missing")
            return
    raise ValueError("has a damaged TIFF header: it names no image data")


def _first_tiff_directory(data: bytes) -> tuple[dict[int, tuple[int, ...]], int]:
    """The whole-number tags of the first page, and the offset of the second (0: there is none)."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    word, count_format, entry_size = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    position = struct.unpack_from(f"{order}{word}", data, 8 if is_big else 4)[0]
    count = struct.unpack_from(f"{order}{count_format}", data, position)[0]
    if count > _MOST_ENTRIES:
        raise ValueError("has a damaged TIFF header")
    position += struct.calcsize(count_format)
    tags = {}
    for entry in range(position, position + count * entry_size, entry_size):
        tag, kind, values = struct.unpack_from(f"{order}HH{word}", data, entry)
        if kind not in _TIFF_TYPES:
            continue
        layout = f"{order}{values}{_TIFF_TYPES[kind]}" if values <= len(data) else ""
        place = entry + 4 + struct.calcsize(word)
        if struct.calcsize(layout) > struct.calcsize(word):
            place = struct.unpack_from(f"{order}{word}", data, place)[0]
        tags[tag] = struct.unpack_from(layout, data, place)
    return tags, struct.unpack_from(f"{order}{word}", data, position + count * entry_size)[0]
