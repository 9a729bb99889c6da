"""The recipes of the published system: whole, they take a step; made small, they train and validate.

A step of the detector at its 640 pixels takes a minute of one core, so here it sees a quarter of the pixels.
"""

from __future__ import annotations

import csv
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import Tensor

from mammoscope.datasets.layout import load_dataset
from mammoscope.families.find import find_family, load_recipe
from mammoscope.families.recipe import LoopSettings
from mammoscope.training.loop import Task
from mammoscope.training.run import role_of, train
from small_recipes import as_toml
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

TASKS = ("detector", "segmenter", "classifier")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", patients=16)


def step(task: Task) -> dict[str, Tensor]:
    """The loss of one sample, and its gradient."""
    device = torch.device("cpu")
    samples = [task.sample(index, np.random.default_rng(index)) for index in range(1)]
    task.model.train()
    losses = task.loss(samples, device, torch.autocast("cpu", enabled=False))
    torch.stack(list(losses.values())).sum().backward()
    return losses


def whole_task(name: str, folder: Path) -> Task:
    """The first phase's task with the published recipe as it is, on two patients."""
    dataset = load_dataset(folder)
    dataset = dataset.of_patients(dataset.patients[:2])
    role_type = role_of(name)
    recipe = load_recipe(role_type.name, "published-2023")
    if name == "detector":
        recipe = recipe.model_copy(update={"input_size": 320})
    family = find_family(role_type.name, recipe.family)
    role = role_type(family, recipe, None)
    samples = role.load(dataset, "training")
    phase = next(iter(family.phases(recipe, family.fitted(recipe, samples), None)))
    return role.task(phase.network, samples, samples)


@pytest.mark.parametrize("name", TASKS)
def test_the_whole_network_takes_a_step(name: str, dataset: Path) -> None:
    task = whole_task(name, dataset)
    assert all(torch.isfinite(value) for value in step(task).values())
    gradients = [parameter.grad for parameter in task.model.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def small(name: str, folder: Path) -> Path:
    """A published recipe with a small network, few epochs and drops after the first two; all else as it is."""
    path = files("mammoscope.families") / role_of(name).name / "recipes" / "published-2023.toml"
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
    out.write_text(as_toml(table))
    return out


@pytest.fixture(scope="module")
def runs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name in TASKS:
        train(name, dataset, str(small(name, folder)), folder / name)
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
