"""Start or continue a training: check what it is given, write down what it is, hand it to its task."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import timm
import torch
import torchvision

from mammoscope import __version__
from mammoscope.bundle import Bundle, file_sha256, load_bundle
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import DatasetError, RecipeError
from mammoscope.families.attributes import Attributes
from mammoscope.families.recipe import (
    ClassifierRecipe,
    DetectorRecipe,
    Recipe,
    ReducerRecipe,
    SegmenterRecipe,
    load_recipe,
    recipe_of,
)
from mammoscope.files import write_json
from mammoscope.processes.cores import usable_cores
from mammoscope.training.checkpoint import is_ours, load_weights
from mammoscope.training.lesion_rois import load_views
from mammoscope.training.loop import fit
from mammoscope.training.roles.classify import train_classifier
from mammoscope.training.roles.detect import DetectorTask, fit_detector_anchors, load_films
from mammoscope.training.roles.rescore import ReducerTask, load_proposed
from mammoscope.training.roles.segment import SegmenterTask, load_outlined

RUN = "run.json"
LOG = "train.log"

TaskName = Literal["detector", "reducer", "segmenter", "classifier"]


@dataclass(frozen=True)
class _Start:
    """What a training starts from: ``init`` of ``train``, and for a reducer the bundle whose detector proposes."""

    init: str | None
    proposing: Bundle | None


def train(
    task: TaskName,
    dataset_folder: Path,
    recipe_name: str,
    out: Path,
    init: str | None = None,
    *,
    proposing: Path | None = None,
) -> None:
    """Train a stage, or continue a training that was stopped.

    Parameters
    ----------
    task
        Which stage.
    dataset_folder
        A folder in the dataset layout; its patients are divided into training and validation by the recipe's split.
    recipe_name
        A TOML file or the name of one that comes along.
    out
        The run's folder: ``run.json`` (what it is), ``train.log``, ``metrics.csv``, ``tensorboard/``,
        ``checkpoint.safetensors``, ``best.safetensors``.
    init
        Where to start. For a backbone: a safetensors file with a timm state dict, or ``"timm"`` for timm's own weights.
        For a whole detector or segmenter: ``best.safetensors`` of an earlier run. None: random weights.
    proposing
        For the reducer: the bundle whose detector proposes regions; None takes the one that ships with mammoscope.

    Raises
    ------
    DatasetError, RecipeError
        Before the first step: what is wrong with the dataset, the recipe or the folder.
    """
    recipe = load_recipe(task, recipe_name)
    dataset = load_dataset(dataset_folder)
    if recipe.split.fold >= recipe.split.folds:
        raise RecipeError(f"split.fold is {recipe.split.fold}, it must be below split.folds, {recipe.split.folds}")
    if len(dataset.patients) < recipe.split.folds:
        raise DatasetError(
            f"{dataset.folder}: has {len(dataset.patients)} patients, too few for {recipe.split.folds} folds by patient"
        )
    training, validation = split_patients(dataset, **recipe.split.model_dump())
    if proposing and task != "reducer":
        raise RecipeError(f"a bundle whose detector proposes regions is of use to the reducer, not to the {task}")
    start = _Start(init, _proposing_bundle(proposing, recipe) if task == "reducer" else None)
    _open_run(out, _identity(task, dataset, recipe, start, training, validation))
    torch.set_num_threads(usable_cores())
    torch.manual_seed(recipe.loop.seed)
    with _log_to(out / LOG):
        _TASKS[task](recipe, start, training, validation, out)


def _train_detector(recipe: Recipe, start: _Start, training: Dataset, validation: Dataset, out: Path) -> None:
    recipe = cast(DetectorRecipe, recipe)
    films = load_films(training, recipe, "reading training films")
    anchors = fit_detector_anchors(films, recipe)
    add_to_run(out, anchors=asdict(anchors))
    held_out = load_films(validation, recipe, "reading validation films")
    earlier = _earlier_weights(start.init)
    task = DetectorTask(recipe, None if earlier else start.init, films, held_out, anchors)
    if earlier:
        load_weights(task.model, earlier)
    fit(task, recipe.loop, out, "detector")


def _proposing_bundle(folder: Path | None, recipe: Recipe) -> Bundle:
    """The bundle whose detector proposes; one that learned from these validation patients would flatter."""
    bundle = load_bundle(folder)
    detector = bundle.manifest.detector
    theirs = recipe_of("detector", detector.provenance.recipe).split
    if theirs != recipe.split:
        raise RecipeError(
            f"{bundle.folder}: its detector's patients were divided by {theirs}, the recipe divides by {recipe.split}"
        )
    if bundle.manifest.preprocess != recipe.preprocess:
        raise RecipeError(f"{bundle.folder}: finds the breast by other settings than the recipe")
    return bundle


def _train_reducer(recipe: Recipe, start: _Start, training: Dataset, validation: Dataset, out: Path) -> None:
    recipe, bundle = cast(ReducerRecipe, recipe), cast(Bundle, start.proposing)
    films = [
        load_proposed(part, bundle, recipe, f"proposing regions, {name}")
        for part, name in ((training, "training"), (validation, "validation"))
    ]
    fit(ReducerTask(recipe, start.init, *films), recipe.loop, out, "reducer")


def _earlier_weights(init: str | None) -> Path | None:
    """The file to start from where that is ``best.safetensors`` of an earlier run, which holds a whole network."""
    return Path(init) if init and is_ours(Path(init)) else None


def _train_segmenter(recipe: Recipe, start: _Start, training: Dataset, validation: Dataset, out: Path) -> None:
    recipe, init = cast(SegmenterRecipe, recipe), start.init
    # Without a backbone there is nothing else to start from: load_weights says what is wrong with another file.
    earlier = Path(init) if init and not recipe.backbone else _earlier_weights(init)
    if earlier and not earlier.is_file():
        raise RecipeError(
            f"init is {init!r}: no such file; a segmenter without a backbone starts from the weights of an earlier run"
        )
    lesions = [load_outlined(part, recipe, "reading lesions") for part in (training, validation)]
    for part, name in zip(lesions, ("training", "validation"), strict=True):
        if not part:
            raise DatasetError(f"{training.folder}: no {name} patient has a lesion with a crop and a mask")
    task = SegmenterTask(recipe, None if earlier else init, *lesions)
    if earlier:
        load_weights(task.model, earlier)
    fit(task, recipe.loop, out, "segmenter")


def _train_classifier(recipe: Recipe, start: _Start, training: Dataset, validation: Dataset, out: Path) -> None:
    recipe = cast(ClassifierRecipe, recipe)
    for part, name in ((training, "training"), (validation, "validation")):
        if len({lesion.malignant for lesion in part.lesions}) < 2:
            raise DatasetError(f"{training.folder}: the lesions of the {name} patients are all of one class")
    attributes = Attributes.fit(training.lesions) if recipe.auxiliary_weight else None
    if attributes:
        add_to_run(out, auxiliary_targets=attributes.names)
    learn, held_out = (
        load_views(part, recipe.preprocess, "reading lesions", attributes=attributes) for part in (training, validation)
    )
    train_classifier(recipe, start.init, learn, held_out, out)


_TASKS: dict[str, Callable[[Recipe, _Start, Dataset, Dataset, Path], None]] = {
    "detector": _train_detector,
    "reducer": _train_reducer,
    "segmenter": _train_segmenter,
    "classifier": _train_classifier,
}


def read_run(out: Path) -> dict[str, Any]:
    """What ``run.json`` says.

    Raises
    ------
    RecipeError
        The folder is no run.
    """
    path = out / RUN
    try:
        return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from None


def add_to_run(out: Path, **facts: Any) -> None:
    """Add facts that training found out to ``run.json``."""
    write_json(out / RUN, {**read_run(out), **facts})


def _identity(
    task: TaskName, dataset: Dataset, recipe: Recipe, start: _Start, training: Dataset, validation: Dataset
) -> dict[str, Any]:
    """What must be the same for a training to be continued."""
    init: dict[str, str] | None = None
    if start.init:
        path = Path(start.init)
        init = {"name": path.name, "sha256": file_sha256(path)} if path.is_file() else {"name": start.init}
    proposing = {"proposing": start.proposing.identity.model_dump(mode="json")} if start.proposing else {}
    return {
        "task": task,
        "recipe": recipe.model_dump(mode="json"),
        "init": init,
        **proposing,
        "dataset": {"name": dataset.name, "sha256": dataset.sha256},
        "split": {
            **recipe.split.model_dump(),
            "training_patients": list(training.patients),
            "validation_patients": list(validation.patients),
        },
    }


def _open_run(out: Path, identity: dict[str, Any]) -> None:
    """Make the run's folder, or see that it holds this very training."""
    if (out / RUN).exists():
        earlier = read_run(out)
        if earlier.get("task") == identity["task"]:
            # Read by today's settings, so that a run goes on after a setting was added whose default changes nothing.
            earlier["recipe"] = recipe_of(identity["task"], earlier["recipe"], str(out / RUN)).model_dump(mode="json")
        for key, value in json.loads(json.dumps(identity)).items():
            if earlier.get(key) != value:
                raise RecipeError(
                    f"{out}: holds a training with another {key}; continue it with the same one, or name a new folder"
                )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecipeError(f"{out}: is neither empty nor a run")
    out.mkdir(parents=True, exist_ok=True)
    versions = {
        "mammoscope": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
    }
    write_json(out / RUN, {**identity, "versions": versions})


class _log_to:  # noqa: N801 (used as a function)
    """Send the training's log to a file for the length of a block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._logger = logging.getLogger("mammoscope.training")
        self._handler = logging.FileHandler(self._path, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._logger.addHandler(self._handler)
        self._logger.setLevel(logging.INFO)

    def __exit__(self, *exception: object) -> None:
        self._logger.removeHandler(self._handler)
        self._handler.close()
