"""Every figure of a report, computed again from the cases that it is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from tiny_stages import Disc, breast, lesion, tiny_bundle, write_dataset

from mammoscope.evaluation.compare.cases import STAGES, case_sets, read_cases
from mammoscope.evaluation.compare.paired import drawn
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.run import Stage, evaluate

DRAWS = 50
NEAR: Disc = (60, 150, 12)
FAR: Disc = (110, 130, 20)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lesions that are found, missed and misplaced, a false positive, and a normal image on which nothing is found."""
    folder = write_dataset(
        tmp_path_factory.mktemp("data") / "set",
        {"a.png": breast([NEAR, FAR]), "b.png": breast([FAR]), "c.png": breast([NEAR]), "n.png": breast([])},
        [
            lesion("a.png", "P1", NEAR, pathology="MALIGNANT", crop="a-60.png", mask="a-60.png", crop_flipped=False),
            lesion("b.png", "P2", (115, 130, 20), crop="b-80.png", mask="b-80.png", crop_flipped=False),
            lesion("b.png", "P2", (50, 180, 15), abnormality_id="2"),
            lesion("c.png", "P3", (62, 151, 13), pathology="MALIGNANT", crop="c-90.png", mask="c-90.png"),
        ],
    )
    rows = [f"{name}.png,{patient},LEFT,CC" for name, patient in zip("abcn", ("P1", "P2", "P3", "N"), strict=True)]
    (folder / "images.csv").write_text("\n".join(["image,patient_id,breast_side,view", *rows]))
    return folder


def at(report: dict[str, Any], name: str) -> Any:
    """A figure of a report by its place, whose keys may hold dots."""
    if not name:
        return report
    for key in sorted(report, key=len, reverse=True):
        if name == key or name.startswith(f"{key}."):
            return at(report[key], name[len(key) + 1 :])
    raise KeyError(name)


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage in get_args(Stage)])
def test_figures_of_the_cases_are_those_of_the_report(stage: Any, dataset: Path, tmp_path: Path) -> None:
    report = json.loads(evaluate(stage, dataset, tmp_path / "out", tiny_bundle(tmp_path), draws=DRAWS).read_text())
    seen = 0
    for cases in case_sets(stage, read_cases(tmp_path / "out" / "cases.csv")):
        figures = drawn([cases], Bootstrap(DRAWS))
        for name in figures.values:
            reported, found = at(report, name), figures.estimate(name)
            for ours, theirs in ((found.value, reported["value"]), (found.ci95, reported["ci95"])):
                assert ours == (None if theirs is None else pytest.approx(theirs, abs=1e-12)), name
            seen += reported["ci95"] is not None
    assert seen >= 5
