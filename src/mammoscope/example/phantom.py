"""A synthetic four-view exam that looks like mammograms. It shows that the program works, not how accurate it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from mammoscope.example.calcification import cluster_outline, draw_specks, is_malignant, render_specks
from mammoscope.example.exposure import exposed
from mammoscope.example.label import burn_label
from mammoscope.example.lesions import CALCIFICATION, MASS, PhantomLesion, PlannedLesion, planned
from mammoscope.example.mass import FORMS, mass_outline, render_mass
from mammoscope.example.settings import DEFAULTS, Cluster, PhantomSettings, Prior, Shape
from mammoscope.example.texture import FloatImage
from mammoscope.example.tissue import filled, thickness, tissue_density
from mammoscope.mammogram import Laterality

ROWS, COLUMNS = 3328, 2560
EXAM_VIEWS = tuple((side, view) for view in ("CC", "MLO") for side in (Laterality.RIGHT, Laterality.LEFT))
_WORK_MM = 0.14  # tissue is drawn at this pixel size and enlarged; noise is added at full size
_SMALLEST_SIDE = 200
_LARGEST_SEED = (1 << 32) - 1
# Of the random numbers of an exam: what both exams of a woman share, and what a year changes.
_PATIENT, _VIEWS, _LESIONS, _BEFORE = 0, 1, 100, 1000


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
    lesions
        What a perfect analysis would find.
    """

    pixels: NDArray[np.uint16]
    breast: NDArray[np.bool_]
    laterality: Laterality
    view: str
    spacing_mm: float
    lesions: tuple[PhantomLesion, ...]

    @property
    def masses(self) -> tuple[PhantomLesion, ...]:
        """The lesions that are masses."""
        return tuple(lesion for lesion in self.lesions if lesion.kind == MASS)


def make_exam(
    seed: int,
    rows: int = ROWS,
    columns: int = COLUMNS,
    settings: PhantomSettings = DEFAULTS,
    *,
    before: bool = False,
) -> tuple[PhantomView, ...]:
    """The views of ``EXAM_VIEWS``; each lesion is seen in both views of its breast. See ``make_view``."""
    return tuple(make_view(number, seed, rows, columns, settings, before=before) for number in range(len(EXAM_VIEWS)))


