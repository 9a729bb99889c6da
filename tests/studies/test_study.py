"""A study from its file to its page: killed and resumed, with an entry that fails, and from records alone."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from mammoscope import NOTICE
from mammoscope.bundle import MANIFEST, default_bundle_folder, load_bundle
from mammoscope.families.find import find_family, recipe_names
from mammoscope.studies.page.write import write_markdown
from mammoscope.studies.plan import Place, unseen_folds
from mammoscope.studies.run import Outcome, open_study, run_study
from mammoscope.studies.study import Study, StudyError, load_study
from mammoscope.training.run import read_run
from small_recipes import as_toml, small_table
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

EPOCHS = 10
FOLDS = 4
WEIGHTS = ("*.safetensors", "*.onnx", "events.*", "average_mask.png", "bundle.json")
HEAD = f"""
title = "Small segmenters"
stage = "segmenter"
dataset = "set"
of_folds = {FOLDS}
reference = "small"
base = "base"
figures = ["iou_pooled", "dice_mean", "wider.1.iou_pooled"]
"""
ENTRIES = f"""
[[entries]]
name = "small"
row = "R1"
recipe = "small.toml"

[[entries]]
name = "average-mask"
step = "average-mask"

[[entries]]
name = "long"
recipe = "small.toml"
set = {{ loop.epochs = {EPOCHS}, "loop.learning_rate" = 0.002 }}

[[entries]]
name = "painted"
recipe = "small.toml"
generator = "painter.toml"
set = {{ synthetic_share = 0.5, synthetic_pool = 8 }}

