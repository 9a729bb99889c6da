"""The report's plots, drawn without a display and embedded as PNG."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mammoscope.evaluation.metrics.afroc import marked_images, wafroc_curve
from mammoscope.evaluation.metrics.classification import (
    ClassifiedLesions,
)
from mammoscope.evaluation.metrics.detection import FROC_IOUS, FROC_RATES, Ranking
from mammoscope.evaluation.metrics.detection_curves import froc_curve, precision_recall_curve
from mammoscope.evaluation.metrics.intervals import Json
from mammoscope.evaluation.metrics.levels import LEVELS, ScoredImage, units_of
from mammoscope.evaluation.metrics.roc import roc_curve
from mammoscope.geometry import FloatArray

# Okabe and Ito 2008: distinguishable with any kind of colour blindness.
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
_COLOURS = (_BLUE, _ORANGE, _GREEN, _PURPLE)
_DPI = 130
_SHOWN_PIXELS = 800  # shown of a mammogram at most; a page has no room for thousands


@dataclass(frozen=True)
class Plot:
    """A plot of the report with its title and a sentence on how to read it."""

    title: str
    caption: str
    png: bytes

    @property
    def width(self) -> int:
        """Width on the page in CSS pixels; the image has more, for print."""
        return int.from_bytes(self.png[16:20], "big") * 96 // _DPI

    @property
    def data_uri(self) -> str:
        """The image as a data URI, so that the page needs no other file."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def precision_recall_plot(ranking: Ranking) -> Plot:
    """Interpolated precision over recall at three IoU thresholds."""
    figure, axes = _figure("Recall", "Precision")
    for iou, colour in zip((*FROC_IOUS, 0.75), _COLOURS, strict=False):
        recall, precision = precision_recall_curve(ranking, iou)
        axes.step(recall, precision, where="pre", color=colour, label=f"IoU ≥ {iou:g}")
    return _finish(figure, axes, "Precision and recall", "All detections pooled, precision interpolated as for AP.")


def froc_plot(ranking: Ranking, figures: Json) -> Plot:
    """Sensitivity over false positives an image, with the reported points and their intervals."""
    figure, axes = _figure("False positives an image", "Sensitivity")
    froc = cast(dict[str, dict[str, Json]], figures["froc"])
    for iou, colour in zip(FROC_IOUS, _COLOURS, strict=False):
        rates, sensitivity = froc_curve(ranking, iou)
        axes.step(np.concatenate([[0], rates]), np.concatenate([[0], sensitivity]), where="post", color=colour)
        points = [froc[f"iou_{iou:g}"][f"{rate:g}"] for rate in FROC_RATES]
        _points_with_intervals(axes, FROC_RATES, points, colour, f"IoU ≥ {iou:g}")
    axes.set_xlim(0, 1.1 * FROC_RATES[-1])
    return _finish(figure, axes, "FROC", "Points are the reported figures with their 95% intervals.")


def afroc_plots(ranking: Ranking, figures: Json) -> list[Plot]:
    """Weighted AFROC curves, with their areas; none without images of both kinds."""
    figure, axes = _figure("Images without a lesion that have a false positive", "Lesions found, weighted")
    areas = cast(dict[str, dict[str, Json]], figures["afroc"])
    for iou, colour in zip(FROC_IOUS, _COLOURS, strict=False):
        false, found = wafroc_curve(marked_images(ranking, iou))
        if not len(false):
            return []
        area = areas[f"iou_{iou:g}"]["wafroc"]
        axes.plot(false, found, color=colour, label=f"IoU ≥ {iou:g}: {area['value']:.3f}{_interval(area)}")
        axes.plot([false[-1], 1], [found[-1], 1], color=colour, linestyle="--", linewidth=0.8)
    caption = "From the last mark the curve goes straight to (1, 1): that part is dashed and counts in the area."
    return [_finish(figure, axes, "Weighted AFROC", caption)]


def level_plots(images: Sequence[ScoredImage], figures: Json) -> list[Plot]:
    """ROC curves of images, breasts and patients in one plot; none where no level has both classes."""
    figure, axes = _figure("1 - specificity", "Sensitivity")
    of_levels = cast(dict[str, dict[str, Json]], figures["levels"])
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    drawn = False
    for level, colour in zip(LEVELS, _COLOURS, strict=False):
        units, auc = units_of(images, level), of_levels[level]["auc"]
        false, true = roc_curve(units.scores, units.positive)
        if len(false):
            drawn = True
            label = f"{level} (n = {len(units.scores)}): {auc['value']:.3f}{_interval(auc)}"
            axes.plot(false, true, color=colour, label=label)
    return [_finish(figure, axes, "ROC of images, breasts and patients", "By the highest score.")] if drawn else []


def iou_histogram(ious: Sequence[float]) -> Plot:
    """How many lesions reach which IoU."""
    figure, axes = _figure("IoU", "Lesions")
    axes.hist(ious, bins=np.linspace(0, 1, 21).tolist(), color=_BLUE, edgecolor="white")
    axes.autoscale(axis="y")
    if ious:
        axes.axvline(float(np.median(ious)), color=_ORANGE, linestyle="--", label=f"median {np.median(ious):.3f}")
    return _finish(figure, axes, "IoU of the lesions", "One count a lesion.")


