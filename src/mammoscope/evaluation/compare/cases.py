"""The figures of a stage from its ``cases.csv``: every figure of ``report.json`` can be computed again from it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.metrics.afroc import afroc_statistic, marked_images
from mammoscope.evaluation.metrics.classification import ClassifiedLesions, classification_statistic
from mammoscope.evaluation.metrics.cuts import WIDTHS, cut_statistic
from mammoscope.evaluation.metrics.detection import FROC_IOUS, MATCH_IOUS, Ranking, detection_statistic
from mammoscope.evaluation.metrics.intervals import Statistic
from mammoscope.evaluation.metrics.levels import LEVELS, ScoredImage, level_statistic, units_of
from mammoscope.evaluation.metrics.segmentation import PROBABILITY_BINS, SegmentedLesion, segmentation_statistic
from mammoscope.evaluation.metrics.weak import WeakColumns, weak_statistic
from mammoscope.geometry import FloatArray

Row = Mapping[str, str]
Key = tuple[str, ...]
_KEY = ("set", "image", "patient", "abnormality_id", "crop")
_CLASSIFIED = ("boxes", "crops.true_mask", "crops.predicted_mask")
_CUT_COLUMNS = {
    "true": "true",
    "predicted": "predicted",
    "common": "common",
    "average": "baseline",
    "average_common": "baseline_common",
    "on_box": "box_baseline",
    "on_box_common": "box_baseline_common",
}


@dataclass(frozen=True, eq=False)
class CaseSet:
    """N cases that some figures are computed from.

    Attributes
    ----------
    keys
        Which case each is; no two are alike.
    patients
        N patient ids.
    statistic
        The figures by their place in ``report.json`` (``wider.1.iou_pooled``), for case weights ``(D, N)``.
    """

    keys: tuple[Key, ...]
    patients: tuple[str, ...]
    statistic: Statistic


def read_cases(path: Path) -> list[dict[str, str]]:
    """The rows of a ``cases.csv``.

    Raises
    ------
    MammoscopeError
        It cannot be read, or lacks the columns that all have.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MammoscopeError(f"{path}: cannot be read ({error})") from None
    if rows and not {"image", "patient"} <= rows[0].keys():
        raise MammoscopeError(f"{path}: has no columns image and patient")
    return rows


def case_sets(stage: str, rows: Sequence[Row]) -> list[CaseSet]:
    """The sets of cases of a stage, each with its figures.

    Parameters
    ----------
    stage
        A key of ``STAGES``.
    rows
        Of one ``cases.csv``, or of those of several folds, which are pooled: no patient is in two.
    """
    return STAGES[stage](rows)


def _segmenter(rows: Sequence[Row]) -> list[CaseSet]:
    crops = _of_set(rows, "crops")
    sets = [_set(crops, segmentation_statistic([_segmented(row) for row in crops]))]
    for width in WIDTHS:
        cuts = _of_set(rows, f"{width:g}")
        counts = {name: _column(cuts, column) for name, column in _CUT_COLUMNS.items()}
        sets.append(_set(cuts, _under(f"wider.{width:g}", cut_statistic(counts, on_box=True))))
    return sets


def _segmented(row: Row) -> SegmentedLesion:
    pixels = {name: int(row[name]) for name in ("pixels", "true", "predicted", "common", "baseline", "baseline_common")}
    return SegmentedLesion(
        image=row["image"],
        patient=row["patient"],
        abnormality_id=row["abnormality_id"],
        crop=row["crop"],
        threshold=float("nan"),  # no figure depends on it
        boundary_f1=float(row["boundary_f1"]),
        mass_histogram=_histogram(row.get("mass_histogram")),
        background_histogram=_histogram(row.get("background_histogram")),
        **pixels,
    )


def _histogram(text: str | None) -> NDArray[np.int64]:
    """Counts of the probabilities; zeros where the table was kept without them, so that pixel_auc has no value."""
    return np.array(text.split(), dtype=np.int64) if text else np.zeros(PROBABILITY_BINS, dtype=np.int64)


def ranking_of(rows: Sequence[Row]) -> Ranking:
    """The detections of a detector's rows, images in the order of their first rows."""
    names = list(dict.fromkeys(row["image"] for row in rows))
    number = {name: place for place, name in enumerate(names)}
    patient = {row["image"]: row["patient"] for row in rows}
    lesions = np.zeros(len(names), dtype=np.int64)
    found = [row for row in rows if row["kind"] == "detection"]
    for row in rows:
        lesions[number[row["image"]]] += row["kind"] == "missed_lesion" or row.get("hit_0.50") == "1"
    image = np.array([number[row["image"]] for row in found], dtype=np.int64)
    seen: Counter[str] = Counter()
    places = []
    for row in found:
        places.append(seen[row["image"]])
        seen[row["image"]] += 1
    scores = _column(found, "score")
    order = np.argsort(-scores, kind="stable")
    return Ranking(
        image[order],
        np.array(places, dtype=np.int64)[order],
        scores[order],
        {iou: (_column(found, f"hit_{iou:.2f}") == 1)[order] for iou in MATCH_IOUS},
        lesions,
        tuple(patient[name] for name in names),
    )


