"""The training loop with each optimiser and schedule that a recipe may name, and with a second network."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from mammoscope.families.recipe import LoopSettings
from mammoscope.training.checkpoint import read_tensors, write_tensors
from mammoscope.training.loop import BEST, CHECKPOINT, METRICS, Opponent, fit

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


def test_a_training_of_an_earlier_version_that_noted_no_cpu_time_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Line(4), settings(), tmp_path, "line")
    tensors, header = read_tensors(tmp_path / CHECKPOINT)
    del header["cpu_seconds"], header["rows"][0]["cpu_seconds"]
    write_tensors(tmp_path / CHECKPOINT, tensors, header)
    fit(Line(), settings(), tmp_path, "line")
    with (tmp_path / METRICS).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["cpu_seconds"] == "" for row in rows] == [True, False, False, False]
    assert all(float(row["cpu_seconds"]) > 0 for row in rows[1:])


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


class Duel(Line):
    """Its line must look true to a critic, which learns to tell points ``(x, y)`` of the true line from its."""

    def __init__(self, batches: int = 1000) -> None:
        super().__init__(batches)
        layers = (nn.Linear(2, 8), nn.Linear(8, 1))
        self.critic = nn.Sequential(spectral_norm(layers[0]), nn.ReLU(), nn.Dropout(0.2), spectral_norm(layers[1]))
        self.seen: list[list[Tensor]] = []  # the weights of both, in each turn

    def loss(self, samples: Sequence[float], device: torch.device, autocast: torch.autocast) -> dict[str, Tensor]:
        raise AssertionError("the losses of both are wanted in turn")

    def turns(
        self, samples: Sequence[float], device: torch.device, autocast: torch.autocast
    ) -> Iterator[dict[str, Tensor]]:
        fit_loss = super().loss(samples, device, autocast)["loss"]
        x = torch.tensor(samples, dtype=torch.float32, device=device)[:, None]
        y = self.model(x)
        self._note()
        true, ours = torch.cat([x, 2 * x + 1], 1), torch.cat([x, y], 1)
        yield {"critic_loss": self.critic(ours.detach()).mean() - self.critic(true).mean()}
        self._note()
        yield {"fit_loss": fit_loss, "critic_says": -self.critic(ours).mean()}

    def _note(self) -> None:
        self.seen.append([p.detach().clone() for net in (self.model, self.critic) for p in net.parameters()])


def duelled(folder: Path, batches: int = 1000, **changes: Any) -> Duel:
    task = Duel(batches)
    fit(task, settings(**changes), folder, "duel", Opponent(task.critic, task.turns))
    return task


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_stopped_duel_ends_as_one_that_was_not(optimizer: str, tmp_path: Path) -> None:
    straight = duelled(tmp_path / "straight", optimizer=optimizer)
    for batches in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            duelled(tmp_path / "stopped", batches, optimizer=optimizer)
    resumed = duelled(tmp_path / "stopped", optimizer=optimizer)
    for name in (BEST, CHECKPOINT):
        one, other = load_file(tmp_path / "straight" / name), load_file(tmp_path / "stopped" / name)
        assert one.keys() == other.keys()
        assert all(torch.equal(values, other[key]) for key, values in one.items())
    # What a next phase would start with, the estimates of the spectral norm included.
    states = straight.critic.state_dict(), resumed.critic.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(values, states[1][key]) for key, values in states[0].items())


def test_the_opponent_of_a_finished_training_is_as_it_ended(tmp_path: Path) -> None:
    ended, read = duelled(tmp_path), duelled(tmp_path, batches=0)
    assert all(map(torch.equal, ended.critic.state_dict().values(), read.critic.state_dict().values()))


def test_both_learn_in_turn_the_opponent_first(tmp_path: Path) -> None:
    task = duelled(tmp_path, epochs=1, schedule="constant")
    line, critic = slice(0, 2), slice(2, None)
    assert len(task.seen) == 2 * SAMPLES // BATCH
    for before, between in zip(task.seen[::2], task.seen[1::2], strict=True):
        assert all(map(torch.equal, before[line], between[line]))
        assert not any(map(torch.equal, before[critic], between[critic]))
    for between, after in zip(task.seen[1::2], task.seen[2::2], strict=False):
        assert not any(map(torch.equal, between[line], after[line]))
        assert all(map(torch.equal, between[critic], after[critic]))
    assert all(parameter.requires_grad for parameter in task.critic.parameters())


def test_the_opponent_is_no_part_of_the_result(tmp_path: Path) -> None:
    task = duelled(tmp_path / "duel")
    assert load_file(tmp_path / "duel" / BEST).keys() == task.model.state_dict().keys()
    with (tmp_path / "duel" / METRICS).open(newline="") as stream:
        last = list(csv.DictReader(stream))[-1]
    assert {"critic_loss", "fit_loss", "critic_says"} <= last.keys()
    kept = load_file(tmp_path / "duel" / CHECKPOINT)
    parts = {key.partition("/")[0] for key in kept}
    assert parts == {"model", "average", "optimizer", "opponent_model", "opponent_optimizer", "random"}
    assert not any("critic" in key or key.startswith("average/module.0") for key in kept)
    fit(Line(), settings(), tmp_path / "line", "line")
    alone = {key.partition("/")[0] for key in load_file(tmp_path / "line" / CHECKPOINT)}
    assert alone == {"model", "average", "optimizer", "random"}


def test_a_loss_of_the_opponent_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    task = Duel()
    nn.init.constant_(task.critic[0].bias, float("inf"))
    with pytest.raises(FloatingPointError, match="in epoch 1, batch 1"):
        fit(task, settings(), tmp_path, "duel", Opponent(task.critic, task.turns))