def make_view(
    number: int,
    seed: int,
    rows: int = ROWS,
    columns: int = COLUMNS,
    settings: PhantomSettings = DEFAULTS,
    *,
    before: bool = False,
) -> PhantomView:
    """One view of an exam.

    Parameters
    ----------
    number
        Its place in ``EXAM_VIEWS``.
    seed
        The same seed gives the same exam; 0 to 4294967295.
    rows, columns
        Size of each view. The field is that of a small detector (18 x 24 cm) at any size.
    settings
        What is drawn, and how.
    before
        The exam of the year before, whose lesions are as ``settings.prior`` says: the same woman in the same position.

    Raises
    ------
    ValueError
        The size is too small to hold a breast and a label, the seed is out of range, or there is no exam before.
    """
    if not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(f"seed is {seed}, it must be in the range (0, {_LARGEST_SEED})")
    if min(rows, columns) < _SMALLEST_SIDE:
        raise ValueError(f"a phantom of {rows} x {columns} is too small: each side must be {_SMALLEST_SIDE} or more")
    if before and settings.prior is Prior.NONE:
        raise ValueError("prior is 'none': there is no exam before, expected 'smaller' or 'absent'")
    rng = np.random.default_rng([seed, _PATIENT])
    patient = Patient.draw(rng, settings.density)
    laterality, view = EXAM_VIEWS[number]
    lesions = [lesion for lesion in planned(rng, settings) if lesion.side is laterality]
    if before:
        lesions = [lesion.before() for lesion in lesions if settings.prior is Prior.SMALLER]
    tissue_rng = np.random.default_rng([seed, _VIEWS + number])
    spacing = max(FIELD_HEIGHT_MM / rows, FIELD_WIDTH_MM / columns)
    shrink = max(1.0, _WORK_MM / spacing)
    shape = (round(rows / shrink), round(columns / shrink))
    mm = spacing * rows / shape[0]
    anatomy = (
        craniocaudal(patient, tissue_rng, rows * spacing) if view == "CC" else mediolateral_oblique(patient, tissue_rng)
    )
    breast = filled(anatomy.outline, shape, mm)
    tissue = tissue_density(tissue_rng, anatomy, patient, breast, mm)
    drawn = tuple(
        lesion.in_pixels(spacing) for lesion in _drawn(lesions, tissue, anatomy, view, mm, seed=seed, number=number)
    )
    film = np.random.default_rng([seed, _VIEWS + number, _BEFORE if before else 0])
    pixels = exposed(film, tissue * thickness(breast, mm), settings, (rows, columns), spacing)
    mask = cv2.resize(breast, (columns, rows), interpolation=cv2.INTER_LINEAR) > 127
    if laterality is Laterality.RIGHT:
        pixels, mask = np.ascontiguousarray(pixels[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        drawn = tuple(lesion.mirrored(columns) for lesion in drawn)
    burn_label(pixels, laterality, view, seed, spacing)
    return PhantomView(pixels, mask, laterality, view, spacing, drawn)


def _drawn(
    lesions: Sequence[PlannedLesion],
    tissue: FloatImage,
    anatomy: Anatomy,
    view: str,
    mm: float,
    *,
    seed: int,
    number: int,
) -> Iterator[PhantomLesion]:
    """Draw lesions into ``tissue (h, w)`` in place; what was drawn, in mm of a left breast."""
    for lesion in lesions:
        rng = np.random.default_rng([seed, _VIEWS + number, _LESIONS + lesion.number])
        if isinstance(lesion.drawn_as, Cluster):
            # The specks of both views are the same ones.
            of_both = np.random.default_rng([seed, _PATIENT, _LESIONS + lesion.number])
            yield _draw_cluster(of_both, lesion, lesion.drawn_as, tissue, anatomy, view, mm)
        else:
            yield _draw_mass(rng, lesion, lesion.drawn_as, tissue, anatomy, view, mm)


def _draw_mass(
    rng: np.random.Generator,
    lesion: PlannedLesion,
    shape: Shape,
    tissue: FloatImage,
    anatomy: Anatomy,
    view: str,
    mm: float,
) -> PhantomLesion:
    form, centre = FORMS[shape], lesion.spot.centre(anatomy.nipple, view)
    diameter = lesion.diameter_mm * rng.uniform(0.95, 1.0) * lesion.scale
    outline = mass_outline(rng, form, centre, diameter)
    density = render_mass(rng, (tissue.shape[0], tissue.shape[1]), form, outline, mm)
    tissue += density * (np.float32(0.82) - tissue).clip(0.1, None) * np.float32(0.9)
    features = {"shape": form.shape, "margin": form.margin}
    return PhantomLesion(lesion.number, MASS, outline, form.malignant, features)


def _draw_cluster(
    rng: np.random.Generator,
    lesion: PlannedLesion,
    cluster: Cluster,
    tissue: FloatImage,
    anatomy: Anatomy,
    view: str,
    mm: float,
) -> PhantomLesion:
    centre = lesion.spot.centre(anatomy.nipple, view)
    specks = draw_specks(rng, cluster)
    polygons = specks.polygons(centre, lesion.spot.angle(view), view, lesion.scale)
    density = render_specks((tissue.shape[0], tissue.shape[1]), cluster, specks, polygons, mm)
    tissue += density * (np.float32(1.1) - tissue)
    features = {"morphology": cluster.morphology.value, "distribution": cluster.distribution.value}
    return PhantomLesion(lesion.number, CALCIFICATION, cluster_outline(polygons), is_malignant(cluster), features)