def scored_images(stage: str, rows: Sequence[Row]) -> dict[Key, ScoredImage]:
    """The score of each image of a detector's or a pipeline's rows, by what tells the image from others."""
    if stage == "pipeline":
        truth = {"1": True, "0": False, "": None}
        return {
            (row["image"], row["patient"], row["malignant"]): ScoredImage(
                row["patient"], row["breast"], truth[row["malignant"]], float(row["image_score"])
            )
            for row in rows
            if row["kind"] == "image"
        }
    ranking = ranking_of(rows)
    best = np.zeros(len(ranking.patients))
    np.maximum.at(best, ranking.image, ranking.scores)
    breast = {row["image"]: row.get("breast", "") for row in rows}  # not in tables of earlier versions
    return {
        (name, patient, f"{count} lesions"): ScoredImage(patient, breast[name], bool(count), float(score))
        for name, patient, count, score in zip(breast, ranking.patients, ranking.lesions, best, strict=True)
    }


def classified_lesions(rows: Sequence[Row], name: str) -> ClassifiedLesions:
    """The lesions of one set of a classifier's rows."""
    lesions = _of_set(rows, name)
    return ClassifiedLesions(
        tuple(row["image"] for row in lesions),
        tuple(row["patient"] for row in lesions),
        tuple(row["abnormality_id"] for row in lesions),
        _column(lesions, "malignant") == 1,
        _column(lesions, "malignancy_score"),
    )


def _detector(rows: Sequence[Row]) -> list[CaseSet]:
    ranking, scored = ranking_of(rows), scored_images("detector", rows)
    marked = [_under(f"afroc.iou_{iou:g}", afroc_statistic(marked_images(ranking, iou))) for iou in FROC_IOUS]
    statistic = _together(detection_statistic(ranking), *marked)
    return [CaseSet(tuple(scored), ranking.patients, statistic), *_levels(scored)]


def _levels(scored: Mapping[Key, ScoredImage]) -> list[CaseSet]:
    """The cases of each level, named by their first images."""
    keys = tuple(scored)
    return [
        CaseSet(
            tuple((*keys[row], level) for row in units.first),
            units.patients,
            _under(f"levels.{level}", level_statistic(units)),
        )
        for level in LEVELS
        for units in (units_of(tuple(scored.values()), level),)
    ]


def _pipeline(rows: Sequence[Row]) -> list[CaseSet]:
    """Of a pipeline only images, breasts and patients are compared: lesions are the detector's and the classifier's."""
    return _levels(scored_images("pipeline", rows))


def _classifier(rows: Sequence[Row]) -> list[CaseSet]:
    sets = []
    for name in _CLASSIFIED:
        lesions = _of_set(rows, name)
        called = _column(lesions, "called_malignant") == 1
        statistic = classification_statistic(classified_lesions(rows, name), called)
        sets.append(_set(lesions, _under(name, statistic)))
    return sets


def _weak(rows: Sequence[Row]) -> list[CaseSet]:
    columns = WeakColumns(
        known=_filled(rows, "malignant"),
        malignant=_column(rows, "malignant") == 1,
        scores=_column(rows, "image_score"),
        lesions=_column(rows, "lesions") > 0,
        hit=_column(rows, "hit") > 0,
        hit_malignant=_column(rows, "hit_malignant") > 0,
        outlined=_filled(rows, "dice"),
        dice=_column(rows, "dice"),
        true=_column(rows, "true"),
        drawn=_column(rows, "drawn"),
        common=_column(rows, "common"),
    )
    return [_set(rows, weak_statistic(columns))]


STAGES: dict[str, Callable[[Sequence[Row]], list[CaseSet]]] = {
    "detector": _detector,
    "segmenter": _segmenter,
    "classifier": _classifier,
    "weak": _weak,
    "pipeline": _pipeline,
}


def _of_set(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row["set"] == name]


def _column(rows: Sequence[Row], name: str) -> FloatArray:
    """Numbers ``(N,)``; 0 where a cell is empty."""
    return np.array([float(row[name] or 0) for row in rows], dtype=np.float64)


def _filled(rows: Sequence[Row], name: str) -> NDArray[np.bool_]:
    return np.array([bool(row[name]) for row in rows], dtype=bool)


def _set(rows: Sequence[Row], statistic: Statistic) -> CaseSet:
    seen: Counter[Key] = Counter()
    keys = []
    for row in rows:
        key = tuple(row.get(column, "") for column in _KEY)
        seen[key] += 1
        keys.append((*key, str(seen[key])))  # two lesions of an image may have one id
    return CaseSet(tuple(keys), tuple(row["patient"] for row in rows), statistic)


def _together(*statistics: Statistic) -> Statistic:
    return lambda weights: {name: values for one in statistics for name, values in one(weights).items()}


def _under(place: str, statistic: Statistic) -> Statistic:
    return lambda weights: {f"{place}.{name}": values for name, values in statistic(weights).items()}
