"""The label burnt into the background, like a film's lead marker: side, view, and that the exam is synthetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mammoscope.mammogram import Laterality
from mammoscope.writers.overlay.fonts import font

_LABEL_LEVEL = 3600
_LABEL_WIDTH_MM = 46.0
_MARGIN_MM = 6.0


def burn_label(pixels: NDArray[np.uint16], laterality: Laterality, view: str, seed: int, spacing_mm: float) -> None:
    """Write the label into ``pixels (H, W) uint16`` in place, in the upper corner away from the chest wall."""
    width = round(_LABEL_WIDTH_MM / spacing_mm)
    lines = ("SYNTHETIC PHANTOM", f"NOT A PATIENT  SEED {seed}")
    small_size = max(6, width // 13)
    longest = max(font(small_size).getlength(line) for line in lines)
    small = font(max(6, int(small_size * min(1.0, 0.94 * width / longest))))
    large = font(max(8, width // 5), bold=True)
    height = round(0.46 * width)
    label = Image.new("L", (width, height))
    draw = ImageDraw.Draw(label)
    stroke = max(1, width // 160)
    draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=width // 24, outline=255, width=stroke)
    draw.text((width / 2, 0.27 * height), f"{laterality[0]} {view}", 255, large, anchor="mm")
    draw.text((width / 2, 0.60 * height), lines[0], 255, small, anchor="mm")
    draw.text((width / 2, 0.82 * height), lines[1], 255, small, anchor="mm")
    margin = round(_MARGIN_MM / spacing_mm)
    left = pixels.shape[1] - width - margin if laterality is Laterality.LEFT else margin
    window = pixels[margin : margin + height, left : left + width]
    ink = np.asarray(label, dtype=np.uint16)[: window.shape[0], : window.shape[1]]
    np.maximum(window, (ink.astype(np.uint32) * _LABEL_LEVEL // 255).astype(np.uint16), out=window)
