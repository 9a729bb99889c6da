"""A synthetic four-view exam that looks like mammograms. It shows that the program works, not how accurate it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example.anatomy import (
    FIELD_HEIGHT_MM,
    FIELD_WIDTH_MM,
    Patient,
    craniocaudal,
    mediolateral_oblique,
)
from mammoscope.example.label import burn_label
from mammoscope.example.mass import mass_outline, render_mass
from mammoscope.example.tissue import filled, thickness, tissue_density
from mammoscope.mammogram import Laterality

WHITE = 4095  # 12 bits
ROWS, COLUMNS = 3328, 2560
EXAM_VIEWS = tuple((side, view) for view in ("CC", "MLO") for side in (Laterality.RIGHT, Laterality.LEFT))
_WORK_MM = 0.14  # tissue is drawn at this pixel size and enlarged; noise is added at full size
_TISSUE_RANGE, _BACKGROUND = 0.86, 26
_SMALLEST_SIDE = 200
_LARGEST_SEED = (1 << 32) - 1


@dataclass(frozen=True, eq=False)
class PhantomMass:
    """A mass of the phantom.

    Attributes
    ----------
    outline
        ``(N, 2) float64`` closed polygon of (x, y), frame ``original``.
    malignant
        Whether it was drawn with the features of a malignant mass.
    """

    outline: NDArray[np.float64]
    malignant: bool

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) around the outline, frame ``original``."""
        (x0, y0), (x1, y1) = self.outline.min(axis=0), self.outline.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)


@dataclass(frozen=True, eq=False)
class PhantomView:
    """One view of the phantom.

    Attributes
    ----------
    pixels
        ``(H, W) uint16`` of 12 bits, frame ``original``, brighter is denser; a label is burnt into the background.
    breast
        ``(H, W) bool``: True on the breast.
    laterality, view
        Which breast, and ``"CC"`` or ``"MLO"``.
    spacing_mm
        Size of a (square) pixel.
    masses
        What a perfect analysis would find.
    """

    pixels: NDArray[np.uint16]
    breast: NDArray[np.bool_]
    laterality: Laterality
    view: str
    spacing_mm: float
    masses: tuple[PhantomMass, ...]


def make_exam(seed: int, rows: int = ROWS, columns: int = COLUMNS) -> tuple[PhantomView, ...]:
    """The views of ``EXAM_VIEWS``; one breast holds one mass, seen in both of its views. Raises as ``make_view``."""
    return tuple(make_view(number, seed, rows, columns) for number in range(len(EXAM_VIEWS)))


def make_view(number: int, seed: int, rows: int = ROWS, columns: int = COLUMNS) -> PhantomView:
    """One view of an exam.

    Parameters
    ----------
    number
        Its place in ``EXAM_VIEWS``.
    seed
        The same seed gives the same exam; 0 to 4294967295.
    rows, columns
        Size of each view. The field is that of a small detector (18 x 24 cm) at any size.

    Raises
    ------
    ValueError
        The size is too small to hold a breast and a label, or the seed is out of range.
    """
    if not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(f"seed is {seed}, it must be in the range (0, {_LARGEST_SEED})")
    if min(rows, columns) < _SMALLEST_SIDE:
        raise ValueError(f"a phantom of {rows} x {columns} is too small: each side must be {_SMALLEST_SIDE} or more")
    rng = np.random.default_rng([seed, 0])
    patient = Patient.draw(rng)
    side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
    lesion = _Lesion.draw(rng)
    laterality, view = EXAM_VIEWS[number]
    return _make_view(
        np.random.default_rng([seed, 1 + number]),
        patient,
        lesion if laterality is side else None,
        laterality=laterality,
        view=view,
        size=(rows, columns),
        seed=seed,
    )


@dataclass(frozen=True)
class _Lesion:
    """Where the mass lies: its distance from the nipple is the same in both views."""

    from_nipple_mm: float
    angle_cc: float
    angle_mlo: float
    diameter_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Lesion:
        # The upper outer quadrant, where most cancers lie: above the nipple in both views.
        return cls(rng.uniform(44, 54), rng.uniform(0.25, 0.55), rng.uniform(0.2, 0.5), rng.uniform(14, 18))

    def centre(self, nipple: tuple[float, float], view: str) -> tuple[float, float]:
        angle = self.angle_cc if view == "CC" else self.angle_mlo
        return nipple[0] - self.from_nipple_mm * np.cos(angle), nipple[1] - self.from_nipple_mm * np.sin(angle)


def _make_view(
    rng: np.random.Generator,
    patient: Patient,
    lesion: _Lesion | None,
    *,
    laterality: Laterality,
    view: str,
    size: tuple[int, int],
    seed: int,
) -> PhantomView:
    rows, columns = size
    spacing = max(FIELD_HEIGHT_MM / rows, FIELD_WIDTH_MM / columns)
    shrink = max(1.0, _WORK_MM / spacing)
    shape = (round(rows / shrink), round(columns / shrink))
    mm = spacing * rows / shape[0]
    anatomy = craniocaudal(patient, rng, rows * spacing) if view == "CC" else mediolateral_oblique(patient, rng)

    breast = filled(anatomy.outline, shape, mm)
    tissue = tissue_density(rng, anatomy, patient, breast, mm)
    masses: tuple[PhantomMass, ...] = ()
    if lesion is not None:
        outline = mass_outline(rng, lesion.centre(anatomy.nipple, view), lesion.diameter_mm * rng.uniform(0.95, 1.0))
        density = render_mass(rng, shape, outline, mm)
        tissue += density * (np.float32(0.97) - tissue).clip(0.1, None) * np.float32(0.9)
        masses = (PhantomMass(outline / spacing, malignant=True),)
    image = tissue * thickness(breast, mm)

    full = np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    full = full * np.float32(_TISSUE_RANGE * WHITE) + np.float32(_BACKGROUND)
    full += rng.standard_normal(full.shape, dtype=np.float32) * (np.float32(6) + np.float32(0.012) * full)
    pixels = np.clip(full, 0, WHITE).astype(np.uint16)
    mask = cv2.resize(breast, (columns, rows), interpolation=cv2.INTER_LINEAR) > 127
    if laterality is Laterality.RIGHT:
        pixels, mask = np.ascontiguousarray(pixels[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        masses = tuple(PhantomMass(mass.outline * (-1, 1) + (columns, 0), mass.malignant) for mass in masses)
    burn_label(pixels, laterality, view, seed, spacing)
    return PhantomView(pixels, mask, laterality, view, spacing, masses)
