"""A mammogram as it goes through a pipe: JSON for what is known of it, then its pixels. Nothing is pickled.

The side that decodes files is the one that a hostile file may take over, so the other side trusts nothing it says:
every length is bounded and every value checked.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mammoscope.mammogram import Laterality, Mammogram, PixelSpacing

_LENGTH = struct.Struct(">I")
_LONGEST_MESSAGE = 1 << 20
_TEXTS = ("name", "sha256", "file_format", "view", "sop_instance_uid", "modality", "manufacturer")


def take_over_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """A worker's requests and replies, on private descriptors, so that nothing a library prints gets among them."""
    requests, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, replies


def send_message(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Write one JSON object."""
    body = json.dumps(message).encode("ascii")
    _send_all(stream, memoryview(_LENGTH.pack(len(body)) + body))


def receive_message(stream: BinaryIO) -> dict[str, Any]:
    """Read one JSON object.

    Raises
    ------
    EOFError
        The other side is gone.
    ValueError
        What came is no message.
    """
    (length,) = _LENGTH.unpack(_receive(stream, _LENGTH.size))
    if length > _LONGEST_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    message = json.loads(bytes(_receive(stream, length)))
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message


def send_pixels(stream: BinaryIO, pixels: NDArray[np.uint16]) -> None:
    """Write the pixels ``(H, W) uint16``."""
    _send_all(stream, np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)


def receive_pixels(stream: BinaryIO, rows: int, columns: int) -> NDArray[np.uint16]:
    """Read pixels ``(rows, columns) uint16``.

    Raises
    ------
    EOFError
        The other side is gone.
    """
    pixels = np.empty((rows, columns), dtype=np.uint16)
    _receive_into(stream, pixels.reshape(-1).view(np.uint8).data)
    return pixels


def to_facts(mammogram: Mammogram) -> dict[str, Any]:
    """Everything about a mammogram but its pixels, for JSON."""
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
        raise ValueError("a fact that is no text")
    side, spacing = facts["laterality"], facts["spacing"]
    return Mammogram(
        pixels=pixels,
        bits=int(facts["bits"]),
        laterality=None if side is None else Laterality(side),
        spacing=None if spacing is None else PixelSpacing(float(spacing[0]), float(spacing[1]), str(spacing[2])),
        pixel_aspect=float(facts["pixel_aspect"]),
        warnings=tuple(str(warning) for warning in facts["warnings"]),
        **texts,
    )


def _send_all(stream: BinaryIO, left: memoryview) -> None:
    while left:
        left = left[stream.write(left) :]


def _receive(stream: BinaryIO, count: int) -> bytearray:
    data = bytearray(count)
    _receive_into(stream, memoryview(data))
    return data


def _receive_into(stream: BinaryIO, buffer: memoryview) -> None:
    while buffer:
        received = stream.readinto(buffer)  # type: ignore[attr-defined]
        if not received:
            raise EOFError
        buffer = buffer[received:]
