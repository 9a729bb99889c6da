"""A synthetic four-view exam that looks like mammograms. It proves the plumbing, never the accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example.anatomy import (
    FIELD_HEIGHT_MM,
    FIELD_WIDTH_MM,
    Anatomy,
    Patient,
    craniocaudal,
    mediolateral_oblique,
)
from mammoscope.example.label import burn_label
from mammoscope.example.mass import mass_outline, render_mass
from mammoscope.example.texture import FloatImage, draw_line, power_law_noise, strands, wandering_path
from mammoscope.mammogram import Laterality

WHITE = 4095  # 12 bits
_WORK_MM = 0.14  # tissue is drawn at this pixel size and enlarged; noise is added at full size
_SMALLEST_SIDE = 200


@dataclass(frozen=True, eq=False)
class PhantomMass:
    """A mass that was put in.

    Attributes
    ----------
    outline
        ``(N, 2) float64`` closed polygon of (x, y), frame ``original``.
    malignant
        Whether it was drawn with the signs of a malignant mass.
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


def make_exam(seed: int, rows: int = 3328, columns: int = 2560) -> tuple[PhantomView, ...]:
    """Four views, R CC, L CC, R MLO and L MLO; one breast holds one mass, seen in both of its views.

    Parameters
    ----------
    seed
        The same seed gives the same exam.
    rows, columns
        Size of each view. The field is that of a small detector (18 x 24 cm) at any size.

    Raises
    ------
    ValueError
        The size is too small to hold a breast and a label.
    """
    if min(rows, columns) < _SMALLEST_SIDE:
        raise ValueError(f"a phantom of {rows} x {columns} is too small: each side must be {_SMALLEST_SIDE} or more")
    rng = np.random.default_rng([seed, 0])
    patient = Patient.draw(rng)
    side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
    lesion = _Lesion.draw(rng)
    views = []
    for number, (view, laterality) in enumerate((v, s) for v in ("CC", "MLO") for s in reversed(Laterality)):
        own = np.random.default_rng([seed, 1 + number])
        views.append(
            _make_view(own, patient, lesion if laterality is side else None, laterality, view, (rows, columns), seed)
        )
    return tuple(views)


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

    breast = _filled(anatomy.outline, shape, mm)
    tissue = _tissue(rng, anatomy, patient, breast, mm)
    masses: tuple[PhantomMass, ...] = ()
    if lesion is not None:
        outline = mass_outline(rng, lesion.centre(anatomy.nipple, view), lesion.diameter_mm * rng.uniform(0.95, 1.0))
        density = render_mass(rng, shape, outline, mm)
        tissue += density * (np.float32(0.93) - tissue).clip(0.22, None) * np.float32(0.85)
        masses = (PhantomMass(outline / spacing, malignant=True),)
    image = tissue * _thickness(breast, mm)

    full = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_CUBIC)
    full *= np.float32(0.86 * WHITE)
    full += np.float32(26)
    noise = rng.standard_normal(full.shape, dtype=np.float32)
    noise *= 6 + 0.012 * full
    full += noise
    pixels = np.clip(full, 0, WHITE).astype(np.uint16)
    mask = cv2.resize(breast, (columns, rows), interpolation=cv2.INTER_LINEAR) > 127
    if laterality is Laterality.RIGHT:
        pixels, mask = np.ascontiguousarray(pixels[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        masses = tuple(PhantomMass(mass.outline * (-1, 1) + (columns, 0), mass.malignant) for mass in masses)
    burn_label(pixels, laterality, view, seed, spacing)
    return PhantomView(pixels, mask, laterality, view, spacing, masses)


def _filled(polygon_mm: NDArray[np.float64], shape: tuple[int, int], mm: float) -> NDArray[np.uint8]:
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.rint((polygon_mm / mm - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def _distance_inside(mask: NDArray[np.uint8], mm: float) -> FloatImage:
    """Distance in mm to the mask's outline; the image's borders are no outline."""
    distance = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.5) * np.float32(mm), dtype=np.float32)


def _smooth_step(values: FloatImage, low: float, high: float) -> FloatImage:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _thickness(breast: NDArray[np.uint8], mm: float) -> FloatImage:
    """Share of the beam that meets tissue, 0-1: it falls towards the skin, where the breast is round."""
    depth = np.clip(_distance_inside(breast, mm) / np.float32(20.0), 0, 1)
    rolled = np.float32(0.42) + np.float32(0.58) * np.sqrt(1 - (1 - depth) ** 2)
    edge = cv2.GaussianBlur(breast, (0, 0), max(0.6, 0.35 / mm)).astype(np.float32) / 255
    return np.asarray(rolled * edge, dtype=np.float32)


def _tissue(
    rng: np.random.Generator, anatomy: Anatomy, patient: Patient, breast: NDArray[np.uint8], mm: float
) -> FloatImage:
    """Density of tissue, 0-1, before thickness: fat, gland, strands, vessels, ducts, muscle and skin."""
    height, width = shape = breast.shape
    x = np.broadcast_to((np.arange(width, dtype=np.float32) + 0.5) * np.float32(mm), shape)
    y = np.broadcast_to(((np.arange(height, dtype=np.float32) + 0.5) * np.float32(mm))[:, None], shape)
    depth = _distance_inside(breast, mm)
    cloud = power_law_noise(rng, shape, 1.5, longest=0.22)
    fibres = strands(rng, x, y, anatomy.nipple)

    reach = np.sqrt(
        ((x - anatomy.gland_centre[0]) / anatomy.gland_axes[0]) ** 2
        + ((y - anatomy.gland_centre[1]) / anatomy.gland_axes[1]) ** 2
    )
    # A cone of gland reaches from the disc to the nipple.
    dx, dy = anatomy.nipple[0] - x, np.abs(y - anatomy.nipple[1])
    cone = 1 - dy / (4 + 0.75 * np.clip(dx, 0, None))
    disc = np.maximum(1 - reach, np.minimum(cone, 0.45) * _smooth_step(45 - dx, 0, 30))
    field = disc + np.float32(0.30) * cloud + np.float32(0.12) * (fibres - 0.3)
    gland = _smooth_step(field, 0.50 - patient.density, 1.20 - patient.density)
    gland *= _smooth_step(depth, 4.0, 17.0)
    muscle = np.zeros(shape, dtype=np.float32)
    if anatomy.pectoral is not None:
        muscle = _muscle(rng, anatomy.pectoral, shape, mm)
        gland *= 1 - 0.8 * muscle

    fine = power_law_noise(rng, shape, 1.1)
    tissue = np.float32(0.30) + np.float32(0.022) * fine + np.float32(0.02) * cloud
    tissue += gland * (np.float32(0.30) + np.float32(0.06) * cloud + np.float32(0.075) * fibres)
    tissue += (1 - gland) * fibres * np.float32(0.05) * _smooth_step(depth, 2, 8)
    tissue += _lines(rng, anatomy, patient, shape, mm) * np.float32(0.16)
    tissue = np.maximum(tissue, tissue * (1 - muscle) + muscle * (np.float32(0.60) + np.float32(0.02) * cloud))
    skin = np.exp(-(((depth - np.float32(0.8)) / np.float32(0.9)) ** 2))
    tissue += skin * np.float32(0.20)
    nipple = np.exp(-(((x - anatomy.nipple[0] + 2.5) / 3.2) ** 2 + ((y - anatomy.nipple[1]) / 4.0) ** 2))
    tissue += nipple * np.float32(0.28)
    return np.asarray(np.clip(tissue, 0, 1), dtype=np.float32)


def _muscle(rng: np.random.Generator, pectoral: NDArray[np.float64], shape: tuple[int, int], mm: float) -> FloatImage:
    """The pectoral muscle, 0-1, with a soft border and a faint grain along it."""
    filled = cv2.GaussianBlur(_filled(pectoral, shape, mm), (0, 0), max(0.8, 1.1 / mm)).astype(np.float32) / 255
    grain = power_law_noise(rng, (shape[0] // 8, shape[1] // 2), 1.2)
    tilted = cv2.warpAffine(
        cv2.resize(grain, shape[::-1], interpolation=cv2.INTER_LINEAR),
        np.array([[1.0, -0.38, 0.19 * shape[1]], [0.0, 1.0, 0.0]]),
        shape[::-1],
        borderMode=cv2.BORDER_REFLECT,
    )
    thick = np.linspace(1.05, 0.90, shape[0], dtype=np.float32)[:, None]
    return np.asarray(filled * thick * (1 + np.float32(0.03) * tilted), dtype=np.float32)


def _lines(
    rng: np.random.Generator, anatomy: Anatomy, patient: Patient, shape: tuple[int, int], mm: float
) -> FloatImage:
    """Ducts that fan out from the nipple, vessels, and ligaments: ``(h, w)``, 0-1."""
    canvas = np.zeros(shape, dtype=np.float32)
    nipple_x, nipple_y = anatomy.nipple
    for _ in range(9):
        direction = np.pi + rng.normal(0, 0.45)
        path = wandering_path(rng, (nipple_x - 5, nipple_y + rng.normal(0, 2)), direction, rng.uniform(22, 48), 0.5)
        draw_line(canvas, path, np.linspace(1.3, 0.4, len(path)), rng.uniform(0.3, 0.6), mm)
    for _ in range(3):
        start = (rng.uniform(0, 0.25 * patient.depth_mm), nipple_y + rng.choice((-1, 1)) * rng.uniform(15, 60))
        towards = np.arctan2(nipple_y - start[1], nipple_x - start[0]) * rng.uniform(0.2, 0.7)
        path = wandering_path(rng, start, towards, rng.uniform(50, 80), rng.uniform(0.35, 0.6))
        draw_line(canvas, path, np.linspace(rng.uniform(1.1, 1.9), 0.5, len(path)), rng.uniform(0.4, 0.75), mm)
    for _ in range(34):
        start = (rng.uniform(5, 0.95 * nipple_x), nipple_y + rng.uniform(-70, 65))
        outwards = np.arctan2(start[1] - nipple_y, max(8.0, nipple_x - start[0])) + rng.normal(0, 0.5)
        path = wandering_path(rng, start, outwards, rng.uniform(10, 28), 1.0)
        draw_line(canvas, path, np.linspace(0.7, 0.3, len(path)), rng.uniform(0.2, 0.45), mm)
    return canvas
