"""Decode the pixel data of a DICOM file: uncompressed, or by ``compressed``. What is kept are the stored bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammoscope.readers.dicom.admission import PixelLayout
from mammoscope.readers.dicom.compressed import (
    NATIVE_SYNTAXES,
    READABLE_SYNTAXES,
    CompressedImage,
    compressed_image,
    is_said_lossy,
)
from mammoscope.readers.dicom.encapsulation import is_compressed_instead, is_packed
from mammoscope.readers.dicom.header import DicomFile, described

Pixels = NDArray[np.unsignedinteger[Any]]

_PIXEL_DATA = 0x7FE00010
_PADDING = 1  # a value has an even number of bytes
_LOSSY_GREY_TOLERANCE = 2
_OVERSHOOT = 1.125  # how far above white a lossy codec may come


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
    lossy
        Whether something was lost when the pixels were compressed, by what the file says or how it is packed.
    """

    patterns: Pixels
    bits: int
    signed: bool
    lossy: bool = False

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
    require_pixels(file)
    _note_overlays(file, layout)
    native = is_native(file, layout)
    image = None if native else compressed_image(file, layout)
    if layout.photometric.startswith("YBR") and (image is None or image.header is None):
        raise file.source.error(_colour_problem(file))
    if image is None:
        words = _grey(file, native_words(file, layout), 0)
        _note_spare_pixels(file, layout)
        return replace(_stored_bits(file, layout, words, layout.bits_allocated), lossy=is_said_lossy(file))
    is_lossy = image.lossy or image.said_lossy
    words = _grey(file, image.words(), _LOSSY_GREY_TOLERANCE if is_lossy else 0)
    return replace(_of_compressed(file, layout, words, image), lossy=is_lossy)


def _note_spare_pixels(file: DicomFile, layout: PixelLayout) -> None:
    assert file.pixels is not None and file.pixels.length is not None
    needed = _bytes_needed(layout)
    if file.pixels.length > needed + _PADDING:
        file.header.warnings.append(
            f"{described('PixelData')} has {file.pixels.length} bytes, and an image of {layout.rows} x "
            f"{layout.columns} pixels only {needed}: the rest is left out, or Rows and Columns are wrong."
        )


def _note_overlays(file: DicomFile, layout: PixelLayout) -> None:
    used = range(layout.high_bit + 1 - layout.bits_stored, layout.high_bit + 1)
    for bit in sorted(file.header.overlay_bits() & set(used)):
        file.header.warnings.append(
            f"The file says that an overlay lies in bit {bit} of the pixels, which is one of the "
            f"{layout.bits_stored} bits stored: the overlay may be taken for tissue."
        )


def require_pixels(file: DicomFile) -> None:
    """Raise ``InputError`` where there is no pixel data, or in a transfer syntax that is not supported."""
    syntax = file.transfer_syntax
    if syntax not in READABLE_SYNTAXES:
        raise file.source.error(
            f"Transfer Syntax UID (0002,0010) is {file.header.shown_uid(syntax)}, which is not supported"
        )
    if file.pixels is None or file.pixels.tag != _PIXEL_DATA or file.pixels.length == 0:
        raise file.source.error(f"has no {described('PixelData')}, or is cut off before it")


def is_native(file: DicomFile, layout: PixelLayout) -> bool:
    """Whether the pixel data is not compressed.

    Raises
    ------
    InputError
        The transfer syntax says that it is, and the bytes are not.
    """
    if is_packed(file):
        return False
    if file.transfer_syntax not in NATIVE_SYNTAXES:
        raise file.source.error(
            f"its pixel data is not encapsulated, which does not fit the transfer syntax '{file.transfer_syntax.name}'"
        )
    return not is_compressed_instead(file, _bytes_needed(layout))


