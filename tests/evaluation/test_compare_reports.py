"""Two bundles on the same cases: which is better, and when that cannot be said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_stages import BrightSpots, Disc, breast, lesion, tiny_bundle, with_step, write_dataset
from typer.testing import CliRunner

from mammoscope.candidates import Candidates
from mammoscope.cli.app import app
from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.compare.reports import FIGURES, compare_reports
from mammoscope.evaluation.metrics.intervals import Bootstrap
from mammoscope.evaluation.run import evaluate
from mammoscope.stages.step import PreparedExam

SPOT: Disc = (60, 150, 12)


class Backwards(BrightSpots):
    """The larger a spot, the less sure."""

    def __call__(self, exam: PreparedExam, found: Candidates) -> Candidates:
        spots = super().__call__(exam, found)
        return replace(spots, detection_score=1 - spots.detection_score).ranked()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a detector, and one that is surest where nothing is, were evaluated to on ten masses and ten normals."""
    place = tmp_path_factory.mktemp("compared")
    rng = np.random.default_rng(0)
    images, rows = {}, []
    for number in range(20):
        radius = int(rng.integers(11, 18)) if number < 10 else int(rng.integers(4, 9))
        disc = (60, 150, radius)
        images[f"{number}.png"] = breast([disc])
        if number < 10:
            rows.append(lesion(f"{number}.png", f"P{number}", disc, pathology="MALIGNANT" if number % 2 else "BENIGN"))
    data = write_dataset(place / "data", images, rows)
    listed = [f"{number}.png,P{number},LEFT,CC" for number in range(20)]
    (data / "images.csv").write_text("\n".join(["image,patient_id,breast_side,view", *listed]))
    bundle = tiny_bundle(place)
    for name, one in (("good", bundle), ("bad", with_step(bundle, "detector", Backwards()))):
        evaluate("detector", data, place / name, one, draws=20)
    evaluate("classifier", data, place / "graded", bundle, draws=20)
    return {name: place / name for name in ("good", "bad", "graded")}


def test_the_better_one_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        app, ["bundle", "compare", str(folders["bad"]), str(folders["good"]), "--out", str(tmp_path / "out.json")]
    )
    assert ran.exit_code == 0, ran.output
    figures = {row["figure"]: row for row in json.loads((tmp_path / "out.json").read_text())["figures"]}
    assert set(figures) == set(FIGURES["detector"])
    auc = figures["levels.image.auc"]
    assert (auc["first"]["value"], auc["second"]["value"], auc["test"]) == (0, 1, "DeLong")
    assert figures["afroc.iou_0.5.wafroc"]["test"] == "permutation"
    assert figures["afroc.iou_0.5.wafroc"]["p"] < 0.02
    assert figures["afroc.iou_0.5.wafroc"]["p_holm"] >= figures["afroc.iou_0.5.wafroc"]["p"]
    assert "weighted AFROC: 1.000 against 0.000" in ran.stdout
    assert "the second, tiny 1, is better." in ran.stdout and "Research use only" in ran.stdout


def test_a_bundle_is_not_better_than_itself(folders: dict[str, Path]) -> None:
    for name in ("good", "graded"):
        rows = compare_reports(folders[name], folders[name], Bootstrap(100))["figures"]
        assert rows and all("no difference between the two is shown" in row["sentence"] for row in rows)


def test_other_stages_data_and_files_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(MammoscopeError, match="different stages"):
        compare_reports(folders["good"], folders["graded"], Bootstrap(10))
    report = json.loads((folders["good"] / "report.json").read_text())
    report["dataset"]["sha256"] = "0" * 64
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "cases.csv").write_bytes((folders["good"] / "cases.csv").read_bytes())
    with pytest.raises(MammoscopeError, match="different datasets"):
        compare_reports(folders["good"], tmp_path, Bootstrap(10))
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(MammoscopeError, match="is not the report of an evaluation"):
        compare_reports(folders["good"], tmp_path, Bootstrap(10))
    with pytest.raises(MammoscopeError, match="cannot be read"):
        compare_reports(folders["good"], tmp_path / "none", Bootstrap(10))
