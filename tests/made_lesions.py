"""Rows of a lesion table that need no files."""

from __future__ import annotations

from mammoscope.datasets.layout import Lesion


def made_lesion(**fields: object) -> Lesion:
    """A benign lesion of which nothing else is known, with some fields set."""
    row: dict[str, object] = {
        "image": "a.png",
        "patient_id": "P1",
        "breast_side": "LEFT",
        "view": "CC",
        "abnormality_id": "1",
        "x": 0.0,
        "y": 0.0,
        "width": 10.0,
        "height": 10.0,
        "pathology": "BENIGN",
        "crop_flipped": None,
        "pixel_aspect": 1.0,
        "box_order_assumed": False,
    }
    texts = ("assessment", "subtlety", "breast_density", "mass_shape", "mass_margins", "crop", "mask")
    return Lesion(**{**dict.fromkeys(texts, ""), **row, **fields})  # type: ignore[arg-type]
