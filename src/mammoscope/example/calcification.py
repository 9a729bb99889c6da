"""The phantom's calcifications: clusters of specks whose places, sizes and outline are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.example.settings import Cluster, Distribution, Morphology
from mammoscope.example.texture import FloatImage

_AROUND_MM = 1.0  # of tissue inside the outline
_FINE = 4  # specks are drawn at a quarter of a pixel
_CORNERS = 7


@dataclass(frozen=True)
class _Look:
    """Of calcifications of a morphology: ranges of length and width in mm, and of density; whether it is malignant."""

    length_mm: tuple[float, float]
    width_mm: tuple[float, float]
    density: tuple[float, float]
    haze_mm: float
    malignant: bool


# Sizes as BI-RADS 2013 gives them: amorphous ones are too small or hazy for a shape, pleomorphic ones mostly below
# 0.5 mm and of many shapes, fine linear ones below 0.5 mm wide.
_LOOKS = {
    Morphology.AMORPHOUS: _Look((0.2, 0.35), (0.2, 0.35), (0.35, 0.6), 0.12, False),
    Morphology.PLEOMORPHIC: _Look((0.3, 0.8), (0.25, 0.5), (0.6, 1.0), 0.04, True),
    Morphology.LINEAR: _Look((0.9, 2.6), (0.18, 0.32), (0.6, 1.0), 0.04, True),
}
# How many, and half of what they span: along the line to the nipple, and across it; in mm.
_SPANS = {
    Distribution.GROUPED: ((9, 18), 5.0, 5.0),
    Distribution.LINEAR: ((10, 16), 14.0, 0.8),
    Distribution.SEGMENTAL: ((22, 34), 16.0, 10.0),
    Distribution.REGIONAL: ((34, 50), 17.0, 14.0),
}
_APART_MM = 1.1


@dataclass(frozen=True, eq=False)
class Specks:
    """The calcifications of a cluster, the same ones on every view, around its centre and with the nipple ahead.

    Attributes
    ----------
    along, across_cc, across_mlo
        ``(N,)`` in mm: towards the nipple, and sideways on either view.
    length, width
        ``(N,)`` in mm.
    turn
        ``(N,)`` in radians against the line to the nipple.
    density
        ``(N,)``, 0-1.
    corners
        ``(N, K)``: how far the outline of each lies from its ellipse, a factor.
    """

    along: NDArray[np.float64]
    across_cc: NDArray[np.float64]
    across_mlo: NDArray[np.float64]
    length: NDArray[np.float64]
    width: NDArray[np.float64]
    turn: NDArray[np.float64]
    density: NDArray[np.float64]
    corners: NDArray[np.float64]

    def polygons(self, centre: tuple[float, float], angle: float, view: str, scale: float) -> NDArray[np.float64]:
        """The outlines of the specks on a view: ``(N, K, 2)`` in mm.

        Parameters
        ----------
        centre, angle
            Of the cluster; the nipple lies in the direction ``angle``, in radians, downwards.
        scale
            Of the cluster as a whole; the specks keep their size.
        """
        around = np.linspace(0, 2 * np.pi, self.corners.shape[1], endpoint=False)
        corners = np.stack(
            [
                self.corners * np.cos(around) * self.length[:, None] / 2,
                self.corners * np.sin(around) * self.width[:, None] / 2,
            ],
            axis=-1,
        )
        across = self.across_cc if view == "CC" else self.across_mlo
        middles = np.stack([self.along, across], axis=1) * scale
        turned = _turned(corners, self.turn[:, None]) + middles[:, None]
        return np.asarray(_turned(turned, np.full((1, 1), angle)) + centre)


def draw_specks(rng: np.random.Generator, cluster: Cluster) -> Specks:
    """The calcifications of a cluster, none on top of another in a view."""
    look, (counts, along, across) = _LOOKS[cluster.morphology], _SPANS[cluster.distribution]
    places = _places(rng, int(rng.integers(*counts)), along, across, cluster.distribution)
    count = len(places)
    straight = cluster.morphology is Morphology.LINEAR
    ragged = 0.35 if cluster.morphology is Morphology.PLEOMORPHIC else 0.1
    towards_nipple, across_cc, across_mlo = places.T
    return Specks(
        along=towards_nipple,
        across_cc=across_cc,
        across_mlo=across_mlo,
        length=rng.uniform(*look.length_mm, count),
        width=rng.uniform(*look.width_mm, count),
        turn=rng.normal(0, 0.35, count) if straight else rng.uniform(0, np.pi, count),
        density=rng.uniform(*look.density, count),
        corners=1 + rng.uniform(-ragged, ragged, (count, _CORNERS)),
    )


def is_malignant(cluster: Cluster) -> bool:
    """Whether these are the features of a malignant cluster."""
    return _LOOKS[cluster.morphology].malignant


def cluster_outline(polygons_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The closed outline ``(M, 2)`` in mm of all specks ``(N, K, 2)`` and a little tissue: their convex hull, wider."""
    around = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    circle = _AROUND_MM * np.stack([np.cos(around), np.sin(around)], axis=1)
    points = (polygons_mm.reshape(-1, 1, 2) + circle).reshape(-1, 2).astype(np.float32)
    return np.asarray(cv2.convexHull(points)[:, 0], dtype=np.float64)