[[entries]]
name = "headless"
recipe = "small.toml"
init = "nowhere.safetensors"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study, its recipe and its dataset."""
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "set", patients=8)
    (folder / "small.toml").write_text(as_toml(small_table(find_family("segment", "plain-unet"), epochs=1)))
    (folder / "painter.toml").write_text(as_toml(small_table(find_family("generate", "mass_painter"), epochs=1)))
    (folder / "study.toml").write_text(HEAD + ENTRIES)
    shutil.copytree(default_bundle_folder(), folder / "base")  # without the rescorer, which takes most of the time
    manifest = load_bundle().manifest
    steps = tuple(step for step in manifest.steps if step.role != "rescore")
    (folder / "base" / MANIFEST).write_text(manifest.model_copy(update={"steps": steps}).model_dump_json())
    return folder


def run(folder: Path, file: str = "study.toml", out: str = "out", **options: Any) -> tuple[Outcome, list[str]]:
    study, place = open_study(folder / file, folder / out)
    lines: list[str] = []
    return run_study(study, place, draws=20, log=lines.append, **options), lines


def figures(out: Path) -> list[dict[str, str]]:
    with (out / "comparison.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def epochs(out: Path) -> list[str]:
    path = out / "long/fold-0-seed-0/run/metrics.csv"
    return [line.split(",")[0] for line in path.read_text().splitlines()[1:]] if path.exists() else []


@pytest.fixture(scope="module")
def killed(folder: Path) -> Path:
    """The study, by two workers, killed while one of its entries is half trained."""
    command = [sys.executable, "-m", "mammoscope", "compare", folder / "study.toml", "--out", folder / "out"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([*command, "--workers", "2", "--draws", "20"], env=environment) as process:
        while len(epochs(folder / "out")) < 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    return folder / "out"


@dataclass(frozen=True)
class Resumed:
    """The study after it was killed, and after it was resumed.

    Attributes
    ----------
    out
        Its folder.
    before
        The page when it was killed.
    measured
        The entries that were measured then.
    outcome, lines
        Of the run that resumed.
    """

    out: Path
    before: str
    measured: set[str]
    outcome: Outcome
    lines: list[str]


@pytest.fixture(scope="module")
def resumed(folder: Path, killed: Path) -> Resumed:
    """The same, resumed."""
    run(folder, report_only=True)
    before = (killed / "index.html").read_text()
    measured = {path.parts[-3] for path in killed.glob("*/*/report.json")}
    return Resumed(killed, before, measured, *run(folder))


def test_a_killed_study_says_what_is_left(resumed: Resumed) -> None:
    assert NOTICE in resumed.before and f"of {EPOCHS} epochs" in resumed.before
    assert "headless, fold 0, seed 0" in resumed.before
    assert 1 <= len(resumed.measured) < 3


def test_a_killed_study_resumes(resumed: Resumed) -> None:
    out = resumed.out
    assert epochs(out) == [str(number + 1) for number in range(EPOCHS)]
    begun = {line.split(",")[0] for line in resumed.lines if line.endswith("begun")}
    assert begun == {"small", "average-mask", "long", "painted", "headless"} - resumed.measured
    failed = resumed.outcome.failed
    assert list(failed) == ["headless, fold 0, seed 0"] and "nowhere.safetensors" in failed["headless, fold 0, seed 0"]
    sessions = json.loads((out / "long/fold-0-seed-0/sessions.json").read_text())
    assert len(sessions) == 2 and all(session["threads"] >= 1 for session in sessions)


def test_a_generator_is_trained_first_on_the_same_patients(resumed: Resumed) -> None:
    folder = resumed.out / "painted/fold-0-seed-0"
    painter, segmenter = (read_run(folder / name) for name in ("generator", "run"))
    assert painter["split"] == segmenter["split"] and segmenter["generator"]
    hours = {row["entry"]: float(row["training_hours"] or 0) for row in figures(resumed.out)}
    with (folder / "run/metrics.csv").open(newline="") as stream:
        alone = sum(float(row["seconds"]) for row in csv.DictReader(stream))
    assert hours["painted"] * 3600 > alone


def test_the_average_mask_is_the_baseline(resumed: Resumed) -> None:
    out = resumed.out
    network, average = (
        json.loads((out / name / "fold-0-seed-0/report.json").read_text()) for name in ("small", "average-mask")
    )
    assert 0 < average["iou_pooled"]["value"] < 1
    assert average["iou_pooled"] == network["baseline_iou_pooled"] == average["baseline_iou_pooled"]
    for width in ("1", "1.5", "2"):
        assert average["wider"][width]["iou_pooled"] == network["wider"][width]["box_baseline_iou_pooled"]


def test_the_table_holds_figures_differences_and_costs(resumed: Resumed) -> None:
    out = resumed.out
    rows = figures(out)
    assert [(row["entry"], row["figure"]) for row in rows[:4]] == [
        ("small", "iou_pooled"),
        ("small", "dice_mean"),
        ("small", "wider.1.iou_pooled"),
        ("average-mask", "iou_pooled"),
    ]
    report = json.loads((out / "small/fold-0-seed-0/report.json").read_text())
    small, average = rows[0], rows[3]
    assert [float(small[name]) for name in ("value", "low", "high")] == pytest.approx(
        [report["iou_pooled"]["value"], *report["iou_pooled"]["ci95"]]
    )
    assert small["difference"] == small["p"] == "" and small["row"] == "R1"
    assert float(average["difference"]) == pytest.approx(float(average["value"]) - float(small["value"]))
    assert 0 < float(average["p"]) <= float(average["p_holm"]) <= 1
    assert float(average["parameters"]) == float(average["gflops"]) == 0 and average["training_hours"] == ""
    assert float(small["parameters"]) > 1000 and float(small["gflops"]) > 0 and float(small["milliseconds"]) > 0
    assert float(small["training_hours"]) > 0 and float(small["training_cpu_hours"]) > 0


def test_the_page_shows_curves_cases_and_definitions(resumed: Resumed) -> None:
    page = (resumed.out / "index.html").read_text()
    assert page.count("data:image/svg+xml") == 2 and page.count("data:image/png") == 1
    assert "Intersection over union" in page and NOTICE in page
    assert "http" not in page.replace("http-equiv", "")


def test_records_alone_are_enough(folder: Path, resumed: Resumed, tmp_path: Path) -> None:
    out = resumed.out
    shutil.copytree(out, folder / "records", ignore=shutil.ignore_patterns(*WEIGHTS))
    (folder / "finished.toml").write_text(HEAD + ENTRIES[: ENTRIES.rindex("[[entries]]")])
    outcome, lines = run(folder, "finished.toml", "records")
    assert lines == []  # nothing is trained or measured
    assert (folder / "records/comparison.csv").read_bytes() == (out / "comparison.csv").read_bytes()
    assert "data:image/png" not in (folder / "records/index.html").read_text()
    # In Markdown, between markers, and nothing else is touched.
    page = tmp_path / "page.md"
    page.write_text("# Comparison\n\n<!-- study: study -->\nsuperseded\n<!-- end of study: study -->\n\nThe end.\n")
    write_markdown(outcome.comparison, Place(folder / "study.toml", out, folder / "set"), page)
    text = page.read_text()
    assert text.startswith("# Comparison\n") and text.endswith("\nThe end.\n") and "superseded" not in text
    assert "| R1 | small | 0 | 2 |" in text and "data:" not in text and NOTICE in text


def test_results_of_another_recipe_are_refused(folder: Path, resumed: Resumed) -> None:
    (folder / "changed.toml").write_text((HEAD + ENTRIES).replace(f"loop.epochs = {EPOCHS}", "loop.epochs = 99"))
    message = rf"long/fold-0-seed-0: .* another recipe \(loop: epochs: {EPOCHS}, now 99\)"
    with pytest.raises(StudyError, match=message):
        run(folder, "changed.toml")
    shutil.copytree(resumed.out, folder / "unnamed")
    (folder / "unnamed/small/fold-0-seed-0/identity.json").unlink()
    with pytest.raises(StudyError, match=r"small/fold-0-seed-0: holds files, but no identity.json"):
        run(folder, out="unnamed")


def test_results_of_another_dataset_are_refused(folder: Path, resumed: Resumed, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", patients=8, seed=1)
    study, place = open_study(folder / "study.toml", folder / "out", other)
    with pytest.raises(StudyError, match=r"small/fold-0-seed-0: holds results of another dataset"):
        run_study(study, place, draws=20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "A"', "study.toml: stage: Field required"),
        (HEAD, "study.toml: entries: Field required"),
        (HEAD + "[[entries]]\nname = 'small'", "entry 'small': .*none of recipe, bundle and step"),
        (HEAD + "[[entries]]\nname = 'a'\nstep = 'average-mask'", "reference is 'small', expected one of .*: a"),
        (HEAD + "[[entries]]\nname = 'small'\nrecipe = 'x'\nlr = 1", "entry 'small': lr: Extra inputs"),
        (HEAD + "folds = [4]\n[[entries]]\nname = 'small'\nrecipe = 'x'", "folds hold 4"),
        (HEAD + 2 * "[[entries]]\nname = 'small'\nrecipe = 'x'\n", "two entries have the name 'small'"),
        ("title = ", "is not TOML"),
    ],
)
def test_an_impossible_study_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(StudyError, match=message):
        load_study(tmp_path / "study.toml")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("recipe = 'unheard-of'", "entry 'small': .*unheard-of.toml: cannot be read .*built-in recipes: .*default"),
        ("recipe = 'small.toml'\nset = { loop.epoch = 1 }", "entry 'small': set: loop.epoch: Extra inputs"),
        ("recipe = 'small.toml'\nset = { loop.epochs = 0 }", "entry 'small': set: loop.epochs: .*is 0"),
        (
            "recipe = 'small.toml'\nset = { split.fold = 1 }",
            "entry 'small': set: split is the study's own: see its folds",
        ),
        ("recipe = 'small.toml'\nset = { loop.seed = 1 }", "entry 'small': set: loop.seed is the study's own"),
        ("step = 'unheard-of'", "entry 'small': step is 'unheard-of': no implementation"),
        ("bundle = 'default'", "entry 'small': bundle: its step 'detect' was trained on all but fold 0 of 5"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused(entry: str, message: str, folder: Path) -> None:
    (folder / "bad.toml").write_text(HEAD + "[[entries]]\nname = 'small'\n" + entry)
    with pytest.raises(StudyError, match=message):
        run(folder, "bad.toml", "bad")
    assert not list((folder / "bad").iterdir())


def test_a_study_needs_a_dataset_and_known_figures(folder: Path) -> None:
    (folder / "bad.toml").write_text((HEAD + ENTRIES).replace('dataset = "set"', ""))
    with pytest.raises(StudyError, match="dataset: names none; give its folder by --dataset"):
        open_study(folder / "bad.toml", folder / "bad")
    (folder / "bad.toml").write_text((HEAD + ENTRIES).replace('"set"', '"sett"'))
    with pytest.raises(StudyError, match=r"dataset: .*sett: no such folder"):
        open_study(folder / "bad.toml", folder / "bad")
    (folder / "bad.toml").write_text((HEAD + ENTRIES).replace('"iou_pooled"', '"iou"', 1))
    with pytest.raises(StudyError, match=r"figures: 'iou' is not known; known are: .*boundary_f1"):
        run(folder, "bad.toml", "bad")


def test_a_bundle_is_measured_only_on_the_fold_that_it_has_not_seen() -> None:
    entry = {"name": "a", "bundle": "default"}
    study = Study.model_validate(
        {"title": "A", "stage": "detector", "folds": [0, 1, 2], "reference": "a", "entries": [entry]}
    )
    assert unseen_folds(load_bundle(), study) == (0,)
    with pytest.raises(StudyError, match="all patients but those of fold 0, and the study's folds are 1, 2"):
        unseen_folds(load_bundle(), study.model_copy(update={"folds": (1, 2)}))


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[2] / "docs/comparison").glob("*.toml")), ids=lambda file: file.stem
)
def test_the_studies_of_the_repository_can_be_read(file: Path) -> None:
    study = load_study(file)
    assert study.dataset is None, "data lie elsewhere"
    assert {entry.split for entry in study.entries} == {"by-patient"} or study.stage == "classifier"
    for entry in study.entries:
        assert entry.recipe is None or entry.recipe in recipe_names(study.role_of(entry))
        assert entry.generator is None or entry.generator in recipe_names("generate")
