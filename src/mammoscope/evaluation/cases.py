"""Run the stages of a bundle over a dataset, one case at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import AVERAGE_MASK, Bundle
from mammoscope.datasets.images import dataset_mammogram, read_crop
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.errors import BundleError, DatasetError
from mammoscope.evaluation.metrics.classification import ClassifiedLesions, classified
from mammoscope.evaluation.metrics.detection import DetectedImage, match
from mammoscope.evaluation.metrics.end_to_end import MATCH_IOU, AnalysedImage
from mammoscope.evaluation.metrics.segmentation import SegmentedLesion, measure
from mammoscope.geometry import FloatArray, Frame, FrameChange, box_iou
from mammoscope.mammogram import Mammogram
from mammoscope.stages.preprocess import Preprocessed, preprocess
from mammoscope.stages.roi import ROI_SIZE, RoiBatch, cut_rois, stretch_contrast
from mammoscope.stages.step import Masks, Regions

Progress = Callable[[int, int], None]

_BATCH = 16
_AS_CUT = FrameChange(Frame.PREPROCESSED, Frame.ROI)


def detect_images(dataset: Dataset, bundle: Bundle, progress: Progress | None = None) -> list[DetectedImage]:
    """Run the detector on every image."""
    return [
        detected_image(image, lesions, prepared, detect_regions(bundle, prepared, image))
        for image, lesions, prepared in prepared_images(dataset, bundle, progress)
    ]


def analyse_images(dataset: Dataset, bundle: Bundle, progress: Progress | None = None) -> list[AnalysedImage]:
    """Run all stages on every image; only detections that take a lesion are outlined and classified."""
    analysed = []
    for image, lesions, prepared in prepared_images(dataset, bundle, progress):
        regions = detect_regions(bundle, prepared, image)
        detected = detected_image(image, lesions, prepared, regions)
        lesion = match(box_iou(detected.boxes, detected.lesion_boxes), MATCH_IOU)
        malignancy = np.full(len(lesion), np.nan)
        taken = lesion >= 0
        if prepared is not None and taken.any():
            rois = cut_rois(prepared, regions.boxes[taken])
            malignancy[taken] = _classify(bundle, rois, bundle.segmenter.segment(rois), image)
        malignant = np.array([row.malignant for row in lesions], dtype=bool)
        analysed.append(AnalysedImage(detected, lesion, malignancy, malignant))
    return analysed


def classify_boxes(dataset: Dataset, bundle: Bundle, progress: Progress | None = None) -> tuple[ClassifiedLesions, int]:
    """Classify every lesion in the ROI of its true box, with the predicted mask.

    Returns
    -------
    tuple
        The lesions, and how many of them are on images where no breast was found.
    """
    identities: list[tuple[str, str, str, bool]] = []
    scores: list[float] = []
    without_breast = 0
    for image, lesions, found in prepared_images(dataset, bundle, progress):
        without_breast += len(lesions) if found is None else 0
        prepared = found or _whole_image(dataset_mammogram(dataset, image))
        rois = cut_rois(prepared, prepared.from_original.boxes(np.stack([lesion.box for lesion in lesions])))
        identities.extend(_identity(lesion) for lesion in lesions)
        scores.extend(_classify(bundle, rois, bundle.segmenter.segment(rois), image))
    return classified(identities, scores), without_breast


def classify_crops(
    dataset: Dataset, bundle: Bundle, progress: Progress | None = None
) -> tuple[ClassifiedLesions, ClassifiedLesions]:
    """Classify the lesions with a crop and a mask: with the true masks, and with the predicted ones."""
    lesions = lesions_with_crop(dataset)
    with_true: list[float] = []
    with_predicted: list[float] = []
    for part in _batches(lesions, progress):
        rois, true = crop_rois(dataset, part)
        place = str(dataset.crop_path(part[0]))
        with_true.extend(_classify(bundle, rois, Masks(true.astype(np.float32), 0.5), place))
        with_predicted.extend(_classify(bundle, rois, bundle.segmenter.segment(rois), place))
    identities = [_identity(lesion) for lesion in lesions]
    return classified(identities, with_true), classified(identities, with_predicted)


def segment_crops(
    dataset: Dataset, bundle: Bundle, baseline: NDArray[np.bool_], progress: Progress | None = None
) -> list[SegmentedLesion]:
    """Segment every crop that has a mask, and measure it against the mask and the average mask ``(S, S)``."""
    measured = []
    for part in _batches(lesions_with_crop(dataset), progress):
        rois, true = crop_rois(dataset, part)
        masks = bundle.segmenter.segment(rois)
        if not np.isfinite(masks.probabilities).all():
            raise BundleError(f"{bundle.folder}: the segmenter's output for {part[0].crop} is not finite")
        measured += [
            measure(
                probabilities=masks.probabilities[row],
                predicted=masks.binary[row],
                true=true[row],
                baseline=baseline,
                image=lesion.image,
                patient=lesion.patient_id,
                abnormality_id=lesion.abnormality_id,
                crop=lesion.crop,
            )
            for row, lesion in enumerate(part)
        ]
    return measured


def crop_with_masks(
    dataset: Dataset, bundle: Bundle, crop: str
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """A crop ``(S, S) uint8`` with its true and its predicted mask, for a picture."""
    lesion = next(lesion for lesion in lesions_with_crop(dataset) if lesion.crop == crop)
    rois, true = crop_rois(dataset, [lesion])
    return rois.pixels[0], true[0], bundle.segmenter.segment(rois).binary[0]


def average_mask(dataset: Dataset, bundle: Bundle) -> tuple[NDArray[np.bool_], bool]:
    """The average mask ``(S, S) bool``, thresholded at 0.5.

    Returns
    -------
    tuple
        The mask, and whether it is of the bundle's training masks (else of this dataset's own).
    """
    path = bundle.folder / AVERAGE_MASK
    if path.is_file():
        try:
            grey = _square(read_crop(path), path, cv2.INTER_LINEAR)
        except DatasetError as error:
            raise BundleError(str(error)) from None
        return grey > 127, True
    total = np.zeros((ROI_SIZE, ROI_SIZE), dtype=np.int64)
    lesions = lesions_with_crop(dataset)
    for lesion in lesions:
        total += _read_true_mask(dataset, lesion)
    return np.asarray(2 * total >= max(1, len(lesions))), False


def lesions_with_crop(dataset: Dataset) -> list[Lesion]:
    """The lesions that have both a crop and a mask."""
    return [lesion for lesion in dataset.lesions if lesion.crop and lesion.mask]


def crop_rois(dataset: Dataset, lesions: Sequence[Lesion]) -> tuple[RoiBatch, NDArray[np.bool_]]:
    """Crops as the stages take them, contrast stretched as ``cut_roi`` does, and their true masks ``(N, S, S)``."""
    crops = []
    for lesion in lesions:
        path = dataset.crop_path(lesion)
        pixels = stretch_contrast(read_crop(path))
        shrinks = pixels.shape[0] > ROI_SIZE
        crops.append(_square(pixels, path, cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))
    masks = np.stack([_read_true_mask(dataset, lesion) for lesion in lesions])
    return RoiBatch(np.stack(crops), (_AS_CUT,) * len(lesions)), masks


def prepared_images(
    dataset: Dataset, bundle: Bundle, progress: Progress | None
) -> Iterator[tuple[str, tuple[Lesion, ...], Preprocessed | None]]:
    """Each image's name, its lesions, and the breast; None where none is found."""
    for done, (image, lesions) in enumerate(dataset.images.items(), start=1):
        yield image, lesions, preprocess(dataset_mammogram(dataset, image), bundle.manifest.preprocess)
        if progress:
            progress(done, len(dataset.images))


