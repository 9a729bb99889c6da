"""Different small images without a breast."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def make_images(folder: Path, count: int, side: int = 64) -> Path:
    """A folder of so many PNG files, a hundred to a folder in it; no two have the same bytes."""
    for number in range(count):
        pixels = np.full((side, side), 7, np.uint8)
        pixels[0, :3] = number % 20, number // 20 % 20, number // 400 % 20
        inside = folder / f"{number // 100:02}"
        inside.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(inside / f"{number:05}.png"), pixels)
    return folder
