"""Read PNG, JPEG, TIFF and PGM: one grey channel of 8 to 16 bits, or colours that are all grey."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mammoscope.mammogram import Mammogram
from mammoscope.readers.air import is_inverted, reduction
from mammoscope.readers.dicom.unknowns import not_stated
from mammoscope.readers.limits import Limits
from mammoscope.readers.raster.headers import RasterHeader, read_raster_header
from mammoscope.readers.raster.pgm import decode_pgm
from mammoscope.readers.source import Source, reason_of

_DECODERS: dict[str, Callable[[bytes], NDArray[Any]]] = {
    "PNG": imagecodecs.png_decode,
    "JPEG": imagecodecs.jpeg8_decode,
    "TIFF": imagecodecs.tiff_decode,
    "PGM": decode_pgm,
}
_JPEG_GREY_TOLERANCE = 2
_WHITE = 65535
_LEAST_BITS, _MOST_BITS = 8, 16


def read_raster(source: Source, file_format: str, limits: Limits) -> Mammogram:
    """Read a PNG, JPEG, TIFF or PGM file, which ``file_format`` says. Its size is checked before decoding.

    Raises
    ------
    InputError
        The file is cut off, damaged, coloured, transparent, too large, or of a kind that is not supported.
    """
    try:
        header = read_raster_header(source.data, file_format)
    except ValueError as error:
        raise source.error(str(error)) from None
    if problem := limits.size_problem(header.rows, header.columns):
        raise source.error(problem)
    if not _LEAST_BITS <= header.bits <= _MOST_BITS:
        raise source.error(f"has {header.bits} bits a sample, expected 8 or 16")
    if header.channels > 4:
        raise source.error(f"has {header.channels} channels, expected 1")
    notes: list[str] = []
    decoded = _decode(source, file_format, header)
    grey = _grey(source, decoded, _JPEG_GREY_TOLERANCE if file_format == "JPEG" else 0, notes)
    pixels = _shown_rightly(_to_display(grey, header, notes), notes)
    if header.rotated:
        notes.append("The file states that it is to be rotated or mirrored for display; its pixels are used as stored.")
    if missing := not_stated(None, None, None):
        notes.append(missing)
    return Mammogram(
        pixels=pixels,
        name=source.name,
        sha256=source.sha256,
        file_format=file_format,
        bits=header.bits,
        warnings=tuple(notes),
    )


def _shown_rightly(pixels: NDArray[np.uint16], notes: list[str]) -> NDArray[np.uint16]:
    """Inverted where the picture surely shows air bright: such a file states nothing, or was exported inverted."""
    step = reduction(pixels)
    if not is_inverted(pixels[::step, ::step] / np.float32(_WHITE)):
        return pixels
    notes.append(
        "The air around the breast is bright in the file, so it is an inverted image: it is shown inverted back."
    )
    return np.asarray(_WHITE - pixels)


def _decode(source: Source, file_format: str, header: RasterHeader) -> NDArray[Any]:
    try:
        decoded = np.asarray(_DECODERS[file_format](source.data))
    except MemoryError:
        raise
    except Exception as error:  # imagecodecs has an exception class for each codec
        # What is given as libpng's words lies on a stack that has gone, and may be anything by now.
        reason = "" if file_format == "PNG" else f" ({reason_of(error)})"
        raise source.error(f"its {file_format} data cannot be decoded{reason}") from None
    word = np.dtype(np.uint8 if header.bits == 8 else np.uint16)
    if decoded.shape[:2] != (header.rows, header.columns) or decoded.dtype != word:
        raise source.error(f"its {file_format} data decodes to {decoded.shape} {decoded.dtype}, unlike its header")
    return decoded


def _grey(source: Source, pixels: NDArray[Any], tolerance: int, notes: list[str]) -> NDArray[Any]:
    """The one grey channel of ``(H, W)`` or ``(H, W, C)`` pixels."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels in (2, 4) and int(pixels[..., -1].min()) < np.iinfo(pixels.dtype).max:
        raise source.error("is partly transparent, expected an opaque image")
    if channels >= 3:
        middle = pixels[..., 1].astype(np.int32)
        if any(int(np.abs(pixels[..., channel] - middle).max()) > tolerance for channel in (0, 2)):
            raise source.error("is a colour image, expected grey")
        notes.append("The file stores colours, but all its pixels are grey; it is read as a grey image.")
    return np.ascontiguousarray(pixels[..., 1 if channels >= 3 else 0])


def _to_display(grey: NDArray[Any], header: RasterHeader, notes: list[str]) -> NDArray[np.uint16]:
    """The full range of 16 bits, brighter is denser."""
    bits, largest = header.bits, int(grey.max())
    if header.white is None and bits == _MOST_BITS and largest.bit_length() < _MOST_BITS:
        bits = max(_LEAST_BITS, largest.bit_length())
        notes.append(f"The file has 16 bits a pixel but uses only {bits} of them; its values are scaled up.")
    white = header.white or (1 << bits) - 1
    levels = np.clip(np.arange(1 << header.bits, dtype=np.int64), 0, white)
    if header.white_is_zero:
        levels = white - levels
    table = ((levels * _WHITE + white // 2) // white).astype(np.uint16)
    return np.asarray(table[grey])