def outlines_plot(
    title: str,
    caption: str,
    pictures: Sequence[tuple[str, NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]],
) -> Plot:
    """Crops with their true and predicted outline: (title, crop, true mask, predicted mask) each."""
    figure = Figure(figsize=(3.2 * max(1, len(pictures)), 3.8), layout="constrained")
    for column, (name, crop, true, predicted) in enumerate(pictures, start=1):
        draw_outlines(figure.add_subplot(1, len(pictures), column), name, crop, true, predicted)
    return Plot(title, caption, png(figure))


def draw_outlines(
    axes: Axes, title: str, crop: NDArray[np.uint8], true: NDArray[np.bool_], predicted: NDArray[np.bool_]
) -> None:
    """Draw a crop ``(S, S)`` with its true and its predicted outline."""
    axes.imshow(crop, cmap="gray", vmin=0, vmax=255)
    for mask, colour in ((true, _GREEN), (predicted, _ORANGE)):
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.5)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


@dataclass(frozen=True, eq=False)
class BoxedImage:
    """A mammogram with boxes.

    Attributes
    ----------
    title
        What is seen.
    pixels
        ``(H, W) uint16``.
    pixel_aspect
        Height of a pixel over its width.
    true, found
        Boxes ``(N, 4)`` and ``(M, 4)`` in pixels of the image.
    labels
        M texts, one for each box found.
    """

    title: str
    pixels: NDArray[np.uint16]
    pixel_aspect: float
    true: FloatArray
    found: FloatArray
    labels: tuple[str, ...]


def boxes_plot(title: str, caption: str, pictures: Sequence[BoxedImage]) -> Plot:
    """Mammograms in their true proportions, with true and detected boxes."""
    figure = Figure(figsize=(3.2 * max(1, len(pictures)), 5.4), layout="constrained")
    for column, picture in enumerate(pictures, start=1):
        draw_boxes(figure.add_subplot(1, len(pictures), column), picture)
    return Plot(title, caption, png(figure))