def render_specks(
    shape: tuple[int, int], cluster: Cluster, specks: Specks, polygons_mm: NDArray[np.float64], mm: float
) -> FloatImage:
    """The specks as density ``(h, w)``, 0-1: a pixel, which is ``mm`` wide, has the share that they cover of it."""
    points = polygons_mm / mm
    margin = 3 + int(np.ceil(4 * _LOOKS[cluster.morphology].haze_mm / mm))
    x0, y0 = np.floor(points.min(axis=(0, 1))).astype(int) - margin
    x1, y1 = np.ceil(points.max(axis=(0, 1))).astype(int) + margin
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(shape[1], x1), min(shape[0], y1)
    density = np.zeros(shape, dtype=np.float32)
    if x0 >= x1 or y0 >= y1:
        return density
    fine = np.zeros(((y1 - y0) * _FINE, (x1 - x0) * _FINE), dtype=np.uint8)
    corners = np.rint(((points - (x0, y0)) * _FINE - 0.5) * 16).astype(np.int32)
    for polygon, level in zip(corners, specks.density, strict=True):
        cv2.fillPoly(fine, [polygon], int(255 * level), cv2.LINE_AA, 4)
    window = cv2.resize(fine, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    density[y0:y1, x0:x1] = cv2.GaussianBlur(window, (0, 0), max(0.4, _LOOKS[cluster.morphology].haze_mm / mm))
    return density


def _places(
    rng: np.random.Generator, count: int, along: float, across: float, distribution: Distribution
) -> NDArray[np.float64]:
    """``(N, 3)`` in mm: along, across on CC, across on MLO; of ``count`` specks as many as find room."""
    found: list[NDArray[np.float64]] = []
    for _ in range(20 * count):
        place = rng.uniform(-1, 1, 3)
        if np.hypot(*place[[0, 1]]) > 1 or np.hypot(*place[[0, 2]]) > 1:
            continue
        place *= (along, across, across)
        if distribution is Distribution.SEGMENTAL:  # a wedge with its tip towards the nipple
            place[1:] *= 1 - 0.45 * (1 + place[0] / along)
        apart = np.array([[*place[[0, 1]]], [*place[[0, 2]]]])
        if all(np.hypot(*(apart - (other[[0, 1]], other[[0, 2]])).T).min() > _APART_MM for other in found):
            found.append(place)
        if len(found) == count:
            break
    return np.array(found)


def _turned(points: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(..., 2)`` turned about the origin."""
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=-1)
