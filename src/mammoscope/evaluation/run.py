"""Evaluate one stage of a bundle, or the whole pipeline, on a dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import numpy as np

from mammoscope.bundle import Bundle
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.evaluation.analysed import analyse_images
from mammoscope.evaluation.cases import (
    Progress,
    classify_boxes,
    classify_crops,
    detect_images,
    segment_crops,
)
from mammoscope.evaluation.crops import average_mask, lesions_with_crop
from mammoscope.evaluation.cut_cases import box_errors, segment_cuts
from mammoscope.evaluation.external import DEFINITIONS as EXTERNAL
from mammoscope.evaluation.external import as_external
from mammoscope.evaluation.metrics import (
    afroc,
    any_view,
    attributes,
    by_kind,
    classification,
    detection,
    end_to_end,
    levels,
    normals,
    segmentation,
    weak,
)
from mammoscope.evaluation.metrics.breakdown import breakdown, group_definitions, in_order_of_images
from mammoscope.evaluation.metrics.cuts import DEFINITIONS as CUTS
from mammoscope.evaluation.metrics.cuts import all_cut_figures, cut_rows
from mammoscope.evaluation.metrics.detection_rows import detection_rows
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json
from mammoscope.evaluation.report import panels, plots
from mammoscope.evaluation.report.plots import Plot
from mammoscope.evaluation.report.write import Measured, make_folder, write_report
from mammoscope.evaluation.weak_cases import look_at_images

Stage = Literal["detector", "segmenter", "classifier", "pipeline", "weak"]


def evaluate(
    stage: Stage,
    dataset_folder: Path,
    out: Path,
    bundle: Bundle,
    *,
    seed: int = 0,
    draws: int = 2000,
    external: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Measure a stage as it is in the bundle and write ``report.json``, ``report.html`` and ``cases.csv``.

    Parameters
    ----------
    stage
        What to measure; ``"weak"``: what the whole chain says of whole images, and where it looks, as networks are
        measured that learn from the labels of images.
    dataset_folder
        A folder in the dataset layout.
    out
        Folder of the three files; made where it is missing.
    bundle
        The models. Its thresholds and calibration are used as they are: nothing is fitted here.
    seed, draws
        Of the bootstrap over patients.
    external
        The dataset is another than those that the bundle was trained on: its BI-RADS categories stand for unknown
        pathologies, and the report says so, and how lesions are marked.
    progress
        Called with the number of cases done and of all cases.

    Returns
    -------
    Path
        Where ``report.json`` lies.

    Raises
    ------
    DatasetError
        The dataset, or a file of it, cannot be used, or is not external.
    BundleError
        A stage cannot be loaded, or gives something that is not a score.
    MammoscopeError
        ``out`` cannot be written.
    """
    dataset, bootstrap = load_dataset(dataset_folder).of_kinds(bundle.kinds), Bootstrap(draws, seed)
    described: Json = {}
    if external:
        dataset, described = as_external(dataset, bundle)
    make_folder(out)
    measured = _MEASURES[stage](dataset, bundle, bootstrap, progress)
    if described:
        measured = replace(measured, figures=described | measured.figures, definition=measured.definition | EXTERNAL)
    return write_report(stage, measured, out, dataset=dataset, bundle=bundle, bootstrap=bootstrap)


def figures_of(stage: Stage, dataset_folder: Path, bundle: Bundle, *, seed: int = 0, draws: int = 2000) -> Json:
    """The figures of a stage by the keys of ``report.json``, without a report; see ``evaluate``.

    Of the pipeline without ``levels``, for which many more candidates must be graded.
    """
    dataset = load_dataset(dataset_folder).of_kinds(bundle.kinds)
    if stage == "pipeline":
        return _pipeline(dataset, bundle, Bootstrap(draws, seed), None, by_image=False).figures
    return _MEASURES[stage](dataset, bundle, Bootstrap(draws, seed), None).figures


