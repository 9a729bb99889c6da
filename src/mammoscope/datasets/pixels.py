"""What tells pictures apart: their size and their pixels, whatever files they are stored in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import DatasetError
from mammoscope.readers.raster.headers import RasterHeader, read_raster_header
from mammoscope.readers.source import MAGIC_BYTES, detect_format

_PNG_SIZE_END = 24


def pixel_hash(pixels: NDArray[np.uint16]) -> str:
    """Hex digest of an image's size and pixels ``(H, W) uint16``: equal for equal pictures of any lossless format."""
    digest = hashlib.sha256(f"{pixels.shape[0]} x {pixels.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(pixels, dtype="<u2").data)
    return digest.hexdigest()


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, without decoding it.

    Raises
    ------
    DatasetError
        The file cannot be read, or is no PNG, JPEG or TIFF.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(_PNG_SIZE_END)
            # A film as PNG has tens of megabytes, and its size stands at the front.
            if start.startswith(b"\x89PNG") and len(start) == _PNG_SIZE_END:
                return int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
            data = start + stream.read()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    header = whole_file_header(path, data)
    return header.columns, header.rows


def whole_file_header(path: Path, data: bytes) -> RasterHeader:
    """The header of a picture whose bytes are all there.

    Raises
    ------
    DatasetError
        The file is cut off, or is no PNG, JPEG or TIFF.
    """
    try:
        return read_raster_header(data, detect_format(data[:MAGIC_BYTES]) or "")
    except KeyError:
        raise DatasetError(f"{path}: is no PNG, JPEG or TIFF file") from None
    except ValueError as error:
        raise DatasetError(f"{path}: {error}") from None
