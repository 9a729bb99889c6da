"""Images of women who could be taken for one another: files that differ only in what tells their exams apart."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydicom.uid import generate_uid

from readers.dicom_files import breast, mammogram, save

STUDY = "1.2.826.0.1.3680043.8.498.77310"
OTHER_STUDY = "1.2.826.0.1.3680043.8.498.77311"
ANNA: dict[str, Any] = {
    "StudyInstanceUID": STUDY,
    "PatientID": "ANNA-77310",
    "IssuerOfPatientID": "HOSPITAL",
    "PatientName": "Beispiel^Anna",
    "PatientBirthDate": "19391113",
}
BERTA: dict[str, Any] = {
    **ANNA,
    "StudyInstanceUID": OTHER_STUDY,
    "PatientID": "BERTA-77311",
    "PatientName": "Beispiel^Berta",
    "PatientBirthDate": "19450508",
}
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def image(path: Path, woman: dict[str, Any], side: str = "L", view: str = "MLO", **changes: Any) -> Path:
    """A small mammogram of a woman, each of other pixels; ``None`` drops an element."""
    strength = 1 - (zlib.crc32(f"{side} {view} {woman}".encode()) % 250) / 1000
    stored = (breast() * strength).astype(np.uint16)
    own = {"SOPInstanceUID": generate_uid(), "ImageLaterality": side, "ViewPosition": view}
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, mammogram(stored, **{**woman, **own, **changes}))


def four_views(folder: Path, woman: dict[str, Any], prefix: str = "") -> list[Path]:
    """The standard views of a woman."""
    return [image(folder / f"{prefix}{side}-{view}.dcm", woman, side, view) for side, view in VIEWS]


def picture(path: Path) -> Path:
    """The same breast as a PNG, which says of nobody whose it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), (breast() >> 4).astype(np.uint8))
    return path
