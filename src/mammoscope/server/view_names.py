"""Names for images of a file, which tell nothing of the upload's name."""

from __future__ import annotations

from mammoscope.server.models import File


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
