"""The pixel data of a de-identified mammogram: the image and nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from mammoscope.deidentify.codestreams import without_comments
from mammoscope.readers.dicom.admission import PixelLayout
from mammoscope.readers.dicom.codecs import Pixels, is_native, native_words, without_other_bits
from mammoscope.readers.dicom.compressed import NATIVE_SYNTAXES, CompressedImage, compressed_image
from mammoscope.readers.dicom.header import DicomFile


@dataclass(frozen=True, eq=False)
class KeptPixels:
    """Pixel data to write.

    Attributes
    ----------
    data
        The value of the element; encapsulated where ``syntax`` says so.
    syntax
        Its transfer syntax.
    doubt
        Why something beside the image may still be in it; None: nothing is.
    """

    data: bytes
    syntax: UID
    doubt: str | None = None


def kept_pixels(file: DicomFile, layout: PixelLayout) -> KeptPixels:
    """The image's own bits, without what follows them, comments, and overlays in bits that are not stored.

    Compressed pixels stay as they are packed; only those that hold other bits are unpacked, to remove these.

    Raises
    ------
    InputError
        The pixel data is cut off, or cannot be parsed.
    """
    claimed = file.header.overlay_bits() & set(range(layout.high_bit + 1 - layout.bits_stored, layout.high_bit + 1))
    doubt = "the file says that an overlay lies in the pixels themselves" if claimed else None
    if is_native(file, layout):
        words = native_words(file, layout)
        syntax = file.transfer_syntax if file.transfer_syntax in NATIVE_SYNTAXES else ExplicitVRLittleEndian
        return KeptPixels(_as_stored(without_other_bits(words, layout, layout.bits_allocated), layout), syntax, doubt)
    image = compressed_image(file, layout)
    if image.bits > layout.bits_stored:
        words = image.words()
        cleaned = without_other_bits(words, layout, image.bits)
        if cleaned is not words and (image.lossy or image.said_lossy):
            doubt = doubt or "its pixels, compressed with loss, hold more than the bits stored, such as an overlay"
        elif cleaned is not words:
            wide = cleaned.astype(f"<u{layout.bits_allocated // 8}")
            return KeptPixels(_as_stored(_filled(wide, layout, image.bits), layout), ExplicitVRLittleEndian, doubt)
    return KeptPixels(encapsulate([_without_comments(file, image)]), image.syntax, doubt)


def _filled(words: Pixels, layout: PixelLayout, width: int) -> Pixels:
    """Words of ``width`` bits, which may be fewer than are allocated: the sign of a value then fills the others too."""
    return without_other_bits(words, layout, layout.bits_allocated) if width < layout.bits_allocated else words


def _as_stored(words: Pixels, layout: PixelLayout) -> bytes:
    """The bytes of words, in the order of the file."""
    ordered = words.transpose(2, 0, 1) if layout.planar and words.ndim == 3 else words
    data = np.ascontiguousarray(ordered).tobytes()
    return data + b"\0" * (len(data) % 2)


def _without_comments(file: DicomFile, image: CompressedImage) -> bytes:
    try:
        return image.frame if image.syntax == RLELossless else without_comments(image.frame)
    except ValueError as error:
        raise file.source.error(f"its compressed pixel data cannot be parsed: {error}") from None
