"""Write files so that a reader, or a run that goes on after a crash, never meets half of one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import DatasetError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of ``path``; what the block writes there takes the place of ``path`` at its end.

    Raises
    ------
    DatasetError
        The file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)  # noqa: PTH105 (works on Windows where the target exists)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file as a whole."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a grey image ``(H, W)`` without loss, with 8 or 16 bits a pixel as it has."""
    # OpenCV's own setting (run lengths of the filtered rows) suits films: a higher level is slower and not smaller.
    _, encoded = cv2.imencode(".png", pixels)
    write_bytes(path, encoded.tobytes())


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or where the file system cannot, a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
