"""How well masses are outlined if the cut is wider than the published crops, or placed by a detector's box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mammoscope.datasets.layout import Lesion
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json, Statistic, ratio
from mammoscope.geometry import FloatArray

WIDTHS = (1.0, 1.5, 2.0)  # sides of the cut, in sides of the usual one
JITTERED = "jittered"
ERRORS = ("shift_x", "shift_y", "log_width", "log_height")
_QUANTILES = {"p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}

DEFINITIONS = {
    "lesions_cut": "Lesions measured in cuts from their full images: those whose published mask can be laid there, as "
    "it has no crop or one of known orientation, and on whose image a breast was found.",
    "lesions_left_out": "Lesions with a mask that were not cut.",
    "wider": "The lesions cut from their full images by the true box: 1 frames the mass as the crops do, 1.5 and 2 "
    "have so many times the side, so that the mass spans 0.6 and 0.45 of it. Mass beyond the cut counts as missed.",
    "box_baseline_iou_pooled": "iou_pooled of the average mask laid on the true box, however wide the cut: what "
    "knowing the box alone gives.",
    "jittered": "The lesions cut from their full images, as wide as in use, by a box that errs as the bundle's "
    "detector does: each true box is given the error of one detection, drawn at random with the report's seed.",
    "detections": "Detections whose errors were drawn from: all that take a lesion of this dataset, from IoU 0.5.",
    "box_errors": "How those detections err: shift_x and shift_y of the centre in widths and heights of the true box, "
    "x away from the chest wall; log_width and log_height the logarithm of detected over true length.",
    "error": "Which error.",
    "p05": "Its 5% quantile.",
    "p25": "Its 25% quantile.",
    "median": "Its median.",
    "p75": "Its 75% quantile.",
    "p95": "Its 95% quantile.",
}
_NOTHING_CUT = "no lesion could be cut from its full image"


@dataclass(frozen=True, eq=False)
class CutLesion:
    """What was measured on one cut from a full image, in pixels of the cut.

    Attributes
    ----------
    lesion
        Which lesion.
    true
        Pixels of the true mask, those beyond the cut included.
    predicted, common
        Pixels of the predicted mask, and of it and the true mask at once.
    average, average_common
        The same of the average mask, predicted over the whole cut.
    on_box, on_box_common
        The same of the average mask, laid on the box that the cut was made for.
    """

    lesion: Lesion
    true: int
    predicted: int
    common: int
    average: int
    average_common: int
    on_box: int
    on_box_common: int


def cut_figures(cuts: Sequence[CutLesion], bootstrap: Bootstrap, *, on_box: bool) -> Json:
    """The figures of one kind of cut; ``on_box`` adds the baseline that knows the box."""
    names = ("true", "predicted", "common", "average", "average_common", "on_box", "on_box_common")
    counts = {name: np.array([getattr(cut, name) for cut in cuts], dtype=np.float64) for name in names}
    statistic = cut_statistic(counts, on_box=on_box)
    reasons = dict.fromkeys(statistic(np.ones((1, len(cuts)))), _NOTHING_CUT)
    found = bootstrap.estimates(statistic, [cut.lesion.patient_id for cut in cuts], reasons)
    return {name: figure.as_json() for name, figure in found.items()}


def cut_statistic(counts: Mapping[str, FloatArray], *, on_box: bool) -> Statistic:
    """The same for lesion weights ``(D, N)``, of the pixels that ``CutLesion`` names, ``(N,)`` each."""
    true, predicted, common = counts["true"], counts["predicted"], counts["common"]
    average, average_common = counts["average"], counts["average_common"]
    laid, laid_common = counts["on_box"], counts["on_box_common"]
    total = true + predicted
    dice = np.where(total > 0, 2 * common / np.maximum(total, 1), 1.0)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        figures = {
            "iou_pooled": ratio(weights @ common, weights @ (true + predicted - common)),
            "dice_mean": ratio(weights @ dice, weights.sum(axis=1)),
            "baseline_iou_pooled": ratio(weights @ average_common, weights @ (true + average - average_common)),
        }
        if on_box:
            figures["box_baseline_iou_pooled"] = ratio(weights @ laid_common, weights @ (true + laid - laid_common))
        return figures

    return statistic


def cut_rows(cuts: Mapping[str, Sequence[CutLesion]]) -> list[Json]:
    """One row a lesion and cut."""
    return [
        {
            "set": name,
            "image": cut.lesion.image,
            "patient": cut.lesion.patient_id,
            "abnormality_id": cut.lesion.abnormality_id,
            "crop": cut.lesion.crop,
            "true": cut.true,
            "predicted": cut.predicted,
            "common": cut.common,
            "baseline": cut.average,
            "baseline_common": cut.average_common,
            "box_baseline": cut.on_box,
            "box_baseline_common": cut.on_box_common,
        }
        for name, of_name in cuts.items()
        for cut in of_name
    ]


def all_cut_figures(
    cuts: Mapping[str, Sequence[CutLesion]], errors: FloatArray, with_mask: int, bootstrap: Bootstrap
) -> Json:
    """The figures of all cuts, by the keys of ``report.json``.

    Parameters
    ----------
    cuts
        The lesions by the name of the cut; the same ones in each.
    errors
        ``(N, 4)`` that the jittered boxes were drawn from, in the order of ``ERRORS``.
    with_mask
        How many lesions have a mask.
    """
    measured = len(cuts[f"{WIDTHS[0]:g}"])
    spread = np.quantile(errors, list(_QUANTILES.values()), axis=0).T if len(errors) else np.zeros((0, 0))
    return {
        "lesions_cut": measured,
        "lesions_left_out": with_mask - measured,
        "wider": {f"{width:g}": cut_figures(cuts[f"{width:g}"], bootstrap, on_box=True) for width in WIDTHS},
        JITTERED: {
            "detections": len(errors),
            **cut_figures(cuts[JITTERED], bootstrap, on_box=False),
            "box_errors": [
                {"error": name, **{key: round(float(value), 4) for key, value in zip(_QUANTILES, row, strict=True)}}
                for name, row in zip(ERRORS, spread, strict=False)
            ],
        },
    }