def native_words(file: DicomFile, layout: PixelLayout) -> Pixels:
    """Uncompressed pixels with all their bits, ``(H, W)`` or ``(H, W, 3)``, in the byte order of the file."""
    assert file.pixels is not None and file.pixels.length is not None
    needed = _bytes_needed(layout)
    available = min(file.pixels.length, len(file.source.data) - file.pixels.offset)
    if available < needed:
        raise file.source.error(f"is cut off: its pixel data has {max(0, available)} bytes, {needed} are needed")
    order = "<" if file.header.is_little_endian else ">"
    word = np.dtype(f"{order}u{layout.bits_allocated // 8}")
    words = np.frombuffer(file.source.data, word, needed // word.itemsize, file.pixels.offset)
    if layout.samples == 1:
        return words.reshape(layout.rows, layout.columns)
    if layout.planar:
        return words.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0)
    return words.reshape(layout.rows, layout.columns, layout.samples)


def without_other_bits(words: Pixels, layout: PixelLayout, width: int) -> Pixels:
    """Words of ``width`` bits with only the bits stored, the others 0 or, where values are signed, the sign.

    Returns ``words`` themselves where there is nothing else in them. Signed values whose other bits are 0 stay too.
    """
    low, stored = _lowest_bit(layout, width), layout.bits_stored
    used = words.dtype.type(((1 << stored) - 1) << low)
    bits: Pixels = (words & used).astype(words.dtype, copy=False)  # numpy changes the byte order
    if np.array_equal(bits, words):
        return words
    if not layout.signed:
        return bits
    is_negative = (words >> (low + stored - 1)) & 1 == 1
    sign = words.dtype.type((1 << width) - (1 << (low + stored)))
    extended: Pixels = np.where(is_negative, bits | sign, bits).astype(words.dtype)
    # What is shorter than the word may come extended to all of it.
    return words if np.array_equal(extended, words & words.dtype.type((1 << width) - 1)) else extended


def _bytes_needed(layout: PixelLayout) -> int:
    return layout.rows * layout.columns * layout.samples * layout.bits_allocated // 8


def _lowest_bit(layout: PixelLayout, width: int) -> int:
    """Where values lie in words of ``width`` bits; a codestream that is narrower than the high bit says has no more."""
    return layout.high_bit + 1 - layout.bits_stored if layout.high_bit < width else 0


def _of_compressed(file: DicomFile, layout: PixelLayout, words: Pixels, image: CompressedImage) -> StoredPixels:
    """The stored bits of a compressed image, which may hold others beside them too, unless they were lost."""
    is_wider = image.bits > layout.bits_stored
    may_overshoot = is_wider and not layout.signed and (image.lossy or image.said_lossy)
    if may_overshoot and image.lossy and _overshoots(words, layout):
        file.header.warnings.append(
            f"Pixels hold more than the {layout.bits_stored} bits that {described('BitsStored')} says, and were "
            "compressed with loss: what the other bits hold cannot be taken away."
        )
    if is_wider and not (may_overshoot and (image.lossy or not _overshoots(words, layout))):
        return _stored_bits(file, layout, words, image.bits)
    # A signed value is two's complement in the bits of the codestream.
    return StoredPixels(_masked(words, image.bits), image.bits, layout.signed)


def _overshoots(words: Pixels, layout: PixelLayout) -> bool:
    """Whether lossy pixels hold more than loss can explain."""
    return int(words.max()) >= _OVERSHOOT * (1 << layout.bits_stored)


def _masked(words: Pixels, bits: int) -> Pixels:
    return words & words.dtype.type((1 << bits) - 1) if bits < 8 * words.itemsize else words


def _stored_bits(file: DicomFile, layout: PixelLayout, words: Pixels, width: int) -> StoredPixels:
    """The stored bits of words (PS3.5 8.1.1), without overlays or garbage in the others."""
    low, bits = _lowest_bit(layout, width), layout.bits_stored
    if bits == width or (not layout.signed and not low and int(words.max()) < 1 << bits):
        return StoredPixels(words, bits, layout.signed)
    if without_other_bits(words, layout, width) is not words:
        file.header.warnings.append(
            f"Pixels hold more than the {bits} bits that {described('BitsStored')} says; the other bits are left out."
        )
    patterns: Pixels = np.right_shift(words, low, dtype=words.dtype) & words.dtype.type((1 << bits) - 1)
    return StoredPixels(patterns, bits, layout.signed)


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
