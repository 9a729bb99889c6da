"""Training samples as they are read, and batches as a network takes them, for each role."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Lesion
from mammoscope.stages.preprocess import Preprocessed


@dataclass(frozen=True, eq=False)
class BreastImage:
    """One mammogram as a detector sees it.

    Attributes
    ----------
    pixels
        ``(S, S) uint8``, black outside the breast; of the size of the recipe's grid if that has several tiles.
    boxes
        ``(N, 4)`` of (x0, y0, x1, y1), frame ``model_input``; no row without a lesion.
    pixel_aspect
        True height of a pixel over its true width.
    kinds
        ``(N,)`` what each lesion is, see ``mammoscope.kinds``; None: all of them the default.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    pixel_aspect: float
    kinds: NDArray[np.str_] | None = field(default=None, kw_only=True)


@dataclass(frozen=True, eq=False)
class GradedImage(BreastImage):
    """One mammogram as a joint network sees it, with what is known of its lesions.

    Attributes
    ----------
    malignant
        ``(N,) float32``: 1 malignant, 0 benign, NaN not known.
    outlined
        ``(N,) bool``: whether a lesion's outline is known.
    outlines
        ``(S, S) uint8``: 255 on the lesions that are outlined.
    label
        Of the image: 1 with a malignant lesion, 0 without, NaN not known.
    """

    malignant: NDArray[np.float32]
    outlined: NDArray[np.bool_]
    outlines: NDArray[np.uint8]
    label: float


@dataclass(frozen=True, eq=False)
class ProposedImage:
    """One breast, its lesions' boxes ``(M, 4)``, and what a detector proposes, frame ``preprocessed``."""

    breast: Preprocessed
    lesions: NDArray[np.float64]
    proposed: Candidates


@dataclass(frozen=True, eq=False)
class LesionPicture:
    """One view of one lesion.

    Attributes
    ----------
    pixels, mask
        ``(S, S) uint8``: brightness, and 255 on the mass.
    mass_fraction
        Share of the side that the mass spans.
    sharp
        False if the image was enlarged, so that it is already blurred.
    mask_published
        False where the mask is only the ellipse that fills the lesion's box.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    mass_fraction: float
    sharp: bool = True
    mask_published: bool = True


@dataclass(frozen=True, eq=False)
class LesionViews:
    """A lesion by its published crop and as cut from its full image; either may be missing."""

    lesion: Lesion
    crop: LesionPicture | None
    full: LesionPicture | None


@dataclass(frozen=True, eq=False)
class DetectorBatch:
    """A training batch of a detector.

    Attributes
    ----------
    images
        ``(N, 1, S, S) float32``, normalised.
    boxes
        ``(M, 4) float32`` for each image, in its pixels; M may be 0.
    kinds
        ``(M,)`` names of kinds for each image; None: all of them the default.
    """

    images: Tensor
    boxes: list[Tensor]
    kinds: list[NDArray[np.str_]] | None = field(default=None, kw_only=True)


@dataclass(frozen=True, eq=False)
class JointBatch(DetectorBatch):
    """What a joint network learns from; a family takes of it what it learns from, the labels alone perhaps.

    Attributes
    ----------
    malignant
        ``(M,) float32`` for each image: 1 malignant, 0 benign, NaN not known.
    outlined
        ``(M,) bool`` for each image: whether a lesion's outline is known.
    outlines
        ``(N, 1, S, S) float32``: 1 on the lesions that are outlined.
    labels
        ``(N,) float32`` of the images: 1 with a malignant lesion, 0 without, NaN not known.
    """

    malignant: list[Tensor]
    outlined: list[Tensor]
    outlines: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class RescorerBatch:
    """A training batch of a rescorer: ``regions (N, 1, S, S)`` normalised; ``shares (N,)`` of a mass, 0 to 1."""

    regions: Tensor
    shares: Tensor


@dataclass(frozen=True, eq=False)
class SegmenterBatch:
    """A training batch of a segmenter: ``rois (N, 1, S, S)`` normalised, ``masks`` of the same shape, 0 to 1."""

    rois: Tensor
    masks: Tensor


@dataclass(frozen=True, eq=False)
class ClassifierBatch:
    """A training batch of a classifier.

    Attributes
    ----------
    rois, masks
        ``(N, 1, S, S) float32``: normalised, and of 0 and 1.
    lesions
        N rows of the dataset's table.
    malignant
        ``(N,) float32`` of 0 and 1.
    """

    rois: Tensor
    masks: Tensor
    lesions: tuple[Lesion, ...]
    malignant: Tensor


@dataclass(frozen=True, eq=False)
class MassPicture:
    """A lesion with tissue around it, as a generator learns from it.

    Attributes
    ----------
    lesion
        Its row of the dataset's table.
    pixels, mask
        ``(S, S) uint8``: brightness as in the mammogram, and 255 on the mass.
    """

    lesion: Lesion
    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class GeneratorBatch:
    """Tissue into which masses are to be painted, in training with the real ones in it.

    Attributes
    ----------
    rois
        ``(N, 1, S, S) float32``, normalised.
    masks
        Of the same shape, 0 to 1: the outlines, softer where the margin is to be.
    weights
        Of the same shape, 0 to 1: how much of each pixel is painted; the rest of it is the ROI's.
    words
        ``(N, K) float32`` of 0 and 1: what is said of shape and margin; all 0 where nothing is.
    """

    rois: Tensor
    masks: Tensor
    weights: Tensor
    words: Tensor