def _detector(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    images = detect_images(dataset, bundle, progress)
    figures = detection.detection_figures(images, bootstrap)
    ranking = detection.rank(images)
    statistic = detection.lesion_statistic(images, ranking)
    figures |= _unlisted(dataset)
    figures |= normals.normal_figures(images, dataset.normals, bundle.manifest.thresholds.detection, bootstrap)
    scored = detection.scored_by_lesion(images)
    figures |= any_view.any_view_figures(images, ranking, bootstrap) | normals.froc_on_normals(ranking, bootstrap)
    figures |= afroc.afroc_figures(ranking, bootstrap) | levels.level_figures(scored, bootstrap)
    figures |= by_kind.detection_by_kind(images, bundle.kinds, bootstrap)
    figures["breakdown"] = breakdown(dataset, in_order_of_images(dataset), statistic, bootstrap)

    def drawn() -> list[Plot]:
        threshold = detection.threshold_at_rate(ranking, detection.FROC_IOUS[0], 1)
        return [
            plots.precision_recall_plot(ranking),
            plots.froc_plot(ranking, figures),
            *plots.afroc_plots(ranking, figures),
            *plots.level_plots(scored, figures),
            panels.detected_panel(dataset, images, threshold),
        ]

    return Measured(
        figures,
        levels.definitions(levels.BY_LESION)
        | afroc.DEFINITIONS
        | detection.DEFINITIONS
        | any_view.DEFINITIONS
        | normals.DEFINITIONS
        | (by_kind.DEFINITIONS if "kinds" in figures else {})
        | group_definitions(dataset.info),
        detection_rows(images),
        drawn,
    )


def _segmenter(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    dataset = dataset.of_kinds(bundle.kinds_of("segment"))
    images, crops = len(dataset.images), lesions_with_crop(dataset)
    total = len(crops) + 2 * images
    average, of_training = average_mask(dataset, bundle)
    lesions = segment_crops(dataset, bundle, average, _from(progress, 0, total))
    errors = box_errors(dataset, bundle, _from(progress, len(crops), total))
    cuts = segment_cuts(dataset, bundle, average, errors, bootstrap.seed, _from(progress, len(crops) + images, total))
    figures = segmentation.segmentation_figures(lesions, bootstrap)
    figures |= all_cut_figures(cuts, errors, sum(bool(row.mask) for row in dataset.lesions), bootstrap)
    figures["breakdown"] = breakdown(dataset, crops, segmentation.lesion_statistic(lesions), bootstrap)

    def drawn() -> list[Plot]:
        of_figures = [plots.iou_histogram([lesion.iou for lesion in lesions]), plots.cuts_plot(figures)]
        return [*of_figures, panels.segmented_panel(dataset, bundle, lesions)] if lesions else of_figures

    meaning = segmentation.BASELINE_OF_TRAINING if of_training else segmentation.BASELINE_OF_DATASET
    definition = segmentation.DEFINITIONS | {"baseline_iou_pooled": meaning} | CUTS | group_definitions(dataset.info)
    return Measured(figures, definition, [*segmentation.segmentation_rows(lesions), *cut_rows(cuts)], drawn)


def _classifier(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    dataset = dataset.of_kinds(bundle.kinds_of("classify"))
    unknown = len(dataset.lesions) - len(dataset.graded_lesions)
    dataset = replace(dataset, lesions=dataset.graded_lesions) if unknown else dataset
    threshold = bundle.manifest.thresholds.malignancy
    images, crops = len(dataset.images), lesions_with_crop(dataset)
    total = images + len(crops)
    boxes, without_breast = classify_boxes(dataset, bundle, _from(progress, 0, total))
    with_true, with_predicted = classify_crops(dataset, bundle, _from(progress, images, total))
    sets = {"boxes": boxes, "crops.true_mask": with_true, "crops.predicted_mask": with_predicted}
    rows = {"boxes": in_order_of_images(dataset), "crops.true_mask": crops, "crops.predicted_mask": crops}
    found = {
        name: classification.classification_figures(lesions, threshold, bootstrap)
        | {"breakdown": breakdown(dataset, rows[name], classification.lesion_statistic(lesions, threshold), bootstrap)}
        for name, lesions in sets.items()
    }
    told = attributes.told_words(boxes.attributes, bundle.attributes, rows["boxes"])
    if told:
        found["boxes"]["attributes"] = {
            name: attributes.attribute_figures(words, boxes.patients, bootstrap) for name, words in told.items()
        }
    figures: Json = {
        "threshold": threshold,
        **({"pathology_unknown": unknown} if unknown else {}),
        "boxes": found["boxes"] | {"without_breast": without_breast},
        "crops": {
            "lesions": len(crops),
            "true_mask": found["crops.true_mask"],
            "predicted_mask": found["crops.predicted_mask"],
        },
    }

    def drawn() -> list[Plot]:
        of_sets = []
        for name, lesions in sets.items():
            auc = cast(Json, found[name]["auc"])
            of_sets += [plots.roc_plot(lesions, name, auc), plots.calibration_plot(found[name], name)]
        of_sets.append(plots.decision_plot(found["boxes"], "boxes"))
        return [*of_sets, panels.classified_panel(dataset, bundle, with_predicted, crops)] if crops else of_sets

    definition = classification.DEFINITIONS | group_definitions(dataset.info)
    cases = classification.classification_rows(sets, threshold)
    if told:
        definition |= attributes.DEFINITIONS
        for row in range(len(boxes)):  # the first of the sets
            cases[row] |= attributes.attribute_columns(told, row)
    return Measured(figures, definition, cases, drawn)


def _pipeline(
    dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None, *, by_image: bool = True
) -> Measured:
    detection_threshold = bundle.manifest.thresholds.detection
    malignancy_threshold = bundle.manifest.thresholds.malignancy
    images = analyse_images(dataset, bundle, progress, scored=by_image)
    figures = end_to_end.pipeline_figures(images, detection_threshold, malignancy_threshold, bootstrap)
    scored = end_to_end.scored_by_malignancy(images)
    rows = end_to_end.pipeline_rows(images, malignancy_threshold) + end_to_end.image_rows(images)
    threshold = end_to_end.threshold_at_lesion_count(images)
    shown = np.inf if threshold is None else threshold
    detected = [image.detected for image in images]
    figures |= _unlisted(dataset)
    figures |= normals.normal_figures(detected, dataset.normals, detection_threshold, bootstrap)
    if by_image:
        figures |= levels.level_figures(scored, bootstrap)
    thresholds = detection_threshold, malignancy_threshold
    figures |= by_kind.pipeline_by_kind(images, bundle.kinds, *thresholds, bootstrap)
    statistic = end_to_end.lesion_statistic(images, shown, malignancy_threshold)
    figures["breakdown"] = breakdown(dataset, in_order_of_images(dataset), statistic, bootstrap)
    groups = group_definitions(dataset.info)
    groups["breakdown"] += " Threshold: at_lesion_count."
    definition = levels.definitions(levels.BY_MALIGNANCY) | end_to_end.DEFINITIONS | normals.DEFINITIONS | groups
    definition |= by_kind.DEFINITIONS if "kinds" in figures else {}

    def drawn() -> list[Plot]:
        panel = panels.analysed_panel(dataset, images, shown, malignancy_threshold)
        return [*plots.threshold_plots(figures), *plots.level_plots(scored, figures), panel]

    return Measured(figures, definition, rows, drawn)


def _weak(dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap, progress: Progress | None) -> Measured:
    images = look_at_images(dataset, bundle, progress)
    figures = weak.weak_figures(images, bundle.manifest.thresholds.detection, bootstrap) | _unlisted(dataset)
    scored = weak.scored_by_malignancy(images)
    figures |= levels.level_figures(scored, bootstrap)
    definition = (
        levels.definitions(levels.BY_MALIGNANCY) | weak.DEFINITIONS | {"unlisted": normals.DEFINITIONS["unlisted"]}
    )

    def drawn() -> list[Plot]:
        caption = "Images with a malignant lesion against all others."
        roc = plots.roc_plot(weak.scored_images(images), "images", cast(Json, figures["image_auc"]), caption)
        return [roc, *plots.level_plots(scored, figures), panels.pointed_panel(dataset, images)]

    return Measured(figures, definition, weak.weak_rows(images), drawn)


_MEASURES: dict[Stage, Callable[[Dataset, Bundle, Bootstrap, Progress | None], Measured]] = {
    "detector": _detector,
    "segmenter": _segmenter,
    "classifier": _classifier,
    "pipeline": _pipeline,
    "weak": _weak,
}


def _unlisted(dataset: Dataset) -> Json:
    """How many images are left out, as no mark on them can be called false; nothing if there is none."""
    count = len(dataset.images) - len(dataset.judged_images)
    return {"unlisted": count} if count else {}


def _from(progress: Progress | None, first: int, total: int) -> Progress | None:
    """The progress of one of several passes, of which ``first`` cases are done before."""
    return (lambda done, _: progress(first + done, total)) if progress else None
