"""Decode the pixel data of a DICOM file through imagecodecs: permissive licences only, no GDCM, no pylibjpeg."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mammoscope.readers.dicom.admission import PixelLayout
from mammoscope.readers.dicom.codestreams import CodestreamHeader, read_jpeg2000_header, read_jpeg_header
from mammoscope.readers.dicom.header import DicomFile, described
from mammoscope.readers.source import reason_of

Pixels = NDArray[np.unsignedinteger[Any]]
_Decode = Callable[[bytes, str], NDArray[Any]]
_ReadHeader = Callable[[bytes], CodestreamHeader]

_PIXEL_DATA = 0x7FE00010
_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def _decode_jpeg(data: bytes, photometric: str) -> NDArray[Any]:
    # Without being told, libjpeg takes three components for YCbCr.
    colours = "RGB" if photometric == "RGB" else None
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=colours, outcolorspace=colours))


def _decode_jpeg_ls(data: bytes, photometric: str) -> NDArray[Any]:
    return np.asarray(imagecodecs.jpegls_decode(data))


def _decode_jpeg_2000(data: bytes, photometric: str) -> NDArray[Any]:
    # OpenJPEG decodes HTJ2K as well, and unlike OpenJPH it refuses a codestream that is cut off.
    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=_THREADS))


_JPEG: tuple[_ReadHeader, _Decode] = (read_jpeg_header, _decode_jpeg)
_JPEG_LS: tuple[_ReadHeader, _Decode] = (read_jpeg_header, _decode_jpeg_ls)
_JPEG_2000: tuple[_ReadHeader, _Decode] = (read_jpeg2000_header, _decode_jpeg_2000)
_CODECS: dict[str, tuple[_ReadHeader, _Decode]] = {
    JPEGBaseline8Bit: _JPEG,
    JPEGExtended12Bit: _JPEG,
    JPEGLossless: _JPEG,
    JPEGLosslessSV1: _JPEG,
    JPEGLSLossless: _JPEG_LS,
    JPEGLSNearLossless: _JPEG_LS,
    JPEG2000Lossless: _JPEG_2000,
    JPEG2000: _JPEG_2000,
    HTJ2KLossless: _JPEG_2000,
    HTJ2KLosslessRPCL: _JPEG_2000,
    HTJ2K: _JPEG_2000,
}
READABLE_SYNTAXES = (*_NATIVE, RLELossless, *_CODECS)
LOSSY_SYNTAXES = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
_ITEM, _END_OF_ITEMS = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_LOSSY_GREY_TOLERANCE = 2
_THREADS = min(4, os.cpu_count() or 1)  # a lossless JPEG 2000 mammogram takes two seconds on one core
_LEAST_BITS, _MOST_BITS = 8, 16


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Pixels as the file stores them.

    Attributes
    ----------
    patterns
        ``(H, W) uint8 or uint16``: the stored bits of each pixel and nothing else, so below ``2 ** bits``.
    bits
        How many bits a pattern has.
    signed
        Whether a pattern is a two's complement number.
    """

    patterns: Pixels
    bits: int
    signed: bool

    def values(self) -> NDArray[np.int64]:
        """``(2 ** bits,)``: the number that each pattern means."""
        patterns = np.arange(1 << self.bits, dtype=np.int64)
        return np.where(patterns >> (self.bits - 1), patterns - (1 << self.bits), patterns) if self.signed else patterns


