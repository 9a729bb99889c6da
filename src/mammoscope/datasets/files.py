"""Images of a dataset on disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.files import write_bytes


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write a grey image ``(H, W)`` without loss, with 8 or 16 bits a pixel as it has."""
    # OpenCV's default (run lengths of the filtered rows) suits mammograms: a higher level is slower and not smaller.
    _, encoded = cv2.imencode(".png", pixels)
    write_bytes(path, encoded.tobytes())


def link_or_copy(source: Path, target: Path) -> None:
    """Link a file under a second name, or copy it if the file system cannot link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
