"""Read one file, whichever of the formats it is."""

from __future__ import annotations

from pathlib import Path

from mammoscope.errors import InputError
from mammoscope.mammogram import Mammogram
from mammoscope.readers.exam_key import RUN_SECRET, ExamSecret
from mammoscope.readers.limits import DEFAULT_LIMITS, Limits
from mammoscope.readers.source import MAGIC_BYTES, detect_format, read_source


def read_mammogram(path: Path, limits: Limits = DEFAULT_LIMITS, secret: ExamSecret = RUN_SECRET) -> Mammogram:
    """Read a DICOM, PNG, JPEG, TIFF or PGM file; its content says which it is. Exam keys are made with ``secret``.

    It decodes in this process: for untrusted files use ``IsolatedReader``.

    Raises
    ------
    InputError
        The file cannot be analysed; says why.
    """
    path = Path(path)
    try:
        source = read_source(path, limits)
        file_format = detect_format(source.data[:MAGIC_BYTES])
        if file_format is None:
            raise source.error("is not a DICOM, PNG, JPEG, TIFF or PGM file")
        # The libraries of each format are loaded when a file needs them.
        if file_format == "DICOM":
            from mammoscope.readers.dicom.file import read_dicom  # noqa: PLC0415

            return read_dicom(source, limits, secret)
        from mammoscope.readers.raster.file import read_raster  # noqa: PLC0415

        return read_raster(source, file_format, limits)
    except MemoryError as error:
        raise InputError(path, "needs more memory to decode than there is") from error
