"""A mammogram as it is sent through a pipe or stored on disk: its facts as JSON, and its pixels.

A hostile file may take over the process that decodes it, so the other process checks every value that it receives.
"""

from __future__ import annotations

import re
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing
from mammoscope.processes.messages import receive_into, send_bytes

_EXAM_KEY = re.compile("[0-9a-f]{64}")
_TEXTS = ("name", "sha256", "file_format", "view", "sop_instance_uid", "modality", "manufacturer")


def send_pixels(stream: BinaryIO, pixels: NDArray[np.uint16]) -> None:
    """Write the pixels ``(H, W) uint16``."""
    send_bytes(stream, np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)


def receive_pixels(stream: BinaryIO, rows: int, columns: int) -> NDArray[np.uint16]:
    """Read pixels ``(rows, columns) uint16``.

    Raises
    ------
    EOFError
        The other side is gone.
    """
    pixels = np.empty((rows, columns), dtype=np.uint16)
    receive_into(stream, pixels.reshape(-1).view(np.uint8).data)
    return pixels


def to_facts(mammogram: Mammogram) -> dict[str, Any]:
    """Everything about a mammogram but its pixels, for the pipe: the exam key is not to be written."""
    spacing = mammogram.spacing
    return {
        **{name: getattr(mammogram, name) for name in _TEXTS},
        "rows": mammogram.height,
        "columns": mammogram.width,
        "bits": mammogram.bits,
        "laterality": mammogram.laterality,
        "spacing": None if spacing is None else [spacing.row_mm, spacing.column_mm, spacing.source],
        "pixel_aspect": mammogram.pixel_aspect,
        "warnings": list(mammogram.warnings),
        "exam_key": mammogram.exam_key,
    }


def from_facts(facts: dict[str, Any], pixels: NDArray[np.uint16]) -> Mammogram:
    """The mammogram of these facts and pixels ``(H, W) uint16``.

    Raises
    ------
    KeyError, TypeError, ValueError
        The facts are not those of a mammogram.
    """
    texts = {name: facts[name] for name in _TEXTS}
    if not all(value is None or isinstance(value, str) for value in texts.values()):
        raise ValueError("a fact that is not text")
    side, spacing = facts["laterality"], facts["spacing"]
    return Mammogram(
        pixels=pixels,
        bits=int(facts["bits"]),
        laterality=None if side is None else Laterality(side),
        spacing=None if spacing is None else PixelSpacing(float(spacing[0]), float(spacing[1]), str(spacing[2])),
        pixel_aspect=float(facts["pixel_aspect"]),
        warnings=tuple(str(warning) for warning in facts["warnings"]),
        exam_key=checked_exam_key(facts.get("exam_key")),  # facts on disk may be of a version that had none
        **texts,
    )


def checked_exam_key(value: object) -> str | None:
    """What came as an exam key; ValueError where it is none, and would be a way to say more."""
    if value is None:
        return None
    if not isinstance(value, str) or not _EXAM_KEY.fullmatch(value):
        raise ValueError("an exam key that is none")
    return value
