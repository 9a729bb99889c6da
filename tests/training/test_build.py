"""From three trainings to a bundle that analyses: the road a researcher takes who swaps a network."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from mammoscope import __version__
from mammoscope.bundle import load_bundle
from mammoscope.bundling.build import build_bundle
from mammoscope.bundling.sources import ExtraStep
from mammoscope.datasets.images import dataset_mammogram
from mammoscope.datasets.layout import load_dataset, write_table
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import RecipeError
from mammoscope.families.family import NOUNS, RoleName
from mammoscope.families.find import find_family, load_recipe
from mammoscope.pipeline import analyze
from mammoscope.training.run import read_run, train
from small_recipes import as_toml, small_table, write_recipe
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

# Quick to export: an ONNX export takes seconds, more for more layers.
QUICK: dict[RoleName, tuple[str, dict[str, object]]] = {
    "detect": ("spots", {}),
    "segment": ("plain-unet", {}),
    "classify": ("three_branch", {"branches": ["roi"]}),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=16)


@pytest.fixture(scope="module")
def runs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[RoleName, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for role, (family, changes) in QUICK.items():
        recipe = folder / f"{role}.toml"
        recipe.write_text(as_toml({**small_table(find_family(role, family), epochs=1), **changes}))
        train(NOUNS[role], dataset, str(recipe), folder / role)
    return {role: folder / role for role in QUICK}


def strict_copy(bundle: Path, copy: Path, *, malignancy: float) -> Path:
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["thresholds"]["malignancy"] = malignancy
    (copy / "bundle.json").write_text(json.dumps(manifest))
    return copy


def test_three_runs_make_a_bundle_that_analyses(dataset: Path, runs: dict[RoleName, Path], tmp_path: Path) -> None:
    lines: list[str] = []
    built = build_bundle(runs, dataset, tmp_path / "bundle", name="small", version="0", log=lines.append)
    assert load_bundle(tmp_path / "bundle").sha256 == built.sha256
    assert built.average_mask
    assert [step.role for step in built.manifest.steps] == ["detect", "select", "segment", "classify"]
    for step in built.steps:
        provenance = step.manifest.provenance
        assert provenance and provenance.onnx_difference < 1e-3
        assert provenance.validation_patients == 4
        assert provenance.metrics
        assert provenance.family == QUICK[step.manifest.role][0]  # type: ignore[index]
        assert provenance.code_version.startswith(__version__)
        assert not any("CBIS" in line for line in provenance.credits)  # it learned from drawn breasts
    loaded = load_dataset(dataset)
    # One epoch on toy images teaches no confidence: all regions count, whatever their score.
    unsure = replace(built, manifest=built.manifest.with_settings("detect", floor=0.0))
    analysis = analyze(dataset_mammogram(loaded, next(iter(loaded.images))), unsure, threshold=0.0)
    assert analysis.outcome == "findings" and analysis.bundle.name == "small"
    assert any("differs from its network" in line for line in lines)
    # Built again over itself, one step from its run and two from the bundle: replaced as a whole.
    kept: dict[RoleName, Path] = {**runs, "detect": tmp_path / "bundle", "classify": tmp_path / "bundle"}
    again = build_bundle(kept, dataset, tmp_path / "bundle", name="small", version="1").manifest
    assert load_bundle(tmp_path / "bundle").manifest == again and again.version == "1"
    assert again.steps == built.manifest.steps
    # With a rescorer of what its detector proposes, and a step that no training is behind.
    with pytest.raises(RecipeError, match="this bundle has no rescorer"):
        build_bundle({**kept, "rescore": tmp_path / "bundle"}, dataset, tmp_path / "rescored", version="1")
    recipe = str(write_recipe(tmp_path, "rescorer", epochs=1))
    train("reducer", dataset, recipe, tmp_path / "rescorer", proposing=tmp_path / "bundle")
    assert read_run(tmp_path / "rescorer")["proposing"]["sha256"] == load_bundle(tmp_path / "bundle").sha256
    pair = ExtraStep("pair", "paired-views", settings={"tolerance": 0.15, "weight": 0.5})
    strict = strict_copy(tmp_path / "bundle", tmp_path / "strict", malignancy=0.7)
    sources: dict[RoleName, Path] = {**kept, "classify": strict, "rescore": tmp_path / "rescorer"}
    more = build_bundle(sources, dataset, tmp_path / "more", version="1", extra_steps=[pair])
    assert more.manifest.thresholds.malignancy == 0.7, "the classifier is read as in the bundle that it is taken from"
    assert [step.name for step in more.manifest.steps] == ["detect", "rescore", "pair", "select", "segment", "classify"]
    assert more.manifest.steps[0].settings["nms_iou"] < again.steps[0].settings["nms_iou"]
    assert more.manifest.steps[1].provenance and more.manifest.steps[1].provenance.onnx_difference < 1e-3
    taken, theirs = more.manifest.first("classify"), again.first("classify")
    assert taken and theirs and (taken.files, taken.settings) == (theirs.files, theirs.settings)
    # Over something else: refused.
    with pytest.raises(RecipeError, match="already exists and is not a bundle"):
        build_bundle(runs, dataset, dataset, name="small", version="1")


def test_runs_that_do_not_belong_together_are_refused(
    dataset: Path, runs: dict[RoleName, Path], tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, "segmenter", epochs=1)
    recipe.write_text(recipe.read_text().replace("folds = 4", "folds = 4\nfold = 1"))
    train("segmenter", dataset, str(recipe), tmp_path / "other")
    with pytest.raises(RecipeError, match="its patients were divided by"):
        build_bundle({**runs, "segment": tmp_path / "other"}, dataset, tmp_path / "bundle", version="0")
    with pytest.raises(RecipeError, match="holds a training of 'detector', expected 'segmenter'"):
        build_bundle({**runs, "segment": runs["detect"]}, dataset, tmp_path / "bundle", version="0")
    with pytest.raises(RecipeError, match="the bundle would have no segmenter"):
        build_bundle({"detect": runs["detect"]}, dataset, tmp_path / "bundle", version="0")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (ExtraStep("pair", "unheard-of"), "step 'pair': no implementation is named 'unheard-of'"),
        (ExtraStep("pair", "paired-views", settings={"tolerance": 2, "weight": 0.5}), "step 'pair': tolerance: "),
        (
            ExtraStep("detect", "paired-views", settings={"tolerance": 0.1, "weight": 0.5}),
            "two steps would have the name 'detect'",
        ),
    ],
)
def test_a_step_that_does_not_fit_is_refused(
    step: ExtraStep, message: str, dataset: Path, runs: dict[RoleName, Path], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        build_bundle(runs, dataset, tmp_path / "bundle", version="0", extra_steps=[step])


def test_a_rescoring_step_of_another_package_joins_boxes_as_ours_does(
    dataset: Path, runs: dict[RoleName, Path], tmp_path: Path
) -> None:
    specks = ExtraStep("specks", "bright-specks", "joint", {"kinds": ["mass"]})
    joined = []
    for name, role in (("rescored", "rescore"), ("other", "other")):
        steps = [specks, ExtraStep("pair", "paired-views", role)]  # type: ignore[arg-type]
        built = build_bundle({"detect": runs["detect"]}, dataset, tmp_path / name, version="0", extra_steps=steps)
        joined.append(built.manifest.steps[0].settings["nms_iou"])
    recipe = load_recipe("detect", str(write_recipe(tmp_path, "detector")))
    assert joined == [recipe.rescored_overlaps.nms_iou, recipe.overlaps.nms_iou]  # type: ignore[attr-defined]
    assert joined[0] != joined[1]


def test_a_bundle_is_fitted_and_measured_on_the_kinds_that_it_finds(dataset: Path, tmp_path: Path) -> None:
    specks = [ExtraStep("specks", "bright-specks", "joint")]
    with pytest.raises(RecipeError, match=r"no lesion of kind calcification, which the bundle finds"):
        build_bundle({}, dataset, tmp_path / "none", version="0", extra_steps=specks)
    assert not (tmp_path / "none").exists()
    shutil.copytree(dataset, tmp_path / "kinds")
    lesions = load_dataset(dataset).lesions
    named = [replace(one, kind="calcification" if one.malignant else "mass") for one in lesions]
    write_table(tmp_path / "kinds/lesions.csv", named)
    built = build_bundle({}, tmp_path / "kinds", tmp_path / "bundle", version="0", extra_steps=specks)
    _, validation = split_patients(load_dataset(tmp_path / "kinds"))
    calcifications = sum(one.kind == "calcification" for one in validation.lesions)
    figures = built.manifest.metrics
    assert figures["at_lesion_count.threshold"] == built.manifest.thresholds.detection
    assert 0 < calcifications < len(validation.lesions) and figures["lesions"] == calcifications
    assert figures["at_lesion_count.detected"].value == 1  # type: ignore[union-attr]
    # Taken from that bundle, what classifies is read at its threshold.
    strict = strict_copy(tmp_path / "bundle", tmp_path / "strict", malignancy=0.7)
    again = build_bundle({"joint": strict}, tmp_path / "kinds", tmp_path / "again", version="0")
    assert (again.manifest.thresholds.malignancy, built.manifest.thresholds.malignancy) == (0.7, 0.5)


def test_a_step_is_named_on_the_command_line() -> None:
    assert ExtraStep.of("pair:paired-views") == ExtraStep("pair", "paired-views", "other")
    assert ExtraStep.of("outline:theirs:segment") == ExtraStep("outline", "theirs", "segment")
    for text in ("pair", "pair:", "a:b:select", "a:b:c:d"):
        with pytest.raises(RecipeError, match="expected NAME:IMPLEMENTATION"):
            ExtraStep.of(text)