def decode_pixels(file: DicomFile, layout: PixelLayout) -> StoredPixels:
    """Decode the one image of a file.

    Raises
    ------
    InputError
        There is no pixel data, it is cut off or damaged, its transfer syntax is not supported, or the
        compressed image does not match the header.
    """
    syntax = file.transfer_syntax
    if syntax not in _CODECS and syntax not in _NATIVE and syntax != RLELossless:
        raise file.source.error(
            f"Transfer Syntax UID (0002,0010) is {file.header.shown_uid(syntax)}, which is not supported"
        )
    if file.pixels is None or file.pixels.tag != _PIXEL_DATA or file.pixels.length == 0:
        raise file.source.error(f"has no {described('PixelData')}, or is cut off before it")
    if (file.pixels.length is not None) != (syntax in _NATIVE):
        kind = "encapsulated" if file.pixels.length is None else "not encapsulated"
        raise file.source.error(f"its pixel data is {kind}, which does not fit the transfer syntax '{syntax.name}'")
    if (syntax in _NATIVE or syntax == RLELossless) and layout.photometric.startswith("YBR"):
        raise file.source.error(_colour_problem(file))
    if syntax in _NATIVE:
        return _stored_bits(file, layout, _native(file, layout))
    if syntax == RLELossless:
        return _stored_bits(file, layout, _run_lengths(file, layout, _joined_fragments(file)))
    return _decompressed(file, layout, _joined_fragments(file))


def _native(file: DicomFile, layout: PixelLayout) -> Pixels:
    assert file.pixels is not None and file.pixels.length is not None
    count = layout.rows * layout.columns * layout.samples
    needed = count * layout.bits_allocated // 8
    available = min(file.pixels.length, len(file.source.data) - file.pixels.offset)
    if available < needed:
        raise file.source.error(f"is cut off: its pixel data has {max(0, available)} bytes, {needed} are needed")
    order = "<" if file.header.is_little_endian else ">"
    words = np.frombuffer(
        file.source.data, np.dtype(f"{order}u{layout.bits_allocated // 8}"), count, file.pixels.offset
    )
    return _as_image(words, layout)


def _run_lengths(file: DicomFile, layout: PixelLayout, data: bytes) -> Pixels:
    word = np.dtype(f"<u{layout.bits_allocated // 8}")
    count = layout.rows * layout.columns * layout.samples
    # One byte more than needed: shows that an image is too long without decoding all of a decompression bomb.
    room = bytearray(count * word.itemsize + 1)
    try:
        decoded = imagecodecs.dicomrle_decode(data, word, out=room)
    except MemoryError:
        raise
    except Exception as error:  # imagecodecs has an exception class for each codec
        raise file.source.error(f"its RLE pixel data cannot be decoded ({reason_of(error)})") from None
    if len(decoded) != count * word.itemsize:
        raise file.source.error(
            f"its RLE pixel data has {len(decoded)} bytes, {layout.columns} x {layout.rows} pixels need "
            f"{count * word.itemsize}"
        )
    # The segments of RLE are planes, whatever Planar Configuration says.
    words = np.frombuffer(decoded, word)
    return words.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0).squeeze()


def _decompressed(file: DicomFile, layout: PixelLayout, data: bytes) -> StoredPixels:
    read_header, decode = _CODECS[file.transfer_syntax]
    try:
        codestream = read_header(data)
    except ValueError as error:
        raise file.source.error(f"its compressed pixel data {error}") from None
    expected = (layout.rows, layout.columns, layout.samples)
    if (codestream.rows, codestream.columns, codestream.components) != expected:
        raise file.source.error(
            f"its compressed image has {codestream.columns} x {codestream.rows} pixels of {codestream.components} "
            f"samples, the header says {layout.columns} x {layout.rows} of {layout.samples}"
        )
    if not _LEAST_BITS <= codestream.bits <= _MOST_BITS:
        raise file.source.error(f"its compressed image has {codestream.bits} bits a sample, expected 8 to 16")
    if not codestream.complete:
        raise file.source.error("is cut off: a part of its compressed image is missing")
    try:
        decoded = decode(data, layout.photometric)
    except MemoryError:
        raise
    except Exception as error:  # imagecodecs has an exception class for each codec
        raise file.source.error(f"its compressed image cannot be decoded ({reason_of(error)})") from None
    if (
        decoded.shape != expected[: 2 if layout.samples == 1 else 3]
        or decoded.dtype.kind not in "iu"
        or decoded.dtype.itemsize > 2
    ):
        raise file.source.error(f"its compressed image decodes to {decoded.shape} {decoded.dtype}")
    # A signed value is two's complement in the bits stored, whatever the codestream's own depth; unsigned values keep
    # all of it, as a lossy codec may overshoot the bits stored.
    bits = min(codestream.bits, layout.bits_stored) if layout.signed else codestream.bits
    words: Pixels = decoded.view(f"u{decoded.dtype.itemsize}")
    tolerance = _LOSSY_GREY_TOLERANCE if file.transfer_syntax in LOSSY_SYNTAXES else 0
    grey = _grey(file, words, tolerance)
    patterns: Pixels = grey & grey.dtype.type((1 << bits) - 1) if bits < 8 * grey.itemsize else grey
    return StoredPixels(patterns, bits, layout.signed)


