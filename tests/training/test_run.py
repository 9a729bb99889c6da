"""Trainings as a user starts, kills and continues them."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from safetensors.numpy import load_file

from mammoscope.datasets.layout import load_dataset, write_table
from mammoscope.datasets.splits import write_split
from mammoscope.errors import DatasetError, RecipeError
from mammoscope.training.folds import train_folds
from mammoscope.training.run import read_run, recipe_named, train
from small_recipes import write_recipe
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

_PROGRAM = "import sys; from mammoscope.cli.app import main; main()"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=16)


def test_a_killed_training_is_resumed_and_ends_as_one_that_was_not(dataset: Path, tmp_path: Path) -> None:
    task, recipe = "segmenter", write_recipe(tmp_path, "segmenter", epochs=3)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", _PROGRAM, "train", task, dataset, "--recipe", recipe, "--out", killed]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    # A checkpoint is written after every batch; kill without warning once there is one.
    while not list(killed.rglob("checkpoint.safetensors")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, f"ended before it could be killed: {process.stderr.read().decode()}"
    process.send_signal(signal.SIGKILL)
    process.wait()

    for out in (killed, whole):
        train(task, dataset, str(recipe), out)

    assert "resumed at epoch" in (killed / "train.log").read_text()
    assert "resumed" not in (whole / "train.log").read_text()
    for name in ("best.safetensors", "checkpoint.safetensors"):
        resumed, straight = load_file(killed / name), load_file(whole / name)
        assert resumed.keys() == straight.keys()
        for key, values in resumed.items():
            assert (values == straight[key]).all(), f"{name}: {key} differs after the resume"
    assert list((killed / "tensorboard").iterdir())
    with (killed / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))


def test_the_split_is_by_patient_and_written_down(dataset: Path, tmp_path: Path) -> None:
    train("segmenter", dataset, str(write_recipe(tmp_path, "segmenter", epochs=1)), tmp_path / "run")
    split = read_run(tmp_path / "run")["split"]
    training, validation = set(split["training_patients"]), set(split["validation_patients"])
    assert training and validation and not training & validation
    assert len(training | validation) == 16
    assert (split["fold"], split["folds"], split["seed"]) == (0, 4, 0)


def test_folds_are_trained_in_folders_of_their_own_and_told_together(dataset: Path, tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path, "segmenter", epochs=1))
    for which in ("0", "1,0"):  # what is finished is told again, not trained again
        train_folds(
            which,
            recipe_named("segmenter", recipe, {}).split.folds,
            tmp_path / "runs",
            lambda folder, fold: train("segmenter", dataset, recipe, folder, changes=fold),
        )
    first, second = (read_run(tmp_path / "runs" / f"fold-{fold}")["split"] for fold in (0, 1))
    assert set(first["validation_patients"]).isdisjoint(second["validation_patients"])
    assert "finished earlier" in (tmp_path / "runs" / "fold-0" / "train.log").read_text()
    with (tmp_path / "runs" / "folds.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["fold"], row["phase"], row["best_epoch"]) for row in rows] == [("1", "", "1"), ("0", "", "1")]
    for row in rows:
        with (tmp_path / "runs" / f"fold-{row['fold']}" / "metrics.csv").open(newline="") as stream:
            assert row["iou_pooled"] == next(csv.DictReader(stream))["iou_pooled"]


@pytest.mark.parametrize("which", ["", "0,0", "-1", "5", "0;1"])
def test_folds_that_are_none_are_refused(which: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="expected 'all' or different numbers from 0 to 4"):
        train_folds(which, 5, tmp_path, lambda folder, fold: None)


def test_a_run_folder_holds_one_training(dataset: Path, tmp_path: Path) -> None:
    recipe, run = write_recipe(tmp_path, "segmenter", epochs=1), tmp_path / "run"
    train("segmenter", dataset, str(recipe), run)
    before = (run / "best.safetensors").read_bytes()
    train("segmenter", dataset, str(recipe), run)  # finished: nothing to do
    assert (run / "best.safetensors").read_bytes() == before
    facts = read_run(run)
    del facts["recipe"]["loop"]["drop_epochs"]  # as a version wrote it that did not know the setting yet
    (run / "run.json").write_text(json.dumps(facts))
    train("segmenter", dataset, str(recipe), run)
    recipe.write_text(recipe.read_text().replace("learning_rate = 0.001", "learning_rate = 0.002"))
    with pytest.raises(RecipeError, match="another recipe"):
        train("segmenter", dataset, str(recipe), run)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(RecipeError, match="neither empty nor a run"):
        train("segmenter", dataset, str(recipe), tmp_path / "other")


def test_a_wrong_dataset_is_refused_before_the_first_step(dataset: Path, tmp_path: Path) -> None:
    table = (dataset / "lesions.csv").read_text().replace("MALIGNANT", "MALIGN", 1)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "lesions.csv").write_text(table)
    (broken / "images").symlink_to(dataset / "images")
    run = tmp_path / "run"
    with pytest.raises(DatasetError, match=r"lesions\.csv, row 2: column 'pathology' is 'MALIGN'"):
        train("detector", broken, str(write_recipe(tmp_path, "detector")), run)
    assert not run.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("input_size = 64", "input_size = 65"), "input_size: .*multiple of 16.*is 65"),
        (("input_size = 64", "inputsize = 64"), "inputsize: Extra inputs"),
        (("epochs = 1", ""), r"loop\.epochs: Field required"),
        (("epochs = 1", "epochs = [1"), "is not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(
    change: tuple[str, str], message: str, dataset: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, "segmenter", epochs=1)
    recipe.write_text(recipe.read_text().replace(*change, 1))
    with pytest.raises(RecipeError, match=message):
        train("segmenter", dataset, str(recipe), tmp_path / "run")


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    small = write_dataset(tmp_path / "small", patients=3)
    with pytest.raises(DatasetError, match="3 patients, too few for 4 folds"):
        train("detector", small, str(write_recipe(tmp_path, "detector")), tmp_path / "run")


def test_init_takes_a_file_and_refuses_one_of_another_architecture(dataset: Path, tmp_path: Path) -> None:
    import timm
    from safetensors.torch import save_file

    recipe = str(write_recipe(tmp_path, "detector", epochs=1))
    fitting, foreign = tmp_path / "fitting.safetensors", tmp_path / "foreign.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), fitting)
    save_file(timm.create_model("test_resnet").state_dict(), foreign)
    train("detector", dataset, recipe, tmp_path / "run", str(fitting))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["init"]["name"] == "fitting.safetensors"
    with pytest.raises(RecipeError, match="fit only"):
        train("detector", dataset, recipe, tmp_path / "run2", str(foreign))
    with pytest.raises(RecipeError, match="no such file"):
        train("detector", dataset, recipe, tmp_path / "run3", str(tmp_path / "absent.safetensors"))


def test_a_segmenter_starts_from_an_earlier_run(dataset: Path, tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path, "segmenter", epochs=1))
    train("segmenter", dataset, recipe, tmp_path / "first")
    train("segmenter", dataset, recipe, tmp_path / "second", str(tmp_path / "first" / "best.safetensors"))
    first, second = (load_file(tmp_path / name / "best.safetensors") for name in ("first", "second"))
    assert any((first[key] != second[key]).any() for key in first)
    with pytest.raises(RecipeError, match="no such file"):
        train("segmenter", dataset, recipe, tmp_path / "third", str(tmp_path / "absent.safetensors"))
    with pytest.raises(RecipeError, match=r"was not written by mammoscope|cannot be read as a checkpoint"):
        train("segmenter", dataset, recipe, tmp_path / "fourth", str(dataset / "lesions.csv"))


def test_the_written_validation_part_holds_no_patient_that_trains(dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "kinds")
    lesions = load_dataset(dataset).lesions
    # The malignant lesions of the first patients are of a kind that nothing is trained on.
    kinds = ["calcification" if number in (0, 2, 4) else "mass" for number in range(len(lesions))]
    table = [replace(one, kind=kind) for one, kind in zip(lesions, kinds, strict=True)]
    write_table(tmp_path / "kinds/lesions.csv", table)
    train("segmenter", tmp_path / "kinds", str(write_recipe(tmp_path, "segmenter", epochs=1)), tmp_path / "run")
    split = read_run(tmp_path / "run")["split"]
    _, validation = write_split(load_dataset(tmp_path / "kinds"), tmp_path / "split", folds=4)
    assert set(split["training_patients"]).isdisjoint(load_dataset(validation).patients)
    assert split["validation_patients"] == list(load_dataset(validation).patients)
