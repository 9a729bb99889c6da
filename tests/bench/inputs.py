"""The files that are timed: one view of the phantom in several transfer syntaxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
from pydicom import dcmread, uid

from mammoscope.example.exam import write_view
from readers.dicom_files import jpeg2000, lossless_jpeg, save

ROWS, COLUMNS = 4664, 3064  # 14.3 million pixels, as a scanned film has
_L_MLO = 3
_ENCODERS: dict[str, tuple[str, Callable[[Any], bytes]]] = {
    "JPEG lossless": (uid.JPEGLosslessSV1, lossless_jpeg(1)),
    "JPEG-LS lossless": (uid.JPEGLSLossless, lambda stored: bytes(imagecodecs.jpegls_encode(stored))),
    "JPEG 2000 lossless": (uid.JPEG2000Lossless, jpeg2000),
    "HTJ2K lossless": (uid.HTJ2KLossless, lambda stored: bytes(imagecodecs.htj2k_encode(stored, reversible=True))),
}


def write_inputs(
    folder: Path, rows: int = ROWS, columns: int = COLUMNS, starts: tuple[str, ...] = ("",)
) -> dict[str, Path]:
    """Write the phantom's L MLO uncompressed and in each syntax, as far as names start so; the files by their names."""
    plain = folder / "uncompressed.dcm"
    write_view(plain, _L_MLO, rows=rows, columns=columns)
    files = {name: plain for name in ("uncompressed",) if name.startswith(starts)}
    for name, (syntax, encode) in _ENCODERS.items():
        if not name.startswith(starts):
            continue
        dataset = dcmread(plain)
        path = folder / f"{name.replace(' ', '-')}.dcm"
        files[name] = save(path, dataset, syntax, [bytes(encode(dataset.pixel_array))])
    return files
