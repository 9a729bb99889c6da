"""The training loop with each optimiser and schedule that a recipe may name."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mammoscope.families.recipe import LoopSettings
from mammoscope.training.loop import BEST, CHECKPOINT, METRICS, fit

SAMPLES, BATCH = 12, 4


class Line:
    """Fits ``y = 2 x + 1`` by a line; is stopped without warning after some batches."""

    criterion = "fit"

    def __init__(self, batches: int = 1000) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        self.left = batches

    def __len__(self) -> int:
        return SAMPLES

    def sample(self, index: int, rng: np.random.Generator) -> float:
        return index / SAMPLES + float(rng.normal(0, 0.01))

    def loss(self, samples: Sequence[float], device: torch.device, autocast: torch.autocast) -> dict[str, Tensor]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        x = torch.tensor(samples, dtype=torch.float32, device=device)[:, None]
        return {"loss": ((self.model(x) - 2 * x - 1) ** 2).mean()}

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        return {"fit": -float(abs(model(torch.ones(1, 1, device=device)) - 3))}


def settings(**changes: Any) -> LoopSettings:
    given = {"epochs": 4, "batch_size": BATCH, "learning_rate": 0.1, "warmup_epochs": 0, "checkpoint_seconds": 0}
    return LoopSettings(**{**given, "precision": "float32", "final_rate": 0, **changes})


def rates(folder: Path) -> list[float]:
    with (folder / METRICS).open(newline="") as stream:
        return [float(row["learning_rate"]) for row in csv.DictReader(stream)]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_a_stopped_training_ends_as_one_that_was_not(optimizer: str, tmp_path: Path) -> None:
    loop = settings(optimizer=optimizer, momentum=0.8, weight_decay=0.1)
    fit(Line(), loop, tmp_path / "straight", "line")
    for batches in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            fit(Line(batches), loop, tmp_path / "stopped", "line")
    fit(Line(), loop, tmp_path / "stopped", "line")
    for name in (BEST, CHECKPOINT):
        straight, resumed = load_file(tmp_path / "straight" / name), load_file(tmp_path / "stopped" / name)
        assert straight.keys() == resumed.keys()
        assert all(torch.equal(values, resumed[key]) for key, values in straight.items())


def test_optimizers_are_those_that_are_named(tmp_path: Path) -> None:
    ends = []
    for optimizer in ("adamw", "adam", "sgd"):
        task = Line()
        fit(task, settings(optimizer=optimizer, weight_decay=0.5), tmp_path / optimizer, "line")
        ends.append(task.model.weight.item())
    assert len(set(ends)) == 3


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        # The rate is stated after the last of the 3 batches of each of 4 epochs, as the next batch would have it.
        ("constant", [1, 1, 1, 1]),
        ("cosine", [(1 + np.cos(np.pi * done / 12)) / 2 for done in (4, 7, 10, 12)]),
        ("polynomial", [(1 - done / 12) ** 0.9 for done in (4, 7, 10, 12)]),
    ],
)
def test_the_learning_rate_follows_the_schedule(schedule: str, shares: list[float], tmp_path: Path) -> None:
    fit(Line(), settings(schedule=schedule), tmp_path, "line")
    assert rates(tmp_path) == pytest.approx([0.1 * share for share in shares])
