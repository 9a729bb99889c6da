"""What lies inside the phantom's breast: fat, gland, strands, vessels, ducts, muscle, skin, and how thick it is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example.anatomy import Anatomy, Patient
from mammoscope.example.texture import FloatImage, draw_line, power_law_noise, strands, wandering_path


def filled(polygon_mm: NDArray[np.float64], shape: tuple[int, int], mm: float) -> NDArray[np.uint8]:
    """A polygon ``(N, 2)`` in mm as a mask ``(h, w)``, 0-255 with smooth edges; a pixel is ``mm`` wide."""
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.rint((polygon_mm / mm - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def _distance_inside(mask: NDArray[np.uint8], mm: float) -> FloatImage:
    """Distance in mm to the mask's outline; the image's borders do not count."""
    distance = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.5) * np.float32(mm), dtype=np.float32)


def _smooth_step(values: NDArray[np.floating], low: float, high: float) -> FloatImage:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def thickness(breast: NDArray[np.uint8], mm: float) -> FloatImage:
    """Share of the beam that meets tissue, 0-1: it falls towards the skin, where the breast is round."""
    depth = np.clip(_distance_inside(breast, mm) / np.float32(20.0), 0, 1)
    rolled = np.float32(0.42) + np.float32(0.58) * np.sqrt(1 - (1 - depth) ** 2)
    edge = cv2.GaussianBlur(breast, (0, 0), max(0.6, 0.35 / mm)).astype(np.float32) / 255
    return np.asarray(rolled * edge, dtype=np.float32)


def tissue_density(
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
    # Islands of bright tissue in the fat would look like masses.
    clouds = np.float32(0.24) * cloud * (1 - _smooth_step(reach, 0.4, 1.0))
    field = disc + clouds + np.float32(0.12) * (fibres - 0.3)
    gland = _smooth_step(field, 0.30 - patient.density, 1.40 - patient.density)
    gland *= _smooth_step(depth, 4.0, 17.0)
    muscle = np.zeros(shape, dtype=np.float32)
    if anatomy.pectoral is not None:
        muscle = _muscle(rng, anatomy.pectoral, shape, mm)
        gland *= 1 - 0.8 * muscle

    fine = power_law_noise(rng, shape, 1.1)
    tissue = np.float32(0.30) + np.float32(0.022) * fine + np.float32(0.02) * cloud
    tissue += gland * (np.float32(0.16) + np.float32(0.02) * cloud + np.float32(0.07) * fibres)
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
    mask = filled(pectoral, shape, mm)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.8, 1.1 / mm)).astype(np.float32) / 255
    grain = power_law_noise(rng, (shape[0] // 8, shape[1] // 2), 1.2)
    tilted = cv2.warpAffine(
        cv2.resize(grain, shape[::-1], interpolation=cv2.INTER_LINEAR),
        np.array([[1.0, -0.38, 0.19 * shape[1]], [0.0, 1.0, 0.0]]),
        shape[::-1],
        borderMode=cv2.BORDER_REFLECT,
    )
    thick = np.float32(0.78) + np.float32(0.26) * np.sqrt(np.clip(_distance_inside(mask, mm) / 40, 0, 1))
    return np.asarray(soft * thick * (1 + np.float32(0.03) * tilted), dtype=np.float32)


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
