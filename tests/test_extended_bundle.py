"""Networks and a step of another package become a bundle, which is measured, compared and used like ours."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra 'train'")

from paired_views import ON_A_MASS, WEIGHTS, PairedViewsSettings

from installed import PACKAGES, default_said_to_learn_from, mammoscope
from mammoscope.bundle import load_bundle
from mammoscope.cli.app import app
from mammoscope.datasets.layout import load_dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.evaluation.cases import detect_images
from mammoscope.families.find import find_family
from mammoscope.findings import Analysis
from mammoscope.geometry import box_iou
from small_recipes import as_toml, small_table
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

FOLDS = 5  # as of the bundle that the classifier is taken from
EPOCHS = 12  # after which the detector finds drawn masses


def command(*arguments: object) -> str:
    """What a command prints; in this process, which has loaded torch and sees the packages too."""
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.output


@dataclass(frozen=True)
class Built:
    """A dataset of two views a woman, two bundles of the packages' networks, and what building them said."""

    data: Path
    plain: Path
    paired: Path
    said: str


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("extended")
    data = write_dataset(folder / "data", patients=15, views=("CC", "MLO"))
    detector = small_table(find_family("detect", "spots"), epochs=EPOCHS, folds=FOLDS)
    detector |= {"augmentation": {}, "loop": {**detector["loop"], "learning_rate": 0.01, "checkpoint_seconds": 60}}
    segmenter = small_table(find_family("segment", "plain-unet"), epochs=1, folds=FOLDS)
    for noun, table in (("detector", detector), ("segmenter", segmenter)):
        recipe = folder / f"{noun}.toml"
        recipe.write_text(as_toml(table))
        command("train", noun, data, "--recipe", recipe, "--out", folder / f"{noun}-run")
    parts = {
        "--detector": folder / "detector-run",
        "--segmenter": folder / "segmenter-run",
        "--classifier": default_said_to_learn_from(data, folder / "default"),
    }
    plain, paired = folder / "plain", folder / "paired"
    command("bundle", "build", data, "--out", plain, *(word for part in parts.items() for word in part))
    taken = [word for part in parts for word in (part, plain)]
    said = command("bundle", "build", data, "--out", paired, *taken, "--step", "pair:paired-views")
    return Built(data, plain, paired, said)


@pytest.fixture(scope="module")
def reports(built: Built, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The detector evaluated with the step and without it."""
    folder = tmp_path_factory.mktemp("reports")
    for name, bundle in (("plain", built.plain), ("paired", built.paired)):
        command("evaluate", "detector", built.data, "--bundle", bundle, "--out", folder / name, "--draws", "50")
    return {name: folder / name for name in ("plain", "paired")}


def report_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text()))


def scores_of(folder: Path) -> dict[tuple[str, ...], float]:
    """Of every detection, by its image and box."""
    with (folder / "cases.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["kind"] == "detection"]
    return {tuple(row[key] for key in ("image", "x0", "y0", "x1", "y1")): float(row["score"]) for row in rows}


def test_both_networks_are_in_the_bundle_and_what_they_learned_from_is_said(built: Built) -> None:
    manifest = load_bundle(built.plain).manifest
    assert [step.name for step in manifest.steps] == ["detect", "select", "segment", "classify"]
    for role, family in (("detect", "spots"), ("segment", "plain-unet")):
        step = manifest.first(role)  # type: ignore[arg-type]
        assert step and step.provenance and step.provenance.family == family
        assert step.provenance.validation_patients == 3 and step.provenance.metrics
    assert manifest.metrics["lesions"] == 6


@pytest.mark.load
def test_the_detector_finds_drawn_masses_and_the_whole_chain_is_measured(
    built: Built, reports: dict[str, Path], tmp_path: Path
) -> None:
    assert report_of(reports["plain"])["froc"]["iou_0.2"]["1"]["value"] > 0.5
    command("evaluate", "pipeline", built.data, "--bundle", built.plain, "--out", tmp_path, "--draws", "10")
    found = report_of(tmp_path)["thresholds"][0]
    assert found["true_found"] > 0 and found["threshold"] == 0.05


def test_the_weight_of_the_step_is_the_best_for_validation_patients(built: Built) -> None:
    bundle = load_bundle(built.paired)
    assert [step.name for step in bundle.manifest.steps] == ["detect", "pair", "select", "segment", "classify"]
    settings = bundle.manifest.steps[1].settings
    assert f"pair, fitted: weight {settings['weight']}\n" in built.said
    assert settings["tolerance"] == PairedViewsSettings().tolerance
    _, validation = split_patients(load_dataset(built.data), folds=FOLDS)

    def auc(weight: float) -> float:
        """Of what is on a mass against all else, as the bundle would find it with another weight."""
        other = replace(bundle, manifest=bundle.manifest.with_settings("pair", weight=weight))
        images = detect_images(validation, other)
        masses = [(box_iou(image.boxes, image.lesion_boxes) >= ON_A_MASS).any(axis=1) for image in images]
        return float(roc_auc_score(np.concatenate(masses), np.concatenate([image.scores for image in images])))

    aucs = {weight: auc(weight) for weight in WEIGHTS}
    assert len(set(aucs.values())) > 1
    assert aucs[settings["weight"]] == pytest.approx(max(aucs.values()))


def test_the_chain_with_and_without_the_step_is_compared_case_by_case(built: Built, reports: dict[str, Path]) -> None:
    plain, paired = report_of(reports["plain"]), report_of(reports["paired"])
    assert plain["dataset"] == paired["dataset"] and plain["bundle"] != paired["bundle"]
    assert plain["lesions"] == paired["lesions"] == 30
    scores = {name: scores_of(folder) for name, folder in reports.items()}
    assert scores["plain"].keys() == scores["paired"].keys()
    gains = np.array([scores["paired"][case] - score for case, score in scores["plain"].items()])
    weight = load_bundle(built.paired).manifest.steps[1].settings["weight"]
    assert (gains >= 0).all() and (gains > 0).any() == (weight > 0)


def test_the_bundle_analyses_a_mammogram(built: Built, exam: Path, tmp_path: Path) -> None:
    arguments = ("--bundle", built.paired, "--threshold", "0.3", "--out", tmp_path)
    assert "1 of 1 analysed" in mammoscope(PACKAGES, "analyze", exam / "phantom-L-CC.dcm", *arguments)
    analysis = Analysis.model_validate_json((tmp_path / "phantom-L-CC.json").read_bytes())
    assert analysis.bundle == load_bundle(built.paired).identity
    assert list(analysis.seconds) == ["preprocess", "detect", "pair", "segment", "classify"]
