"""Fonts for overlays: the DejaVu Sans files bundled with matplotlib, found without importing it."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from mammoscope.errors import MammoscopeError


@lru_cache(maxsize=64)
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at ``size`` pixels.

    Raises
    ------
    MammoscopeError
        The installation of matplotlib, which bundles the font, is incomplete.
    """
    spec = find_spec("matplotlib")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(str(spec.origin if spec else "")).parent / "mpl-data" / "fonts" / "ttf" / name
    try:
        return ImageFont.truetype(str(path), size)
    except OSError:
        raise MammoscopeError(f"{path}: the font bundled with matplotlib cannot be read") from None
