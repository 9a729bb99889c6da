"""A small dataset in the layout that training and evaluation read: drawn breasts with drawn masses, no real pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from mammoscope.datasets.layout import Lesion, write_table
from mammoscope.stages.roi import cut_roi

_HEIGHT, _WIDTH = 320, 240


def write_dataset(folder: Path, patients: int = 10, seed: int = 0, views: Sequence[str] = ("CC",)) -> Path:
    """Write mammograms of ``patients``, one mass each, every second one malignant (brighter and larger).

    Where there are several views, all show the mass, as far from the chest wall on each.
    """
    for name in ("images", "crops", "masks"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    lesions = []
    for number, view in product(range(patients), views):
        malignant = number % 2 == 0
        side = "LEFT" if number % 3 else "RIGHT"
        depth = 40 + 29 * number % 70 if len(views) > 1 else None
        pixels, mass = _drawn(rng, depth, malignant=malignant, mirrored=side == "RIGHT")
        stem = f"S_{number:03d}_{side}_{view}"
        cv2.imwrite(str(folder / "images" / f"{stem}.png"), pixels)
        x, y, width, height = cv2.boundingRect(mass)
        box = np.array([x, y, x + width, y + height])
        cv2.imwrite(str(folder / "crops" / f"{stem}_1.png"), cut_roi(pixels, box, 1.0).pixels)
        cv2.imwrite(str(folder / "masks" / f"{stem}_1.png"), (cut_roi(mass, box, 1.0).pixels > 127) * np.uint8(255))
        lesions.append(
            Lesion(
                image=f"{stem}.png",
                patient_id=f"S_{number:03d}",
                breast_side=side,
                view=view,
                abnormality_id="1",
                x=x,
                y=y,
                width=width,
                height=height,
                pathology="MALIGNANT" if malignant else "BENIGN",
                assessment="4",
                subtlety="4",
                breast_density="2",
                mass_shape="OVAL",
                mass_margins="CIRCUMSCRIBED",
                crop=f"{stem}_1.png",
                mask=f"{stem}_1.png",
                crop_flipped=False,
                pixel_aspect=_HEIGHT / _WIDTH,
                box_order_assumed=False,
            )
        )
    write_table(folder / "lesions.csv", lesions)
    return folder


def _drawn(
    rng: np.random.Generator, depth: int | None, *, malignant: bool, mirrored: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A breast against the left edge, or mirrored, and the mask of its mass; ``(H, W) uint8`` each."""
    breast = np.zeros((_HEIGHT, _WIDTH), dtype=np.uint8)
    cv2.ellipse(breast, (0, _HEIGHT // 2), (int(_WIDTH * 0.7), int(_HEIGHT * 0.42)), 0, -90, 90, 1, cv2.FILLED)
    grain = cv2.GaussianBlur(rng.normal(0, 60, breast.shape), (0, 0), 3)
    pixels = np.clip((90 + grain) * breast, 0, 255)
    mass = np.zeros_like(breast)
    centre = (int(rng.integers(40, 110)) if depth is None else depth, int(rng.integers(110, 210)))
    axes = (int(rng.integers(14, 20)), int(rng.integers(14, 20))) if malignant else (10, 12)
    cv2.ellipse(mass, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, cv2.FILLED)
    pixels = np.where(mass > 0, 200 if malignant else 160, pixels).astype(np.uint8)
    pixels = cv2.GaussianBlur(pixels, (3, 3), 0) * breast
    return (pixels[:, ::-1].copy(), mass[:, ::-1].copy()) if mirrored else (pixels, mass)
