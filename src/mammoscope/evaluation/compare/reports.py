"""Two bundles on the same cases, from the folders that ``evaluate`` wrote: an answer in a sentence for each figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from mammoscope import NOTICE, __version__
from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.compare.cases import (
    Row,
    case_sets,
    classified_lesions,
    ranking_of,
    read_cases,
    scored_images,
)
from mammoscope.evaluation.compare.paired import Difference, Drawn, difference, drawn, holm
from mammoscope.evaluation.compare.significance import delong, permuted_afroc_p
from mammoscope.evaluation.metrics.afroc import marked_images
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json
from mammoscope.evaluation.metrics.levels import LEVELS, Level, units_of

ALPHA = 0.05
_LEVEL_FIGURES = {
    f"levels.{level}.auc": f"AUC of {plural}"
    for level, plural in zip(LEVELS, ("images", "breasts", "patients"), strict=True)
}
FIGURES: dict[str, dict[str, str]] = {
    "detector": {
        "ap50": "AP50",
        "froc.iou_0.5.1": "sensitivity at 1 false positive an image",
        "afroc.iou_0.5.wafroc": "weighted AFROC",
        "afroc.iou_0.5.wafroc1": "weighted AFROC1",
        **_LEVEL_FIGURES,
    },
    "pipeline": _LEVEL_FIGURES,
    "classifier": {"boxes.auc": "AUC of lesions", "boxes.brier": "Brier score of lesions (lower is better)"},
    "segmenter": {"iou_pooled": "pooled IoU", "wider.1.iou_pooled": "pooled IoU of cuts"},
    "weak": {"image_auc": "AUC of images", "pointing_game": "pointing game"},
}
_LOWER_IS_BETTER = {"boxes.brier"}

DEFINITIONS = {
    "difference": "The second minus the first, on the same cases; its interval is a bootstrap over patients, paired: "
    "each draw takes the same patients for both.",
    "p": "Two-sided, of the test named: 'DeLong' with cases of one patient taken as dependent (Obuchowski 1997); "
    "'permutation': the two bundles' marks are swapped on random patients, by rank; 'bootstrap': of the paired one.",
    "p_holm": "Adjusted for the number of figures (Holm 1979); below 0.05 counts as a difference.",
}


@dataclass(frozen=True)
class Measured:
    """A folder of ``evaluate``: what its report says, and its cases by image."""

    folder: Path
    report: Mapping[str, Any]
    rows: Sequence[Row]

    @property
    def name(self) -> str:
        """Of its bundle, with the version."""
        return f"{self.report['bundle']['name']} {self.report['bundle']['version']}"


def read_measured(folder: Path) -> Measured:
    """Read the files of an evaluation.

    Raises
    ------
    MammoscopeError
        One cannot be read or is not of an evaluation.
    """
    path = folder / "report.json"
    try:
        report = json.loads(path.read_bytes())
        _ = report["stage"], report["dataset"]["sha256"], report["bundle"]["name"], report["bundle"]["version"]
    except OSError as error:
        raise MammoscopeError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise MammoscopeError(f"{path}: is not the report of an evaluation") from None
    # In one order, whatever the bundles found.
    return Measured(folder, report, sorted(read_cases(folder / "cases.csv"), key=lambda row: row["image"]))


def compare_reports(first: Path, second: Path, bootstrap: Bootstrap) -> Json:
    """Compare two bundles that were evaluated on the same dataset.

    Returns
    -------
    dict
        ``figures``, a list with value of each, difference, p-values and a sentence; the names of the two, and more.

    Raises
    ------
    MammoscopeError
        A folder cannot be read, or the two are of other stages or datasets.
    """
    measured = read_measured(first), read_measured(second)
    stages, data = ({one.report["stage"] for one in measured}, {one.report["dataset"]["sha256"] for one in measured})
    if len(stages) > 1 or len(data) > 1:
        what = "stages" if len(stages) > 1 else "datasets"
        raise MammoscopeError(f"{first} and {second}: were evaluated on different {what}")
    (stage,) = stages
    rows: dict[str, Json] = {}
    p_values: dict[str, float] = {}
    for name, (pair, found) in _differences(stage, measured, bootstrap).items():
        if found.difference.value is None:
            continue
        test, p = _test(name, stage, measured, bootstrap) or ("bootstrap", found.p or 1.0)
        p_values[name] = p
        rows[name] = {
            "figure": name,
            "first": pair[0].estimate(name).as_json(),
            "second": pair[1].estimate(name).as_json(),
            "difference": found.difference.as_json(),
            "test": test,
            "p": p,
        }
    for name, p in holm(p_values).items():
        rows[name] |= {"p_holm": p, "sentence": _sentence(FIGURES[stage][name], rows[name], p, measured)}
    return {
        "stage": stage,
        "dataset": measured[0].report["dataset"],
        "first": measured[0].report["bundle"],
        "second": measured[1].report["bundle"],
        "figures": list(rows.values()),
        "definition": DEFINITIONS,
        "seed": bootstrap.seed,
        "draws": bootstrap.draws,
        "code_version": __version__,
        "notice": NOTICE,
    }


def _differences(
    stage: str, measured: tuple[Measured, Measured], bootstrap: Bootstrap
) -> dict[str, tuple[tuple[Drawn, Drawn], Difference]]:
    names = f"{measured[0].folder} and {measured[1].folder}"
    found: dict[str, tuple[tuple[Drawn, Drawn], Difference]] = {}
    for one, other in zip(*(case_sets(stage, each.rows) for each in measured), strict=True):
        wanted = [name for name in FIGURES[stage] if name in one.statistic(np.ones((1, len(one.patients))))]
        if wanted:
            pair = drawn([one], bootstrap), drawn([other], bootstrap)
            found |= {name: (pair, difference(pair[1], pair[0], name, names)) for name in wanted}
    return {name: found[name] for name in FIGURES[stage] if name in found}


def _test(name: str, stage: str, measured: tuple[Measured, Measured], bootstrap: Bootstrap) -> tuple[str, float] | None:
    """The test that belongs to a figure with its p-value; None: the bootstrap's is all there is."""
    if name.startswith("afroc."):
        marked = [marked_images(ranking_of(one.rows), 0.5) for one in measured]
        every = name.endswith("wafroc1")
        return "permutation", permuted_afroc_p(
            marked[0], marked[1], draws=bootstrap.draws, seed=bootstrap.seed, every_image=every
        )
    if name.startswith("levels."):
        level = cast(Level, name.split(".")[1])
        units = [units_of(tuple(scored_images(stage, one.rows).values()), level) for one in measured]
        scores, positive, patients = [of.scores for of in units], units[0].positive, units[0].patients
    elif name == "boxes.auc":
        lesions = [classified_lesions(one.rows, "boxes") for one in measured]
        scores, positive, patients = [of.scores for of in lesions], lesions[0].malignant, lesions[0].patients
    else:
        return None
    try:
        return "DeLong", delong(scores[0], scores[1], positive, np.asarray(patients)).p
    except ValueError:  # too few patients for a variance
        return None


def _sentence(figure: str, row: Json, p: float, measured: tuple[Measured, Measured]) -> str:
    first, second, between = (cast(Json, row[name]) for name in ("first", "second", "difference"))
    low, high = cast(list[float], between["ci95"] or [float("nan")] * 2)
    values = f"{second['value']:.3f} against {first['value']:.3f}"
    spread = f"difference {between['value']:+.3f} [{low:+.3f}, {high:+.3f}], {row['test']} p = {p:.3f} after Holm"
    if p >= ALPHA:
        return f"{figure}: {values}, {spread}: no difference between the two is shown."
    higher_wins = row["figure"] not in _LOWER_IS_BETTER
    better = measured[1] if (cast(float, between["value"]) > 0) == higher_wins else measured[0]
    which = "second" if better is measured[1] else "first"
    return f"{figure}: {values}, {spread}: the {which}, {better.name}, is better."