def _whole_image(mammogram: Mammogram) -> Preprocessed:
    """A mammogram on which no breast was found, as it is: its lesions are classified like all others."""
    grey = np.zeros(mammogram.pixels.shape, dtype=np.uint8)
    cv2.normalize(mammogram.pixels, grey, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    change = FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED)
    return Preprocessed(grey, np.ones(grey.shape, dtype=bool), change, mammogram.pixel_aspect)


def _batches(lesions: Sequence[Lesion], progress: Progress | None) -> Iterator[Sequence[Lesion]]:
    for start in range(0, len(lesions), _BATCH):
        yield lesions[start : start + _BATCH]
        if progress:
            progress(min(start + _BATCH, len(lesions)), len(lesions))


def detect_regions(bundle: Bundle, prepared: Preprocessed | None, place: str) -> Regions:
    """What the detector finds on an image, highest score first; nothing where there is no breast."""
    if prepared is None:
        return Regions(np.zeros((0, 4)), np.zeros(0))
    regions = bundle.detector.detect(prepared)
    scores = _checked(regions.scores, len(regions), bundle, "detector", place)
    order = np.argsort(-scores, kind="stable")
    return Regions(np.asarray(regions.boxes, np.float64)[order], scores[order])


def detected_image(
    image: str, lesions: Sequence[Lesion], prepared: Preprocessed | None, regions: Regions
) -> DetectedImage:
    """The lesions of an image and what was found on it, in its ``original`` frame."""
    boxes = regions.boxes if prepared is None else prepared.from_original.inverse().boxes(regions.boxes)
    return DetectedImage(
        image=image,
        patient=lesions[0].patient_id,
        lesion_boxes=np.stack([lesion.box for lesion in lesions]),
        boxes=boxes,
        scores=regions.scores,
        breast_found=prepared is not None,
    )


def _classify(bundle: Bundle, rois: RoiBatch, masks: Masks, place: str) -> FloatArray:
    return _checked(bundle.classifier.classify(rois, masks), len(rois), bundle, "classifier", place)


def _checked(scores: NDArray[np.floating], count: int, bundle: Bundle, stage: str, place: str) -> FloatArray:
    """Scores of a stage, which may come from another package, as float64 in [0, 1]."""
    checked = np.asarray(scores, dtype=np.float64)
    if checked.shape != (count,) or not ((checked >= 0) & (checked <= 1)).all():
        raise BundleError(f"{bundle.folder}: the {stage}'s scores for {place} are not {count} numbers from 0 to 1")
    return checked


def _identity(lesion: Lesion) -> tuple[str, str, str, bool]:
    return lesion.image, lesion.patient_id, lesion.abnormality_id, lesion.malignant


def _read_true_mask(dataset: Dataset, lesion: Lesion) -> NDArray[np.bool_]:
    path = dataset.mask_path(lesion)
    return _square(read_crop(path), path, cv2.INTER_NEAREST) > 127


def _square(pixels: NDArray[np.uint8], path: Path, interpolation: int) -> NDArray[np.uint8]:
    """A square picture at the size of an ROI."""
    height, width = pixels.shape
    if height != width:
        raise DatasetError(f"{path}: has {width} x {height} pixels, expected a square")
    if height == ROI_SIZE:
        return pixels
    return np.asarray(cv2.resize(pixels, (ROI_SIZE, ROI_SIZE), interpolation=interpolation), dtype=np.uint8)
