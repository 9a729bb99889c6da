"""From three trainings to a bundle that analyses: the road a researcher takes who swaps a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from recipes import write_recipe

from mammoscope.bundle import load_bundle
from mammoscope.bundling.build import build_bundle
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import load_dataset
from mammoscope.errors import RecipeError
from mammoscope.pipeline import analyze
from mammoscope.stages.rescore import ReducedDetector
from mammoscope.training.run import read_run, train
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=16)


@pytest.fixture(scope="module")
def runs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for task in ("detector", "segmenter", "classifier"):
        train(task, dataset, str(write_recipe(folder, task, epochs=1)), folder / task)  # type: ignore[arg-type]
    return {task: folder / task for task in ("detector", "segmenter", "classifier")}


def test_three_runs_make_a_bundle_that_analyses(dataset: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    lines: list[str] = []
    built = build_bundle(
        **runs, dataset_folder=dataset, out=tmp_path / "bundle", name="small", version="0", log=lines.append
    )
    assert load_bundle(tmp_path / "bundle").sha256 == built.sha256
    assert built.manifest.segmenter.average_mask_sha256
    for stage in (built.manifest.detector, built.manifest.segmenter, built.manifest.classifier):
        assert stage.provenance.onnx_difference < 1e-3
        assert stage.provenance.validation_patients == 4
        assert stage.provenance.metrics
    loaded = load_dataset(dataset)
    # One epoch on toy films teaches no confidence: all regions count, whatever their score.
    detector = built.manifest.detector.model_copy(update={"floor": 0.0})
    unsure = replace(built, manifest=built.manifest.model_copy(update={"detector": detector}))
    analysis = analyze(dataset_mammogram(loaded, next(iter(loaded.images))), unsure, threshold=0.0)
    assert analysis.outcome == "findings" and analysis.bundle.name == "small"
    assert any("differs from its network" in line for line in lines)
    # Built again over itself, one stage from its run and two from the bundle: replaced as a whole.
    kept = {**runs, "detector": tmp_path / "bundle", "segmenter": tmp_path / "bundle"}
    again = build_bundle(**kept, dataset_folder=dataset, out=tmp_path / "bundle", name="small", version="1").manifest
    assert load_bundle(tmp_path / "bundle").manifest == again and again.version == "1"
    for stage in ("detector", "segmenter", "classifier"):
        before, after = getattr(built.manifest, stage), getattr(again, stage)
        assert (after.sha256, after.provenance.recipe) == (before.sha256, before.provenance.recipe)
        assert after.provenance.metrics == before.provenance.metrics
    # With a second look at what its detector proposes.
    small = {**kept, "dataset_folder": dataset, "out": tmp_path / "reduced", "name": "small", "version": "1"}
    with pytest.raises(RecipeError, match="this bundle has no reducer"):
        build_bundle(**small, reducer=tmp_path / "bundle")
    recipe = str(write_recipe(tmp_path, "reducer", epochs=1))
    train("reducer", dataset, recipe, tmp_path / "reducer", proposing=tmp_path / "bundle")
    assert read_run(tmp_path / "reducer")["proposing"]["sha256"] == load_bundle(tmp_path / "bundle").sha256
    reduced = build_bundle(**small, reducer=tmp_path / "reducer")
    assert reduced.manifest.reducer and reduced.manifest.reducer.provenance.onnx_difference < 1e-3
    assert isinstance(reduced.detector, ReducedDetector)
    assert reduced.manifest.classifier.provenance.metrics == again.classifier.provenance.metrics
    # Over something else: refused.
    with pytest.raises(RecipeError, match="is there and no bundle"):
        build_bundle(**runs, dataset_folder=dataset, out=dataset, name="small", version="1")


def test_runs_that_do_not_belong_together_are_refused(dataset: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "segmenter", epochs=1)
    recipe.write_text(recipe.read_text().replace("folds = 4", "folds = 4\nfold = 1"))
    train("segmenter", dataset, str(recipe), tmp_path / "other")
    with pytest.raises(RecipeError, match="its patients were divided by"):
        build_bundle(
            **{**runs, "segmenter": tmp_path / "other"},
            dataset_folder=dataset,
            out=tmp_path / "bundle",
            name="x",
            version="0",
        )
    with pytest.raises(RecipeError, match="holds a training of 'detector', expected 'segmenter'"):
        build_bundle(
            **{**runs, "segmenter": runs["detector"]},
            dataset_folder=dataset,
            out=tmp_path / "bundle",
            name="x",
            version="0",
        )
    assert not (tmp_path / "bundle").exists()
