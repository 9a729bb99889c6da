"""Read image files, their size without decoding them, and a hash of their pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import DatasetError
from mammoscope.readers.raster.headers import RasterHeader, read_raster_header
from mammoscope.readers.raster.pgm import decode_pgm
from mammoscope.readers.source import MAGIC_BYTES, detect_format

_PNG_SIZE_END = 24


def read_image(path: Path) -> NDArray[np.uint16]:
    """A full mammogram ``(H, W) uint16``; 8-bit files are scaled to the full range.

    Raises
    ------
    DatasetError
        The file is cut off, cannot be decoded, or is not one grey channel of 8 or 16 bits.
    """
    pixels = _read(path)
    scale = 1 if pixels.dtype == np.uint16 else 257
    return np.asarray(pixels.astype(np.uint16) * np.uint16(scale), dtype=np.uint16)


def read_crop(path: Path) -> NDArray[np.uint8]:
    """A lesion crop ``(H, W) uint8``."""
    pixels = _read(path)
    if pixels.dtype != np.uint8:
        raise DatasetError(f"{path}: has 16 bits a pixel, expected 8")
    return np.asarray(pixels, dtype=np.uint8)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """A mask ``(H, W) bool``: True on the mass."""
    return np.asarray(read_crop(path) > 127)


def pixel_hash(pixels: NDArray[np.uint16]) -> str:
    """Hex digest of an image's size and pixels ``(H, W) uint16``: equal for equal images of any lossless format."""
    digest = hashlib.sha256(f"{pixels.shape[0]} x {pixels.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(pixels, dtype="<u2").data)
    return digest.hexdigest()


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image, without decoding it.

    Raises
    ------
    DatasetError
        The file cannot be read, or is not a PNG, JPEG, TIFF or PGM.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(_PNG_SIZE_END)
            # A mammogram as PNG has tens of megabytes, and its size is stored at the start.
            if start.startswith(b"\x89PNG") and len(start) == _PNG_SIZE_END:
                return int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
            data = start + stream.read()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    header = whole_file_header(path, data)
    return header.columns, header.rows


def whole_file_header(path: Path, data: bytes) -> RasterHeader:
    """The header of an image file that is complete.

    Raises
    ------
    DatasetError
        The file is cut off, or is not a PNG, JPEG, TIFF or PGM.
    """
    try:
        return read_raster_header(data, detect_format(data[:MAGIC_BYTES]) or "")
    except KeyError:
        raise DatasetError(f"{path}: is not a PNG, JPEG, TIFF or PGM file") from None
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from None


def _read(path: Path) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    header = whole_file_header(path, data)  # OpenCV fills the missing part of a JPEG file with grey
    if detect_format(data[:MAGIC_BYTES]) == "PGM":
        return _read_pgm(path, data, header)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DatasetError(f"{path}: cannot be decoded")
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise DatasetError(f"{path}: is {pixels.shape} {pixels.dtype}, expected one grey channel of 8 or 16 bits")
    return np.asarray(pixels)


def _read_pgm(path: Path, data: bytes, header: RasterHeader) -> NDArray[Any]:
    """The samples of a PGM file, which says what value is white, over the full range of their bits."""
    try:
        samples = decode_pgm(data)
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from None
    if header.white is None:
        return samples
    full = int(np.iinfo(samples.dtype).max)
    levels = np.arange(header.white + 1, dtype=np.int64)
    return np.asarray(((levels * full + header.white // 2) // header.white).astype(samples.dtype)[samples])
