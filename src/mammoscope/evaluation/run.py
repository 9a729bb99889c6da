"""Evaluate one stage of a bundle, or the whole pipeline, on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mammoscope.bundle import Bundle
from mammoscope.datasets.lesions import Dataset, load_dataset
from mammoscope.evaluation import classification, detection, end_to_end, plots, segmentation
from mammoscope.evaluation.cases import (
    Progress,
    analyse_images,
    average_mask,
    classify_boxes,
    classify_crops,
    crop_with_masks,
    detect_images,
    lesions_with_crop,
    segment_crops,
)
from mammoscope.evaluation.intervals import Bootstrap, Json
from mammoscope.evaluation.report import Measured, make_folder, write_report
from mammoscope.evaluation.segmentation import SegmentedLesion

Stage = Literal["detector", "segmenter", "classifier", "pipeline"]


def evaluate(
    stage: Stage,
    dataset_folder: Path,
    out: Path,
    bundle: Bundle,
    *,
    seed: int = 0,
    draws: int = 2000,
    progress: Progress | None = None,
) -> Path:
    """Measure a stage as it ships and write ``report.json``, ``report.html`` and ``cases.csv``.

    Parameters
    ----------
    stage
        What to measure.
    dataset_folder
        A folder in the dataset layout.
    out
        Folder of the three files; made where it is missing.
    bundle
        The models. Its thresholds and calibration are used as they are: nothing is fitted here.
    seed, draws
        Of the bootstrap over patients.
    progress
        Called with the number of cases done and of all cases.

    Returns
    -------
    Path
        Where ``report.json`` lies.

    Raises
    ------
    DatasetError
        The dataset, or a file of it, cannot be used.
    BundleError
        A stage cannot be loaded, or gives something that is no score.
    MammoscopeError
        ``out`` cannot be written.
    """
    measure = {
        "detector": _detector,
        "segmenter": _segmenter,
        "classifier": _classifier,
        "pipeline": _pipeline,
    }[stage]
    dataset = load_dataset(dataset_folder)
    bootstrap = Bootstrap(draws, seed)
    make_folder(out)
    measured = measure(dataset, bundle, bootstrap, progress)
    return write_report(stage, measured, out, dataset=dataset, bundle=bundle, bootstrap=bootstrap)


def _detector(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    images = detect_images(dataset, bundle, progress)
    figures = detection.detection_figures(images, bootstrap)
    ranking = detection.rank(images)
    drawn = [plots.precision_recall_plot(ranking), plots.froc_plot(ranking, figures)]
    return Measured(figures, detection.DEFINITIONS, detection.detection_rows(images), drawn)


def _segmenter(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    baseline, of_training = average_mask(dataset, bundle)
    lesions = segment_crops(dataset, bundle, baseline, progress)
    figures = segmentation.segmentation_figures(lesions, bundle.manifest.segmenter.threshold, bootstrap)
    drawn = [plots.iou_histogram([lesion.iou for lesion in lesions])]
    if lesions:
        drawn.append(_best_median_worst(dataset, bundle, lesions))
    meaning = segmentation.BASELINE_OF_TRAINING if of_training else segmentation.BASELINE_OF_DATASET
    definition = segmentation.DEFINITIONS | {"baseline_iou_pooled": meaning}
    return Measured(figures, definition, segmentation.segmentation_rows(lesions), drawn)


def _best_median_worst(dataset: Dataset, bundle: Bundle, lesions: list[SegmentedLesion]) -> plots.Plot:
    ranked = sorted(lesions, key=lambda lesion: -lesion.iou)
    names: dict[int, list[str]] = {}
    for name, place in (("best", 0), ("median", len(ranked) // 2), ("worst", len(ranked) - 1)):
        names.setdefault(place, []).append(name)
    pictures = []
    for place, called in names.items():
        lesion = ranked[place]
        title = f"{', '.join(called)}: IoU {lesion.iou:.3f}\n{lesion.crop}"
        pictures.append((title, *crop_with_masks(dataset, bundle, lesion.crop)))
    return plots.outlines_plot(pictures)


def _classifier(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    threshold = bundle.manifest.classifier.threshold
    images, crops = len(dataset.images), len(lesions_with_crop(dataset))

    def shifted(first: int) -> Progress | None:
        return (lambda done, _: progress(first + done, images + crops)) if progress else None

    boxes, without_breast = classify_boxes(dataset, bundle, shifted(0))
    with_true, with_predicted = classify_crops(dataset, bundle, shifted(images))
    sets = {"boxes": boxes, "crops.true_mask": with_true, "crops.predicted_mask": with_predicted}
    found = {
        name: classification.classification_figures(lesions, threshold, bootstrap) for name, lesions in sets.items()
    }
    figures: Json = {
        "threshold": threshold,
        "boxes": found["boxes"] | {"without_breast": without_breast},
        "crops": {
            "lesions": crops,
            "true_mask": found["crops.true_mask"],
            "predicted_mask": found["crops.predicted_mask"],
        },
    }
    drawn = [draw(lesions, name) for name, lesions in sets.items() for draw in (plots.roc_plot, plots.calibration_plot)]
    return Measured(figures, classification.DEFINITIONS, classification.classification_rows(sets, threshold), drawn)


def _pipeline(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    detection_threshold = bundle.manifest.detector.threshold
    malignancy_threshold = bundle.manifest.classifier.threshold
    images = analyse_images(dataset, bundle, progress)
    figures = end_to_end.pipeline_figures(images, detection_threshold, malignancy_threshold, bootstrap)
    rows = end_to_end.pipeline_rows(images, malignancy_threshold)
    return Measured(figures, end_to_end.DEFINITIONS, rows, plots.threshold_plots(figures))
