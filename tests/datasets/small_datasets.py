"""Small datasets in the dataset layout, written by the tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.layout import Dataset, Lesion, load_dataset, write_table

SIZE = 200
_ROW = Lesion(
    image="", patient_id="", breast_side="LEFT", view="CC", abnormality_id="1", x=40, y=60, width=30, height=20,
    pathology="MALIGNANT", assessment="4", subtlety="5", breast_density="3", mass_shape="OVAL",
    mass_margins="SPICULATED", crop="", mask="", crop_flipped=False, pixel_aspect=None, box_order_assumed=False,
)  # fmt: skip


def lesion(patient: str, image: str = "", **changes: Any) -> Lesion:
    """A row of the table, on an image of the patient's."""
    return replace(_ROW, **{"patient_id": patient, "image": image or f"{patient}_LEFT_CC.png", **changes})


def breast(seed: int, size: int = SIZE) -> NDArray[np.uint8]:
    """A half ellipse at the left border with a texture of its own, cloudy at every scale as tissue is."""
    rng = np.random.default_rng(seed)
    texture = np.zeros((size, size), np.float32)
    for cells in (6, 12, 25, 50, 100):
        noise = rng.normal(size=(cells, cells)).astype(np.float32)
        texture += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) / cells**0.5
    y, x = np.mgrid[0:size, 0:size] / size
    inside = ((y - 0.5) / (0.4 + 0.02 * (seed % 4))) ** 2 + (x / (0.6 + 0.03 * (seed % 3))) ** 2 < 1
    return np.where(inside, np.clip(120 + 60 * texture, 30, 255), 4).astype(np.uint8)


def write(folder: Path, rows: list[Lesion], images: dict[str, NDArray[Any]] | None = None) -> Dataset:
    """Write a dataset with an image for each name in the rows, and load it."""
    for name in ("images", "crops", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[8:56, 8:56] = 255
    for number, row in enumerate(rows):
        path = folder / "images" / row.image
        if not path.exists():
            pixels = (images or {}).get(row.image)
            cv2.imwrite(str(path), breast(number) if pixels is None else pixels)
        if row.crop:
            cv2.imwrite(str(folder / "crops" / row.crop), breast(number, 64))
        if row.mask:
            cv2.imwrite(str(folder / "masks" / row.mask), mask)
    write_table(folder / "lesions.csv", rows)
    return load_dataset(folder)
