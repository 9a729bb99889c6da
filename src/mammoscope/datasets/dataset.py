"""A dataset as training and evaluation use it: its images, their lesions, and what is known of both."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.importers.cbis_ddsm.published import edition_1_info
from mammoscope.datasets.info import DatasetInfo
from mammoscope.datasets.rows import ImageRow, Lesion


@dataclass(frozen=True)
class Dataset:
    """A folder in the dataset layout.

    Attributes
    ----------
    sha256
        Edition 1: of ``lesions.csv``. Edition 2: of the hashes of its tables and of ``dataset.json``.
    listed
        A row for each image, with or without lesions; empty without ``images.csv``: then lesions name their images.
    stated
        The content of ``dataset.json``; None in edition 1, which has none.
    """

    folder: Path
    lesions: tuple[Lesion, ...]
    sha256: str
    listed: tuple[ImageRow, ...] = ()
    stated: DatasetInfo | None = None

    @property
    def edition(self) -> int:
        """Of the layout: 1 or 2."""
        return 1 if self.stated is None else 2

    @property
    def name(self) -> str:
        """The folder's name with its parent's: ``cbis-ddsm-mass/train``."""
        folder = self.folder.resolve()
        return f"{folder.parent.name}/{folder.name}"

    @cached_property
    def info(self) -> DatasetInfo:
        """Name, licence, credit and more; for a folder of edition 1 what is known of it."""
        return edition_1_info(self.patients) if self.stated is None else self.stated

    @property
    def credit(self) -> str:
        """One line for the manifest of bundles trained on it; empty if the dataset states none."""
        return self.info.credit

    @cached_property
    def images(self) -> dict[str, tuple[Lesion, ...]]:
        """The lesions of each image, none for some; images in the order of their table."""
        grouped: dict[str, list[Lesion]] = {name: [] for name in self._rows}
        for lesion in self.lesions:
            grouped[lesion.image].append(lesion)
        return {image: tuple(lesions) for image, lesions in grouped.items()}

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Patient ids, sorted; some may have no lesion."""
        return tuple(sorted({row.patient_id for row in self._rows.values()}))

    @cached_property
    def normals(self) -> tuple[str, ...]:
        """The images without a lesion, except those that are said to show one that is not listed."""
        return tuple(
            image for image, lesions in self.images.items() if not lesions and self.image_row(image).normal is not False
        )

    @cached_property
    def judged_images(self) -> tuple[str, ...]:
        """The images on which a mark can be called true or false: all but those with a lesion that is not listed."""
        normals = set(self.normals)
        return tuple(image for image, lesions in self.images.items() if lesions or image in normals)

    def lesion_key(self, lesion: Lesion) -> tuple[str, ...]:
        """What one lesion has in all views that show it; in each its own if the dataset does not say which are one."""
        row = self.image_row(lesion.image)
        if self.info.ids_across_views and row.breast_side:
            return (lesion.patient_id, row.exam, row.breast_side, lesion.abnormality_id)
        return (lesion.image, lesion.abnormality_id)

    @cached_property
    def graded_lesions(self) -> tuple[Lesion, ...]:
        """The lesions whose pathology is known."""
        return tuple(lesion for lesion in self.lesions if lesion.malignant is not None)

    @cached_property
    def film_aspect(self) -> float | None:
        """Height over width assumed for square files of unknown proportions; None: their pixels are taken as square."""
        if self.info.assumed_film_aspect is None:
            return None
        known = [row.pixel_aspect for row in self.listed or self.lesions if row.pixel_aspect is not None]
        return median(known) if known else self.info.assumed_film_aspect

    @cached_property
    def _rows(self) -> dict[str, ImageRow]:
        if self.listed:
            return {row.image: row for row in self.listed}
        rows: dict[str, ImageRow] = {}
        for lesion in self.lesions:
            if lesion.image not in rows:
                rows[lesion.image] = ImageRow.of_lesion(lesion)
        return rows

    def image_rows(self) -> tuple[ImageRow, ...]:
        """What is known of each image, in the order of ``images``."""
        return tuple(self._rows.values())

    def image_row(self, image: str) -> ImageRow:
        """What is known of an image; KeyError if there is none of that name."""
        return self._rows[image]

    def patient_of(self, image: str) -> str:
        """The patient's id; KeyError if there is no image of that name."""
        return self._rows[image].patient_id

    def boxes_of(self, image: str) -> NDArray[np.float64]:
        """``(L, 4)`` of (x0, y0, x1, y1), frame ``original``: the boxes of an image's L lesions; L may be 0."""
        return np.array([lesion.box for lesion in self.images[image]], dtype=np.float64).reshape(-1, 4)

    def image_path(self, image: str) -> Path:
        """Path of an image."""
        return self.folder / "images" / image

    def crop_path(self, lesion: Lesion) -> Path:
        """Path of a lesion's crop."""
        return self.folder / "crops" / lesion.crop

    def mask_path(self, lesion: Lesion) -> Path:
        """Path of a lesion's mask."""
        return self.folder / "masks" / lesion.mask

    def pixel_aspect(self, image: str, width: int, height: int) -> float:
        """Height of a pixel over its width, for an image file of ``width`` x ``height`` pixels.

        If the tables do not state it, pixels are square; but if the dataset says that its square files may be
        stretched films, a square file is taken for one.
        """
        row = self._rows[image]
        if row.pixel_spacing_mm is not None:
            return row.pixel_spacing_mm[0] / row.pixel_spacing_mm[1]
        if row.pixel_aspect is not None:
            return row.pixel_aspect * width / height
        return self.film_aspect if self.film_aspect is not None and width == height else 1.0

    def of_patients(self, patients: Iterable[str]) -> Dataset:
        """The images and lesions of some patients; the folder and its hash stay."""
        wanted = set(patients)
        return replace(
            self,
            lesions=tuple(row for row in self.lesions if row.patient_id in wanted),
            listed=tuple(row for row in self.listed if row.patient_id in wanted),
        )

    def of_kinds(self, kinds: Collection[str]) -> Dataset:
        """The lesions of some kinds, on all images; an image that shows another kind does not count as normal.

        A split is dealt before kinds are chosen: folds depend on all lesions, so a part would be dealt otherwise.
        """
        others = {lesion.image for lesion in self.lesions if lesion.kind not in kinds}
        if not others:
            return self
        return replace(
            self,
            lesions=tuple(lesion for lesion in self.lesions if lesion.kind in kinds),
            listed=tuple(replace(row, normal=False) if row.image in others else row for row in self.image_rows()),
        )
