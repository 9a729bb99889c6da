"""Twenty drawn breasts and a small dataset, the same bytes on every machine: whole numbers all the way.

Half of them are the phantom's views at small sizes, which look like tissue; half are painted here, for what the phantom
never shows: no breast, no mass, many masses, 8 bits, a breast as wide as the image, pixels that are not square.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example import write_view
from mammoscope.mammogram import Mammogram
from mammoscope.readers import read_mammogram

Mass = tuple[float, float, int, int]  # centre as a share of the width and of the height, radius in px, brightness 0-255

SMALL_PATIENTS = 9
_CROP = 256


@dataclass(frozen=True)
class Phantom:
    """A view of the phantom exam; every n-th row or column alone makes its pixels longer than wide, or wider."""

    seed: int
    view: int
    rows: int = 832
    columns: int = 640
    every_row: int = 1
    every_column: int = 1

    def mammogram(self, folder: Path, name: str) -> Mammogram:
        """Drawn, written as DICOM and read again."""
        path = folder / f"{name}.dcm"
        write_view(path, self.view, self.seed, self.rows, self.columns)
        whole = read_mammogram(path)
        if self.every_row == self.every_column == 1:
            return whole
        pixels = np.ascontiguousarray(whole.pixels[:: self.every_row, :: self.every_column])
        return replace(whole, pixels=pixels, spacing=None, pixel_aspect=self.every_row / self.every_column)


@dataclass(frozen=True)
class Painted:
    """A half ellipse with grain, and round masses in it."""

    seed: int
    height: int = 800
    width: int = 600
    masses: tuple[Mass, ...] = ()
    reach: float = 0.7  # of the breast into the image, as a share of the width; 0: no breast
    right: bool = False
    deep: bool = True  # 16 bits a pixel, else 8
    pixel_aspect: float = 1.0
    grain: int = 40

    def mammogram(self, folder: Path, name: str) -> Mammogram:
        """Painted, written as PNG and read again."""
        path = folder / f"{name}.png"
        pixels = self.pixels()
        _write(path, pixels.astype(np.uint16) * np.uint16(257) if self.deep else pixels)
        return replace(read_mammogram(path), pixel_aspect=self.pixel_aspect)

    def pixels(self) -> NDArray[np.uint8]:
        """``(height, width) uint8``."""
        shape = (self.height, self.width)
        breast = np.zeros(shape, dtype=np.uint8)
        axes = (int(self.width * self.reach), int(self.height * 0.42))
        if self.reach:
            cv2.ellipse(breast, (0, self.height // 2), axes, 0, -90, 90, 1, cv2.FILLED)
        image = np.full(shape, 95, dtype=np.int32) + self._grain()
        for mass in self.masses:
            disc = cv2.GaussianBlur(self.mask(mass), (9, 9), 0).astype(np.int32)
            image += (mass[3] - image) * disc // 255
        pixels = (np.clip(image, 12, 255) * breast).astype(np.uint8)
        return np.ascontiguousarray(pixels[:, ::-1]) if self.right else pixels

    def mask(self, mass: Mass) -> NDArray[np.uint8]:
        """``(height, width) uint8``, 255 on the mass, as in a left breast."""
        disc = np.zeros((self.height, self.width), dtype=np.uint8)
        x, y, radius, _ = mass
        centre = (int(x * self.width), int(y * self.height))
        cv2.ellipse(disc, centre, (radius, radius * 3 // 4 + self.seed % 3), self.seed * 37 % 180, 0, 360, 255, -1)
        return disc

    def _grain(self) -> NDArray[np.int32]:
        rng = np.random.default_rng(self.seed)
        noise = rng.integers(0, 256, (self.height, self.width), dtype=np.uint8)
        # OpenCV blurs 8 bits in whole numbers, so that every processor gives the same.
        coarse = cv2.GaussianBlur(noise, (31, 31), 0).astype(np.int32) - 128
        fine = cv2.GaussianBlur(noise, (5, 5), 0).astype(np.int32) - 128
        return np.asarray((coarse * self.grain * 8 + fine * self.grain) // 100, dtype=np.int32)


BREASTS: dict[str, Phantom | Painted] = {
    "phantom-left": Phantom(1, 1),
    "phantom-right": Phantom(1, 0),
    "phantom-oblique-left": Phantom(2, 3),
    "phantom-oblique-right": Phantom(3, 2),
    "phantom-tall": Phantom(4, 3, rows=1200, columns=500),
    "phantom-wide": Phantom(5, 1, rows=640, columns=900),
    "phantom-small": Phantom(6, 2, rows=300, columns=240),
    "phantom-fine": Phantom(7, 1, rows=1248, columns=960),
    "phantom-every-second-row": Phantom(0, 3, rows=1200, columns=920, every_row=2),
    "phantom-every-third-column": Phantom(0, 1, rows=1000, columns=900, every_column=3),
    "no-breast": Painted(11, reach=0),
    "no-mass": Painted(12, grain=0),
    "one-mass": Painted(13, masses=((0.35, 0.5, 26, 210),)),
    "one-mass-right": Painted(14, masses=((0.3, 0.4, 30, 230),), right=True),
    "three-masses": Painted(15, masses=((0.2, 0.35, 22, 220), (0.45, 0.5, 18, 200), (0.25, 0.7, 28, 240))),
    "six-faint-masses": Painted(16, masses=tuple((0.1 + 0.08 * i, 0.3 + 0.08 * i, 16, 150) for i in range(6))),
    "mass-at-the-wall": Painted(17, masses=((0.0, 0.5, 30, 220),)),
    "eight-bits": Painted(18, masses=((0.4, 0.55, 24, 200),), deep=False),
    "breast-over-the-edge": Painted(19, masses=((0.6, 0.5, 26, 210),), reach=1.3),
    "long-pixels-right": Painted(20, 500, 640, masses=((0.4, 0.45, 24, 215),), right=True, pixel_aspect=1.7),
}


def drawn_breasts(folder: Path) -> Iterator[tuple[str, Mammogram]]:
    """The name and the image of each; ``folder`` is for the files that they are read from."""
    for name, breast in BREASTS.items():
        yield name, breast.mammogram(folder, name)


def write_small_dataset(folder: Path) -> Path:
    """A dataset of fourteen images with seventeen masses, in the layout of the release, written without its code."""
    for name in ("images", "crops", "masks"):
        (folder / name).mkdir(parents=True)
    rows = [
        row
        for patient in range(SMALL_PATIENTS)
        for view in (("CC", "MLO") if patient % 2 or patient == 0 else ("CC",))
        for row in _write_breast(folder, patient, view)
    ]
    with (folder / "lesions.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def _write_breast(folder: Path, patient: int, view: str) -> Iterator[dict[str, object]]:
    rng = np.random.default_rng([patient, len(view)])
    malignant, right = patient % 2 == 0, patient % 3 == 0
    count = 2 if patient in {0, 4} else 1
    masses = tuple(
        (0.15 + int(rng.integers(25)) / 100, 0.3 + 0.25 * place, int(rng.integers(14, 30)), 235 if malignant else 180)
        for place in range(count)
    )
    breast = Painted(100 + patient, 480, 400, masses, right=right)
    stem = f"H_{patient:03d}_{'RIGHT' if right else 'LEFT'}_{view}"
    pixels = breast.pixels()
    _write(folder / "images" / f"{stem}.png", pixels)
    for number, mass in enumerate(masses, start=1):
        mask = breast.mask(mass)
        mask = np.ascontiguousarray(mask[:, ::-1]) if right else mask
        box = cv2.boundingRect(mask)
        name = f"{stem}_{number}.png"
        _write(folder / "crops" / name, _crop(pixels, box, cv2.INTER_LINEAR_EXACT))
        _write(folder / "masks" / name, _crop(mask, box, cv2.INTER_NEAREST))
        yield {
            "image": f"{stem}.png",
            "patient_id": f"H_{patient:03d}",
            "breast_side": "RIGHT" if right else "LEFT",
            "view": view,
            "abnormality_id": number,
            **dict(zip(("x", "y", "width", "height"), box, strict=True)),
            "pathology": "MALIGNANT" if malignant else ("BENIGN", "BENIGN_WITHOUT_CALLBACK")[patient % 4 // 2],
            "assessment": 4,
            "subtlety": 3,
            "breast_density": 1 + patient % 4,
            "mass_shape": "IRREGULAR" if malignant else "OVAL",
            "mass_margins": "SPICULATED" if malignant else "CIRCUMSCRIBED",
            "crop": name,
            "mask": name,
            "crop_flipped": 0,
            "pixel_aspect": "" if patient == 5 else 1.2,
            "box_order_assumed": 0,
        }


def _crop(pixels: NDArray[np.uint8], box: tuple[int, int, int, int], interpolation: int) -> NDArray[np.uint8]:
    x, y, width, height = box
    side = max(width, height)
    padded = cv2.copyMakeBorder(pixels, side, side, side, side, cv2.BORDER_CONSTANT)
    left, top = x + width // 2 + side // 2, y + height // 2 + side // 2
    window = padded[top : top + side, left : left + side]
    return np.asarray(cv2.resize(window, (_CROP, _CROP), interpolation=interpolation), dtype=np.uint8)


def _write(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f"{path}: cannot be written")
