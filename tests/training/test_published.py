"""The recipes of the published system: whole, they take a step; made small, they train and validate.

A step of the detector at its 640 pixels takes a minute of one core, so here it sees a quarter of the pixels.
"""

from __future__ import annotations

import csv
import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import Tensor

from mammoscope.datasets.layout import load_dataset
from mammoscope.families.recipe import ClassifierRecipe, DetectorRecipe, LoopSettings, SegmenterRecipe, load_recipe
from mammoscope.training.lesion_rois import load_views
from mammoscope.training.roles.classify import ClassifierTask, make_branch
from mammoscope.training.roles.detect import DetectorTask, fit_detector_anchors, load_films
from mammoscope.training.roles.segment import SegmenterTask, load_outlined
from mammoscope.training.run import train
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

ROOMS = {"detector": "detect", "segmenter": "segment", "classifier": "classify"}
TASKS = ("detector", "segmenter", "classifier")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=16)


def step(task: DetectorTask | SegmenterTask | ClassifierTask) -> dict[str, Tensor]:
    """The loss of one sample, and its gradient."""
    device = torch.device("cpu")
    samples = [task.sample(index, np.random.default_rng(index)) for index in range(1)]
    task.model.train()
    losses = task.loss(samples, device, torch.autocast("cpu", enabled=False))  # type: ignore[arg-type]
    torch.stack(list(losses.values())).sum().backward()
    return losses


def whole_task(name: str, folder: Path) -> DetectorTask | SegmenterTask | ClassifierTask:
    """A task with the published recipe as it is, on two patients."""
    dataset = load_dataset(folder)
    dataset = dataset.of_patients(dataset.patients[:2])
    recipe = load_recipe(name, "published-2023")
    if name == "detector":
        recipe = cast(DetectorRecipe, recipe).model_copy(update={"input_size": 320})
        films = load_films(dataset, recipe, "reading")
        return DetectorTask(recipe, None, films, films, fit_detector_anchors(films, recipe))
    if name == "segmenter":
        recipe = cast(SegmenterRecipe, recipe)
        lesions = load_outlined(dataset, recipe, "reading")
        return SegmenterTask(recipe, None, lesions, lesions)
    recipe = cast(ClassifierRecipe, recipe)
    views = load_views(dataset, recipe.preprocess, "reading")
    return ClassifierTask(recipe, make_branch(recipe, "roi", None), views, views)


@pytest.mark.parametrize("name", TASKS)
def test_the_whole_network_takes_a_step(name: str, dataset: Path) -> None:
    task = whole_task(name, dataset)
    assert all(torch.isfinite(value) for value in step(task).values())
    gradients = [parameter.grad for parameter in task.model.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def small(name: str, folder: Path) -> Path:
    """A published recipe with a small network, few epochs and drops after the first two; all else as it is."""
    path = files("mammoscope.families") / ROOMS[name] / "recipes" / "published-2023.toml"
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    sizes: dict[str, dict[str, Any]] = {
        "detector": {"backbone": "test_resnet", "input_size": 128, "pyramid_channels": 32},
        "segmenter": {"filters": [16, 16, 32, 32, 32], "input_size": 64, "embedding": 32, "layers": 2, "heads": 2},
        "classifier": {"backbone": "test_resnet", "input_size": 64, "layers": [32, 16, 8]},
    }
    table |= sizes[name]
    table["loop"] |= {"epochs": 3, "drop_epochs": [1, 2], "batch_size": 4, "loader_threads": 1}
    table["split"] = {"folds": 4}
    for phase in ("joined", "tuned"):
        if phase in table:
            table[phase]["epochs"] = 1
    out = folder / f"{name}.toml"
    out.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items() if _plain(value)))
    with out.open("a") as stream:
        for key, value in table.items():
            if not _plain(value):
                rows = "".join(f"{inner} = {json.dumps(each)}\n" for inner, each in value.items())
                stream.write(f"\n[{key}]\n{rows}")
    return out


def _plain(value: object) -> bool:
    return not isinstance(value, dict)


@pytest.fixture(scope="module")
def runs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name in TASKS:
        train(name, dataset, str(small(name, folder)), folder / name)  # type: ignore[arg-type]
    return {name: folder / name for name in TASKS}


@pytest.mark.parametrize(
    ("name", "phase", "rates"),
    [
        ("detector", ".", [1e-3, 1e-4, 1e-5]),
        ("segmenter", ".", [1e-3, 1e-4, 1e-5]),
        ("classifier", "margin", [1e-4, 1e-5, 1e-6]),
        ("classifier", "joined", [1e-4]),
        ("classifier", "tuned", [1e-7]),
    ],
)
def test_the_learning_rate_falls_in_steps(name: str, phase: str, rates: list[float], runs: dict[str, Path]) -> None:
    with (runs[name] / phase / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    # The last phase of a training without drops decays to its smallest share.
    found = [float(row["learning_rate"]) for row in rows]
    assert found == pytest.approx(
        rates if len(rates) > 1 else [rates[0] * LoopSettings.model_fields["final_rate"].default]
    )
