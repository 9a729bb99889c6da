"""The images of lesions for training the segmenter and the classifier."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.datasets.images import dataset_mammogram, read_crop, read_mask
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.datasets.placed_masks import mask_in_cut, placed
from mammoscope.families.recipe import Augmentation
from mammoscope.families.samples import LesionPicture, LesionViews
from mammoscope.stages.preprocess import ContrastSettings, PreprocessSettings, preprocess
from mammoscope.stages.roi import MASS_FRACTION, ROI_SIZE, Roi, cut_roi, stretch_contrast
from mammoscope.training.augment import random_coarseness, random_erasure, random_light, random_warp
from mammoscope.training.parallel import map_in_threads

# ROIs cut from full images are kept with tissue around them, so that a shifted or smaller view shows real tissue.
CONTEXT = 1.6
_UNCHANGED = ContrastSettings(clip_limit=0)


def load_crop(dataset: Dataset, lesion: Lesion) -> LesionPicture | None:
    """The published crop of a lesion and its mask, resized to an ROI; None if there is none."""
    if not (lesion.crop and lesion.mask):
        return None
    pixels, mask = read_crop(dataset.crop_path(lesion)), read_mask(dataset.mask_path(lesion)).astype(np.uint8) * 255
    if pixels.shape != (ROI_SIZE, ROI_SIZE):
        pixels = np.asarray(cv2.resize(pixels, (ROI_SIZE, ROI_SIZE), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if mask.shape != (ROI_SIZE, ROI_SIZE):
        mask = np.asarray(cv2.resize(mask, (ROI_SIZE, ROI_SIZE), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    return LesionPicture(pixels, mask, MASS_FRACTION)


def load_views(
    dataset: Dataset, settings: PreprocessSettings, label: str, *, context: float = CONTEXT
) -> list[LesionViews]:
    """Both views of every lesion, in the order of the images; full ones show ``context`` times the usual square."""

    def load(image: str) -> list[LesionViews]:
        prepared = preprocess(dataset_mammogram(dataset, image), settings)
        views = []
        for lesion in dataset.images[image]:
            crop = load_crop(dataset, lesion)
            full = None
            if prepared is not None:
                box = prepared.from_original.boxes(lesion.box[None])[0]
                size, fraction = round(ROI_SIZE * context), MASS_FRACTION / context
                roi = cut_roi(prepared.pixels, box, prepared.pixel_aspect, size=size, mass_fraction=fraction)
                if published := placed(lesion):
                    mask = np.asarray(mask_in_cut(dataset, lesion, prepared, roi)[0] * 255, dtype=np.uint8)
                else:
                    mask = _ellipse(roi, box)
                sharp = roi.from_preprocessed.scale_x <= 1
                full = LesionPicture(roi.pixels, mask, fraction, sharp, published)
            views.append(LesionViews(lesion, crop, full))
        return views

    with_lesions = [image for image, lesions in dataset.images.items() if lesions]
    return [view for views in map_in_threads(load, with_lesions, label) for view in views]


def random_picture(
    rng: np.random.Generator,
    settings: Augmentation,
    source: LesionPicture,
    size: int,
    *,
    contrast: ContrastSettings = _UNCHANGED,
    widen: float = 1.0,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An augmented image and mask, ``(size, size) uint8`` each, the mass spanning about ``MASS_FRACTION / widen``."""
    side = source.pixels.shape[0]
    enlarge = MASS_FRACTION / source.mass_fraction / widen
    warp = random_warp(rng, settings, source=(side, side), target=(size, size), enlarge=enlarge)
    pixels = warp.picture(source.pixels, size, size, mirrored_border=True)
    mask = warp.picture(source.mask, size, size, mirrored_border=True)
    pixels = contrast.apply(stretch_contrast(pixels))
    if source.sharp:
        pixels = random_coarseness(rng, settings, pixels)
    return random_erasure(rng, settings, random_light(rng, settings, pixels)), mask


def plain_picture(
    source: LesionPicture, size: int, contrast: ContrastSettings = _UNCHANGED
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The same without random changes, for validation."""
    return random_picture(np.random.default_rng(0), Augmentation(), source, size, contrast=contrast)


def _ellipse(roi: Roi, box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The ellipse that fills a lesion's box, in the ROI cut around it."""
    side = roi.pixels.shape[0]
    x0, y0, x1, y1 = roi.from_preprocessed.boxes(box[None])[0]
    y, x = np.mgrid[:side, :side] + 0.5
    inside = ((2 * x - x0 - x1) / max(x1 - x0, 1)) ** 2 + ((2 * y - y0 - y1) / max(y1 - y0, 1)) ** 2 <= 1
    return np.asarray(inside * 255, dtype=np.uint8)
