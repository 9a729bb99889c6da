"""The lesions of a phantom exam: what each is, where it lies in the breast, and how it shows on a view.

A lesion lies as far from the nipple in both views, as a radiologist expects of one that is seen twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mammoscope.example.settings import Cluster, PhantomSettings, Shape
from mammoscope.mammogram import Laterality

MASS, CALCIFICATION = "mass", "calcification"
_SMALLER = 0.6  # a lesion's size in the exam before


@dataclass(frozen=True, eq=False)
class PhantomLesion:
    """A lesion on a view, as it was drawn.

    Attributes
    ----------
    lesion
        Its number in the exam, from 1: the same in both views, and in the exam before.
    kind
        See ``mammoscope.kinds``.
    outline
        ``(N, 2) float64`` closed polygon of (x, y), frame ``original``.
    malignant
        Whether it was drawn with the features of a malignant lesion.
    features
        What it was drawn as: ``shape`` and ``margin``, or ``morphology`` and ``distribution``.
    """

    lesion: int
    kind: str
    outline: NDArray[np.float64]
    malignant: bool
    features: dict[str, str]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) around the outline, frame ``original``."""
        (x0, y0), (x1, y1) = self.outline.min(axis=0), self.outline.max(axis=0)
        return float(x0), float(y0), float(x1), float(y1)

    @property
    def centre(self) -> tuple[float, float]:
        """Mean point of the outline, frame ``original``."""
        x, y = self.outline.mean(axis=0)
        return float(x), float(y)

    @property
    def radius(self) -> float:
        """Mean distance of the outline from the centre, in pixels of the original."""
        return float(np.hypot(*(self.outline - self.centre).T).mean())

    def in_pixels(self, spacing_mm: float) -> PhantomLesion:
        """As drawn in mm, in pixels of this size."""
        return replace(self, outline=self.outline / spacing_mm)

    def mirrored(self, columns: int) -> PhantomLesion:
        """As it lies in an image of so many columns that is flipped."""
        return replace(self, outline=self.outline * (-1, 1) + (columns, 0))


@dataclass(frozen=True)
class Spot:
    """A place in the breast: the distance from the nipple, and the angle on each view, upwards from the axis."""

    from_nipple_mm: float
    angle_cc: float
    angle_mlo: float

    def angle(self, view: str) -> float:
        """On ``"CC"`` or ``"MLO"``."""
        return self.angle_cc if view == "CC" else self.angle_mlo

    def centre(self, nipple: tuple[float, float], view: str) -> tuple[float, float]:
        """In the frame of a left breast, in mm."""
        angle = self.angle(view)
        return nipple[0] - self.from_nipple_mm * np.cos(angle), nipple[1] - self.from_nipple_mm * np.sin(angle)


@dataclass(frozen=True)
class PlannedLesion:
    """A lesion before it is drawn on a view.

    Attributes
    ----------
    number
        In the exam, from 1.
    scale
        1, or less in the exam before.
    """

    number: int
    side: Laterality
    spot: Spot
    drawn_as: Shape | Cluster
    diameter_mm: float
    scale: float = 1.0

    def before(self) -> PlannedLesion:
        """As it was a year before."""
        return replace(self, scale=_SMALLER)


# Ranges of distance from the nipple in mm, and of the angle on CC and on MLO. The first is the upper outer quadrant,
# where most cancers lie: above the nipple in both views. The largest mass leaves room between any two of them.
_SPOTS = (
    ((44, 54), (0.25, 0.55), (0.2, 0.5)),
    ((44, 52), (-0.6, -0.4), (-0.55, -0.4)),
    ((18, 24), (0.3, 0.8), (0.3, 0.8)),
    ((66, 72), (-0.05, 0.1), (-0.1, 0.0)),
)
_DIAMETER_MM = (14, 18)


def planned(rng: np.random.Generator, settings: PhantomSettings) -> tuple[PlannedLesion, ...]:
    """The lesions of an exam: the first in the upper outer quadrant of either breast, the others around in both."""
    side = Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT
    other = Laterality.RIGHT if side is Laterality.LEFT else Laterality.LEFT
    places = _places(rng, side, other)
    every: tuple[Shape | Cluster, ...] = (*settings.masses, *settings.calcifications)
    return tuple(
        PlannedLesion(number, place, spot, drawn_as, rng.uniform(*_DIAMETER_MM))
        for number, (drawn_as, (place, spot)) in enumerate(zip(every, places, strict=False), start=1)
    )


def _places(rng: np.random.Generator, side: Laterality, other: Laterality) -> Iterator[tuple[Laterality, Spot]]:
    """Eight places that do not meet."""
    for ranges in _SPOTS:
        for breast in (side, other):
            distance, angle_cc, angle_mlo = (rng.uniform(*limits) for limits in ranges)
            yield breast, Spot(distance, angle_cc, angle_mlo)
