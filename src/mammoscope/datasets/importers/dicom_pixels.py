"""The pixels of a collection's DICOM files, without loss and without a window."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.readers.dicom.admission import pixel_layout
from mammoscope.readers.dicom.codecs import decode_pixels
from mammoscope.readers.dicom.header import read_header
from mammoscope.readers.limits import Limits
from mammoscope.readers.source import MAGIC_BYTES, detect_format, read_source

Grey16 = NDArray[np.uint16]

_LIMITS = Limits(min_side=1)  # crops of small masses are smaller than any mammogram
_WHITE = 65535
_ROWS_AT_ONCE = 256


def read_pixels(path: Path) -> Grey16:
    """The stored pixels of a DICOM file ``(H, W) uint16``, brighter is denser.

    Values are spread over the full 16 bits, which loses nothing; MONOCHROME1 is inverted; no window is applied.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    source = read_source(path, _LIMITS)
    if detect_format(source.data[:MAGIC_BYTES]) != "DICOM":
        raise source.error("is not a DICOM file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = read_header(source)
        layout = pixel_layout(file, _LIMITS)
        try:
            stored = decode_pixels(file, layout)
        except MemoryError:
            raise source.error("needs more memory to decode than there is") from None
    white = (1 << stored.bits) - 1
    levels = stored.values() + ((white + 1) // 2 if stored.signed else 0)
    if layout.photometric == "MONOCHROME1":
        levels = white - levels
    table = np.rint(levels * (_WHITE / white)).astype(np.uint16)
    pixels = np.empty(stored.patterns.shape, dtype=np.uint16)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):  # looking up the whole takes eight bytes a pixel
        pixels[start : start + _ROWS_AT_ONCE] = table[stored.patterns[start : start + _ROWS_AT_ONCE]]
    return pixels
