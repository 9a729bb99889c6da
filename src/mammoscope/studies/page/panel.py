"""The same cases, outlined or boxed by each entry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from mammoscope.bundle import MANIFEST, load_bundle
from mammoscope.datasets.images import read_image
from mammoscope.datasets.layout import Dataset
from mammoscope.evaluation.cases import crop_with_masks
from mammoscope.evaluation.compare.cases import read_cases
from mammoscope.evaluation.report.plots import BoxedImage, Plot, draw_boxes, draw_outlines, png
from mammoscope.studies.comparison import Comparison, Line
from mammoscope.studies.plan import Item, Place
from mammoscope.studies.records import BUNDLE, CASES

_CASES = 4
_SURE = 3  # detections shown of each image: the surest


def panel(comparison: Comparison, place: Place, dataset: Dataset) -> Plot | None:
    """A row a case and a column an entry; None where the stage draws nothing, or bundles or cases are not at hand.

    The cases are from the best to the worst of the reference, evenly spaced, of the first fold that all share.
    """
    lines = [line for line in comparison.lines if line.items and line.entry.split == "by-patient"]
    reference = next((line for line in lines if line.entry.name == comparison.study.reference), None)
    if reference is None or comparison.study.stage not in ("segmenter", "detector"):
        return None
    fold = next((fold for fold in reference.folds if all(fold in line.folds for line in lines)), None)
    if fold is None:
        return None
    columns = [(line.entry.name, _item(line, fold)) for line in lines]
    first = _item(reference, fold)
    if comparison.study.stage == "segmenter":
        return _outlined(columns, first, place, dataset)
    return _boxed(columns, first, dataset)


def _item(line: Line, fold: int) -> Item:
    return next(item for item in line.items if item.fold == fold)


def _outlined(columns: Sequence[tuple[str, Item]], first: Item, place: Place, dataset: Dataset) -> Plot | None:
    drawn = [(name, item) for name, item in columns if item.entry.bundle or (item.folder / BUNDLE / MANIFEST).is_file()]
    rows = [row for row in read_cases(first.folder / CASES) if row["set"] == "crops"]
    ranked = sorted(rows, key=lambda row: -float(row["iou"]))
    if not drawn or not ranked:
        return None
    figure = Figure(figsize=(2.2 * len(drawn), 2.4 * min(_CASES, len(ranked))), layout="constrained")
    shown = _spread(len(ranked))
    for column, (name, item) in enumerate(drawn):
        bundle = place.bundle(item.entry.bundle) if item.entry.bundle else load_bundle(item.folder / BUNDLE)
        iou = {row["crop"]: float(row["iou"]) for row in read_cases(item.folder / CASES) if row["set"] == "crops"}
        for row, number in enumerate(shown):
            crop = ranked[number]["crop"]
            axes = figure.add_subplot(len(shown), len(drawn), row * len(drawn) + column + 1)
            title = f"{name}\nIoU {iou[crop]:.2f}" if row == 0 else f"IoU {iou[crop]:.2f}"
            draw_outlines(axes, title, *crop_with_masks(dataset, bundle, crop))
    caption = "Crops from the best to the worst of the reference. Green: true outline. Orange: predicted outline."
    return Plot("The same cases", caption, png(figure))


def _boxed(columns: Sequence[tuple[str, Item]], first: Item, dataset: Dataset) -> Plot | None:
    best: dict[str, float] = {}
    for case in read_cases(first.folder / CASES):
        if case["kind"] == "detection" and case["image"] in dataset.images:
            best[case["image"]] = max(best.get(case["image"], 0.0), float(case["best_iou"]))
    ranked = sorted(best, key=lambda image: -best[image])
    if not ranked:
        return None
    shown = [ranked[number] for number in _spread(len(ranked))]
    figure = Figure(figsize=(2.2 * len(columns), 3.4 * len(shown)), layout="constrained")
    for column, (name, item) in enumerate(columns):
        cases = read_cases(item.folder / CASES)
        for row, image in enumerate(shown):
            found = [case for case in cases if case["image"] == image and case["kind"] == "detection"][:_SURE]
            boxes = np.array([[float(case[side]) for side in ("x0", "y0", "x1", "y1")] for case in found])
            pixels = read_image(dataset.image_path(image))
            height, width = pixels.shape
            picture = BoxedImage(
                name if row == 0 else "",
                pixels,
                dataset.pixel_aspect(image, width, height),
                dataset.boxes_of(image),
                boxes.reshape(-1, 4),
                tuple(f"{float(case['score']):.2f}" for case in found),
            )
            draw_boxes(figure.add_subplot(len(shown), len(columns), row * len(columns) + column + 1), picture)
    caption = (
        f"Mammograms from the best to the worst of the reference, with the {_SURE} surest detections of each and their "
        "scores. Green: true box. Orange: detections."
    )
    return Plot("The same cases", caption, png(figure))


def _spread(count: int) -> list[int]:
    """Places from the first to the last, evenly spaced."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(_CASES, count))})
