"""Stand-ins for ``read_mammogram`` that do what a hostile file makes a codec do. They run in the worker, by name."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np

from mammoscope.errors import InputError
from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing
from mammoscope.readers import Limits
from mammoscope.readers.exam_key import ExamSecret


def read(path: Path, limits: Limits, secret: ExamSecret) -> Mammogram:
    """Behave as the file is named; any other name gives a mammogram."""
    if path.name == "abort":
        os.abort()
    if path.name == "segfault":
        ctypes.string_at(0)
    if path.name == "exit":
        os._exit(0)
    if path.name == "hang":
        time.sleep(600)
    if path.name == "bloat":
        np.ones(10 << 27)  # 10 GiB
    if path.name == "refuse":
        raise InputError(path, "Rows (0028,0010) is 0")
    if path.name == "fault":
        raise ZeroDivisionError("Secret^Patient")
    if path.name == "noise":
        print("noise" * 10_000)  # noqa: T201
        os.write(1, b"noise on standard output\n")
        os.write(2, b"noise on standard error\n")
        sys.stderr.write("more noise\n")
    return Mammogram(
        pixels=np.arange(100 * 80, dtype=np.uint16).reshape(100, 80),
        name=path.name,
        sha256="0" * 64,
        file_format="DICOM",
        bits=12,
        laterality=Laterality.RIGHT,
        view="CC",
        spacing=PixelSpacing(0.07, 0.08, "ImagerPixelSpacing"),
        pixel_aspect=0.07 / 0.08,
        sop_instance_uid="1.2.3",
        modality="MG",
        manufacturer="Mäker",
        warnings=("One.", "Two.", str(os.getpid())),
        exam_key=secret.key_of("1.2", ["Secret^Patient"]),
    )


def read_oversized(path: Path, limits: Limits, secret: ExamSecret) -> Mammogram:
    """Answer with an image beyond the limits, as a worker that was taken over might."""
    good = read(path, limits, secret)
    return Mammogram(np.zeros((limits.max_side + 1, 64), np.uint16), good.name, good.sha256, "DICOM", 12)