def _stored_bits(file: DicomFile, layout: PixelLayout, words: Pixels) -> StoredPixels:
    """The stored bits of uncompressed words, without overlays or garbage in the others."""
    grey = _grey(file, words, 0)
    shift, mask = layout.high_bit + 1 - layout.bits_stored, (1 << layout.bits_stored) - 1
    if layout.bits_stored == layout.bits_allocated:
        return StoredPixels(grey, layout.bits_stored, layout.signed)
    if not layout.signed and not shift and int(grey.max()) <= mask:
        return StoredPixels(grey, layout.bits_stored, layout.signed)
    # Signed values fill the word with their sign.
    if not layout.signed and bool(np.any(grey & grey.dtype.type((1 << layout.bits_allocated) - 1 - (mask << shift)))):
        file.header.warnings.append(
            f"Pixels hold more than the {layout.bits_stored} bits that {described('BitsStored')} says; "
            "the other bits are left out."
        )
    patterns: Pixels = np.right_shift(grey, shift, dtype=grey.dtype) & grey.dtype.type(mask)
    return StoredPixels(patterns, layout.bits_stored, layout.signed)


def _as_image(words: Pixels, layout: PixelLayout) -> Pixels:
    if layout.samples == 1:
        return words.reshape(layout.rows, layout.columns)
    if layout.planar:
        return words.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0)
    return words.reshape(layout.rows, layout.columns, layout.samples)


def _grey(file: DicomFile, words: Pixels, tolerance: int) -> Pixels:
    """One channel in the machine's byte order, of a grey image or of a colour image that shows only grey."""
    native: Pixels = words.astype(words.dtype.newbyteorder("="), copy=False)
    if native.ndim == 2:
        return native
    if not channels_equal(native, tolerance):
        raise file.source.error(_colour_problem(file))
    file.header.warnings.append("The file stores colours, but all its pixels are grey; it is read as a grey image.")
    return np.ascontiguousarray(native[..., 1])


def _colour_problem(file: DicomFile) -> str:
    keyword = "PhotometricInterpretation"
    return f"is a colour image ({described(keyword)} is {file.header.shown(keyword)}), expected grey"


def channels_equal(pixels: NDArray[Any], tolerance: int) -> bool:
    """Whether the first three channels of ``(H, W, C)`` differ nowhere by more than ``tolerance``."""
    first = pixels[..., 0].astype(np.int32)
    return all(int(np.abs(pixels[..., channel] - first).max()) <= tolerance for channel in (1, 2))


def _joined_fragments(file: DicomFile) -> bytes:
    """The codestream of the one frame: every item after the offset table, joined (PS3.5 A.4)."""
    assert file.pixels is not None
    data, position = file.source.data, file.pixels.offset
    fragments: list[bytes] = []
    while data[position : position + 4] == _ITEM:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + length
        if position > len(data):
            raise file.source.error(f"is cut off: a fragment of its pixel data should have {length} bytes")
        fragments.append(data[position - length : position])
    if data[position : position + 4] != _END_OF_ITEMS and position < len(data):
        raise file.source.error("its pixel data is not a sequence of fragments")
    codestream = b"".join(fragments[1:])
    if not codestream:
        raise file.source.error(f"its {described('PixelData')} is empty")
    return codestream
