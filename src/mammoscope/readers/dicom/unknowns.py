"""The one sentence that says what a file does not state."""

from __future__ import annotations

from mammoscope.mammogram import Laterality, PixelSpacing


def not_stated(laterality: Laterality | None, view: str | None, spacing: PixelSpacing | None) -> str | None:
    """What a mammogram does not state and what follows from it; None if all is known."""
    known = {"laterality": laterality, "view": view, "pixel spacing": spacing}
    missing = [name for name, value in known.items() if value is None]
    if not missing:
        return None
    listed = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    follows = "; sizes in millimetres cannot be given" if spacing is None else ""
    return f"The file does not say the {listed}{follows}."
