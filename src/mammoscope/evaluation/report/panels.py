"""Images of the best, median and worst cases of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mammoscope.bundle import Bundle
from mammoscope.datasets.images import read_image
from mammoscope.datasets.layout import Dataset, Lesion
from mammoscope.evaluation.cases import crop_with_masks
from mammoscope.evaluation.metrics.classification import ClassifiedLesions
from mammoscope.evaluation.metrics.detection import DetectedImage
from mammoscope.evaluation.metrics.end_to_end import AnalysedImage
from mammoscope.evaluation.metrics.segmentation import SegmentedLesion
from mammoscope.evaluation.metrics.weak import LookedAt
from mammoscope.evaluation.report.plots import BoxedImage, Plot, boxes_plot, outlines_plot
from mammoscope.geometry import box_iou

Case = TypeVar("Case")

_OUTLINES = "Green: true outline. Orange: predicted outline."
_BOXES = "Green: true box. Orange: detections, with their score."


def segmented_panel(dataset: Dataset, bundle: Bundle, lesions: Sequence[SegmentedLesion]) -> Plot:
    """Crops of best, median and worst IoU."""
    pictures = []
    for name, lesion in best_median_worst(lesions, lambda lesion: -lesion.iou):
        title = f"{name}: IoU {lesion.iou:.3f}\n{lesion.crop}"
        pictures.append((title, *crop_with_masks(dataset, bundle, lesion.crop)))
    return outlines_plot("Best, median and worst case", f"By IoU. {_OUTLINES}", pictures)


def classified_panel(dataset: Dataset, bundle: Bundle, lesions: ClassifiedLesions, rows: Sequence[Lesion]) -> Plot:
    """Crops whose malignancy score is nearest to the truth, at median distance, and farthest; of lesions ``rows``."""
    missed = np.abs(lesions.scores - lesions.malignant)
    pictures = []
    for name, row in best_median_worst(range(len(lesions)), lambda row: float(missed[row])):
        truth = "malignant" if lesions.malignant[row] else "benign"
        title = f"{name}: {truth}, score {lesions.scores[row]:.2f}\n{rows[row].crop}"
        pictures.append((title, *crop_with_masks(dataset, bundle, rows[row].crop)))
    caption = f"By the distance of malignancy score and truth, with the predicted mask. {_OUTLINES}"
    return outlines_plot("Best, median and worst case", caption, pictures)


def detected_panel(dataset: Dataset, images: Sequence[DetectedImage], threshold: float) -> Plot:
    """Mammograms of the lesions with best, median and worst IoU, with all detections from a threshold."""
    hits = [
        (image, lesion, _best_iou(image, lesion, threshold))
        for image in images
        for lesion in range(len(image.lesion_boxes))
    ]
    pictures = []
    for name, (image, lesion, iou) in best_median_worst(hits, lambda hit: -hit[2]):
        kept = image.scores >= threshold
        which = f", mass {lesion + 1} of {len(image.lesion_boxes)}" if len(image.lesion_boxes) > 1 else ""
        title = f"{name}: IoU {iou:.3f}{which}\n{image.image}"
        labels = [f"{score:.2f}" for score in image.scores[kept]]
        pictures.append(_boxed(dataset, title, image, kept, labels))
    caption = "By the IoU of a mass with the best of the detections, at the score that gives 1 false positive an image "
    return boxes_plot("Best, median and worst case", f"{caption}({threshold:.2f}). {_BOXES}", pictures)


def analysed_panel(
    dataset: Dataset, images: Sequence[AnalysedImage], threshold: float, malignancy_threshold: float
) -> Plot:
    """Mammograms by the share of their lesions that are found and rightly classified, then by false positives."""

    def wrong(image: AnalysedImage) -> tuple[float, int]:
        kept = image.detected.scores >= threshold
        right = int((kept & image.right(malignancy_threshold)).sum())
        return -right / max(1, int(image.lesion_graded.sum())), int((kept & (image.lesion < 0)).sum())

    pictures = []
    for name, image in best_median_worst([image for image in images if image.lesion_graded.any()], wrong):
        kept = image.detected.scores >= threshold
        right = int((kept & image.right(malignancy_threshold)).sum())
        words = np.where(image.lesion_graded, np.where(image.lesion_malignant, "malignant", "benign"), "unknown")
        truth = ", ".join(words.tolist())
        title = f"{name}: {right} of {int(image.lesion_graded.sum())} right ({truth})\n{image.detected.image}"
        labels = [
            f"{score:.2f}" + ("" if np.isnan(malignancy) else f", malignancy {malignancy:.2f}")
            for score, malignancy in zip(image.detected.scores[kept], image.malignancy[kept], strict=True)
        ]
        pictures.append(_boxed(dataset, title, image.detected, kept, labels))
    caption = (
        "By the share of its masses that are found and rightly classified, then by false positives, where as many "
    )
    return boxes_plot(
        "Best, median and worst case", f"{caption}regions are found as there are masses. {_BOXES}", pictures
    )


def pointed_panel(dataset: Dataset, images: Sequence[LookedAt]) -> Plot:
    """Mammograms with a lesion, first those where the strongest candidate points at one, then by Dice coefficient."""
    pictures = []
    shown = [image for image in images if len(image.lesion_boxes)]
    for name, image in best_median_worst(shown, lambda image: (not image.hit, -np.nan_to_num(image.dice))):
        said = {True: "malignant", False: "benign", None: "pathology unknown"}[image.malignant]
        title = f"{name}: {'hit' if image.hit else 'missed'} ({said}), image score {image.score:.2f}\n{image.image}"
        rows = [] if image.strongest is None else [image.strongest]
        labels = [f"{image.detection[row]:.2f}, malignancy {image.malignancy[row]:.2f}" for row in rows]
        pixels = read_image(dataset.image_path(image.image))
        aspect = dataset.pixel_aspect(image.image, pixels.shape[1], pixels.shape[0])
        pictures.append(BoxedImage(title, pixels, aspect, image.lesion_boxes, image.boxes[rows], tuple(labels)))
    caption = "By whether the strongest candidate points at a lesion, then by the Dice coefficient of all outlines. "
    return boxes_plot(
        "Best, median and worst case", f"{caption}Green: true box. Orange: the strongest candidate.", pictures
    )


def best_median_worst(cases: Sequence[Case], wrong: Callable[[Case], object]) -> list[tuple[str, Case]]:
    """The three cases with their names, joined if they are the same case; equals keep their order."""
    ranked = sorted(cases, key=wrong)  # type: ignore[arg-type]
    names: dict[int, list[str]] = {}
    if ranked:
        for name, place in (("best", 0), ("median", len(ranked) // 2), ("worst", len(ranked) - 1)):
            names.setdefault(place, []).append(name)
    return [(", ".join(called), ranked[place]) for place, called in names.items()]


def _best_iou(image: DetectedImage, lesion: int, threshold: float) -> float:
    found = image.boxes[image.scores >= threshold]
    return float(box_iou(found, image.lesion_boxes[lesion][None]).max(initial=0.0))


def _boxed(
    dataset: Dataset, title: str, image: DetectedImage, kept: NDArray[np.bool_], labels: Sequence[str]
) -> BoxedImage:
    pixels = read_image(dataset.image_path(image.image))
    height, width = pixels.shape
    aspect = dataset.pixel_aspect(image.image, width, height)
    return BoxedImage(title, pixels, aspect, image.lesion_boxes, image.boxes[kept], tuple(labels))
