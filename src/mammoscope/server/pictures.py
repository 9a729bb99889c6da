"""A stored analysis as its pictures show it: with its pixels, under a name that says nothing."""

from __future__ import annotations

import numpy as np

from mammoscope.findings import Analysis
from mammoscope.mammogram import Mammogram, PixelSpacing
from mammoscope.server.files import FilePlace
from mammoscope.server.models import File


def stored_mammogram(place: FilePlace, analysis: Analysis) -> Mammogram:
    """The mammogram that was analysed.

    Raises
    ------
    OSError
        Its pixels are gone.
    """
    facts = analysis.input
    pixels = np.fromfile(place.original, dtype="<u2").astype(np.uint16, copy=False)
    spacing = facts.spacing
    return Mammogram(
        pixels=pixels.reshape(facts.rows, facts.columns),
        name=facts.name,
        sha256=facts.sha256,
        file_format=facts.file_format,
        bits=facts.bits,
        laterality=facts.laterality,
        view=facts.view,
        spacing=None if spacing is None else PixelSpacing(spacing.row_mm, spacing.column_mm, spacing.source),
        pixel_aspect=facts.pixel_aspect,
        warnings=analysis.warnings,
    )


def shown_view(file: File) -> str:
    """``"L MLO"``; empty where neither side nor view is known."""
    if file.view is None:
        return ""
    return " ".join(part for part in ((file.view.laterality or "")[:1], file.view.view or "") if part)


def download_name(file: File, ending: str) -> str:
    """``"mammoscope-1-L-MLO.overlay.png"``: number, side and view, and nothing of the upload's name."""
    view = "".join(
        sign for sign in shown_view(file).replace(" ", "-") if sign.isascii() and (sign.isalnum() or sign == "-")
    )
    return "-".join(part for part in ("mammoscope", str(file.number + 1), view) if part) + f".{ending}"
