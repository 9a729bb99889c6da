"""Phantoms in the layout that training and evaluation read: a mass in one breast, a cluster in the other, CC alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mammoscope.datasets.layout import Lesion, write_table
from mammoscope.example import PhantomLesion, PhantomSettings, PhantomView
from mammoscope.example.phantom import make_view

SETTINGS = PhantomSettings.model_validate({"calcifications": ("pleomorphic-regional",), "dose": 4})
ROWS, COLUMNS = 624, 480
_BOTH_BREASTS = (0, 1)  # places among the views of an exam


def write_phantoms(folder: Path, patients: int) -> Path:
    """Two images a patient; every lesion by its box, without crop or mask."""
    (folder / "images").mkdir(parents=True)
    lesions = []
    for seed in range(patients):
        for number in _BOTH_BREASTS:
            view = make_view(number, seed, ROWS, COLUMNS, SETTINGS)
            name = f"P_{seed:03d}_{view.laterality.name}_{view.view}.png"
            cv2.imwrite(str(folder / "images" / name), (view.pixels.astype(np.uint16) << 4))
            lesions += [_row(lesion, view, name, seed) for lesion in view.lesions]
    write_table(folder / "lesions.csv", lesions)
    return folder


def _row(lesion: PhantomLesion, view: PhantomView, name: str, seed: int) -> Lesion:
    x0, y0, x1, y1 = lesion.box
    return Lesion(
        image=name,
        patient_id=f"P_{seed:03d}",
        breast_side=view.laterality.name,
        view=view.view,
        abnormality_id=str(lesion.lesion),
        x=x0,
        y=y0,
        width=x1 - x0,
        height=y1 - y0,
        pathology="MALIGNANT" if seed % 2 else "BENIGN",
        assessment="4",
        subtlety="4",
        breast_density="2",
        mass_shape=lesion.features.get("shape", ""),
        mass_margins=lesion.features.get("margin", ""),
        crop="",
        mask="",
        crop_flipped=None,
        pixel_aspect=ROWS / COLUMNS,
        box_order_assumed=False,
        kind=lesion.kind,
    )
