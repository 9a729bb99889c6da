"""PGM files, binary (P5) and text (P2), of 8 and 16 bits: their header, and their samples.

Source of the format: pgm(5) of Netpbm, https://netpbm.sourceforge.net/doc/pgm.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammoscope.readers.source import MAGIC_BYTES, detect_format

_BINARY = b"P5"
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])"  # blanks, and comments to the end of their line
_HEADER = re.compile(
    rb"P[25]" + _GAP + rb"+(\d{1,9})" + _GAP + rb"+(\d{1,9})" + _GAP + rb"+(\d{1,9})(?:#[^\r\n]*[\r\n]|\s)"
)
_WIDEST = 65535


@dataclass(frozen=True)
class PgmHeader:
    """The header of a PGM file.

    Attributes
    ----------
    rows, columns
        Size.
    white
        The value of the brightest sample: 255 in most files of 8 bits.
    start
        Where the samples start in the file.
    """

    rows: int
    columns: int
    white: int
    start: int

    @property
    def bits(self) -> int:
        """Bits that a sample takes: 8 or 16."""
        return 8 if self.white <= 255 else 16


def read_pgm_header(data: bytes) -> PgmHeader:
    """The header of a complete PGM file.

    Raises
    ------
    ValueError
        The file is cut off, damaged, or holds several images; the text follows a file's name.
    """
    found = _HEADER.match(data)
    if found is None:
        raise ValueError("has a damaged PGM header: expected width, height and largest value")
    columns, rows, white = (int(number) for number in found.groups())
    if not 0 < white <= _WIDEST:
        raise ValueError(
            f"has a damaged PGM header: the largest value is {white}, it must be in the range (1, {_WIDEST})"
        )
    header = PgmHeader(rows, columns, white, found.end())
    if data.startswith(_BINARY):
        end = header.start + rows * columns * header.bits // 8
        if end > len(data):
            raise ValueError("is cut off: a part of its PGM data is missing")
        if detect_format(data[end : end + MAGIC_BYTES].lstrip()) == "PGM":
            raise ValueError("is a PGM file of several images, expected one single image")
    elif 2 * rows * columns > len(data) - header.start + 1:
        raise ValueError("is cut off: a part of its PGM data is missing")
    return header


def decode_pgm(data: bytes) -> NDArray[Any]:
    """The samples ``(H, W)`` of a PGM file as stored, uint8 or uint16: 0 is black, the header's ``white`` is white.

    Raises
    ------
    ValueError
        As ``read_pgm_header``; also where a sample is no number, or larger than the header allows.
    """
    header = read_pgm_header(data)
    count = header.rows * header.columns
    if data.startswith(_BINARY):
        word = np.dtype(np.uint8 if header.bits == 8 else ">u2")
        samples = np.frombuffer(data, word, count, header.start)
    else:
        text = re.sub(rb"#[^\r\n]*", b"", data[header.start :])
        if re.fullmatch(rb"[\d\s]*", text) is None:
            raise ValueError("is damaged: a sample of its PGM data is not a number")
        samples = np.fromstring(text.decode("ascii"), dtype=np.int64, sep=" ")
        if samples.size != count:
            raise ValueError(f"is damaged: its PGM data has {samples.size} samples, expected {count}")
    largest = int(samples.max(initial=0))
    if largest > header.white or int(samples.min(initial=0)) < 0:
        raise ValueError(f"is damaged: a sample of its PGM data is {largest}, its header allows {header.white}")
    return samples.astype(np.uint8 if header.bits == 8 else np.uint16).reshape(header.rows, header.columns)