def draw_boxes(axes: Axes, picture: BoxedImage) -> None:
    """Draw a mammogram in its true proportions, with true and detected boxes."""
    step = max(1, max(picture.pixels.shape) // _SHOWN_PIXELS)
    height, width = picture.pixels.shape
    axes.imshow(picture.pixels[::step, ::step], cmap="gray", extent=(0, width, height, 0), aspect=picture.pixel_aspect)
    for boxes, colour in ((picture.true, _GREEN), (picture.found, _ORANGE)):
        for x0, y0, x1, y1 in boxes:
            axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.4))
    for (x0, y0, _, _), label in zip(picture.found, picture.labels, strict=True):
        right = x0 > width / 2
        axes.text(
            x0, y0, label, fontsize=7, color="white", va="bottom", ha="right" if right else "left",
            bbox={"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 0.8},
        )  # fmt: skip
    axes.set_title(picture.title, fontsize=9)
    axes.set_axis_off()


def cuts_plot(figures: Json) -> Plot:
    """Pooled IoU over the width of the cut, with what needs no segmenter beside it."""
    figure, axes = _figure("Side of the cut, in sides of the usual one", "IoU, pixels of all masses pooled")
    wider = cast(dict[str, dict[str, Json]], figures["wider"])
    places = np.array([float(width) for width in wider])
    names = {
        "iou_pooled": "segmenter",
        "box_baseline_iou_pooled": "average mask, laid on the true box",
        "baseline_iou_pooled": "average mask over the whole cut",
    }
    for (key, label), colour, shift in zip(names.items(), (_BLUE, _ORANGE, _GREY), (0, 0.01, -0.01), strict=True):
        _points_with_intervals(axes, places + shift, [cut[key] for cut in wider.values()], colour, label)
    jittered = cast(dict[str, Json], figures["jittered"])
    _points_with_intervals(axes, [1.06], [jittered["iou_pooled"]], _GREEN, "segmenter, box as the detector errs")
    axes.set_xlim(0.9, 2.1)
    return _finish(figure, axes, "Wider cuts and boxes that err", "Cut from the full images; bars are 95% intervals.")


def roc_plot(
    lesions: ClassifiedLesions, title: str, auc: Json, caption: str = "Malignant against both benign kinds."
) -> Plot:
    """ROC curve of a score of malignancy, with the reported area under it."""
    figure, axes = _figure("1 - specificity", "Sensitivity")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    false_rate, true_rate = roc_curve(lesions.scores, lesions.malignant)
    if len(false_rate):
        axes.plot(false_rate, true_rate, color=_BLUE, label=f"AUC {auc['value']:.3f}{_interval(auc)}")
    else:
        axes.text(0.5, 0.4, "no curve: one class only", ha="center", color=_GREY)
    return _finish(figure, axes, f"ROC: {title}", caption)


def calibration_plot(figures: Json, title: str) -> Plot:
    """Share of malignant lesions over the mean malignancy score, in ten bins, with intervals."""
    figure, axes = _figure("Mean malignancy score", "Share malignant")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    for row in cast(list[dict[str, Any]], figures["reliability"]):
        mean, share = row["mean_score"], row["share_malignant"]
        _points_with_intervals(axes, [mean], [share], _BLUE, "")
        place = (mean, share["value"])
        axes.annotate(str(row["lesions"]), place, xytext=(6, -3), textcoords="offset points", fontsize=8)
    caption = "One point for each tenth of the score, with its 95% interval and its lesions; on the line is perfect."
    return _finish(figure, axes, f"Calibration: {title}", caption)


def decision_plot(figures: Json, title: str) -> Plot:
    """Net benefit over the threshold probability, beside acting on all lesions and on none."""
    figure, axes = _figure("Threshold probability", "Net benefit")
    points = cast(list[Json], figures["decision_curve"])
    _curve_with_band(axes, points, "net_benefit", _BLUE)
    _curve_with_band(axes, points, "act_on_all", _GREY)
    axes.axhline(0, color=_GREY, linewidth=0.8, linestyle=":", label="act on none")
    highest = max((cast(float, cast(Json, point["net_benefit"])["value"] or 0) for point in points), default=0)
    axes.set_ylim(-0.1, max(0.1, 1.2 * highest))
    return _finish(figure, axes, f"Decision curve: {title}", "Where the curve is above the two others, scores help.")


def threshold_plots(figures: Json) -> list[Plot]:
    """The pipeline's rates, and its false positives an image, over the detection threshold."""
    points = cast(list[Json], figures["thresholds"])
    operating_point = cast(float, cast(Json, figures["operating_point"])["threshold"])
    plots = []
    for title, names, label in (
        ("Rates over the detection threshold", ("detected", "class_correct", "correct", "false_positive_rate"), "Rate"),
        ("False positives an image", ("false_positives_per_image",), "False positives an image"),
    ):
        figure, axes = _figure("Detection threshold", label)
        for name, colour in zip(names, _COLOURS, strict=False):
            _curve_with_band(axes, points, name, colour)
        axes.axvline(operating_point, color=_GREY, linestyle="--", linewidth=0.8, label="operating point")
        if names == ("false_positives_per_image",):
            axes.autoscale(axis="y")
            axes.set_ylim(bottom=0)
        plots.append(_finish(figure, axes, title, "Bands are 95% intervals."))
    return plots


def stress_plots(figures: Json) -> list[Plot]:
    """For each change, sensitivity and AUC of images over its strength; lines are those of the unchanged images."""
    rows = cast(list[dict[str, Any]], figures["stress"])
    usual = cast(dict[str, Json], figures["unchanged"])
    plots = []
    for change in dict.fromkeys(row["change"] for row in rows):
        of_change = [row for row in rows if row["change"] == change]
        figure, axes = _figure(f"{change}: {of_change[0]['unit']}", "Sensitivity, AUC")
        for name, label, colour in (
            ("sensitivity", "sensitivity at 1 false positive an image", _BLUE),
            ("image_auc", "AUC of images", _ORANGE),
        ):
            strengths = [row["strength"] for row in of_change]
            _points_with_intervals(axes, strengths, [row[name] for row in of_change], colour, label)
            if usual[name]["value"] is not None:
                axes.axhline(cast(float, usual[name]["value"]), color=colour, linewidth=0.8, linestyle="--")
        axes.set_xlim(0, 1.1 * max(row["strength"] for row in of_change))
        plots.append(_finish(figure, axes, f"Images made worse: {change}", "Dashed: the images as they are."))
    return plots


def _curve_with_band(axes: Axes, points: Sequence[Json], name: str, colour: str) -> None:
    known = [(cast(float, point["threshold"]), cast(Json, point[name])) for point in points]
    drawn = [(x, figure["value"], *cast(list[float], figure["ci95"])) for x, figure in known if figure["ci95"]]
    if drawn:
        x, value, low, high = cast(Any, np.array(drawn, dtype=np.float64).T)
        axes.plot(x, value, ".-", color=colour, label=name.replace("_", " "))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def _points_with_intervals(axes: Axes, x: Iterable[float], figures: Sequence[Json], colour: str, label: str) -> None:
    known = [
        (at, cast(float, f["value"]), *cast(list[float], f["ci95"]))
        for at, f in zip(x, figures, strict=True)
        if f["ci95"]
    ]
    if known:
        at, value, low, high = np.array(known, dtype=np.float64).T
        # The percentile interval of a skewed figure may leave out its value.
        spread = np.clip([value - low, high - value], 0, None)
        axes.errorbar(at, value, yerr=spread, fmt="o", color=colour, capsize=3, markersize=4, label=label)


def _interval(figure: Json) -> str:
    low_high = cast(list[float] | None, figure["ci95"])
    return f" ({low_high[0]:.3f} – {low_high[1]:.3f})" if low_high else ""


def _figure(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _finish(figure: Figure, axes: Axes, title: str, caption: str) -> Plot:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=8)
    return Plot(title, caption, png(figure))


def png(figure: Figure) -> bytes:
    """A figure as PNG."""
    stream = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()
