"""The training loop that all tasks share: resumable at any step, averaged weights, the best epoch kept.

A second network can be trained in turn with the first, on the same samples: see ``Opponent``.
"""

from __future__ import annotations

import csv
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.tensorboard import SummaryWriter

from mammoscope.families.recipe import LoopSettings
from mammoscope.files import replacing
from mammoscope.training.checkpoint import read_tensors, write_tensors
from mammoscope.training.learner import Learner
from mammoscope.training.precision import autocast_of, training_pass

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
METRICS = "metrics.csv"
# What is left of the learning rate at a progress from 0 to 1.
_DECAYS: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "polynomial": lambda progress: (1 - progress) ** 0.9,
    "constant": lambda progress: 1.0,
}
_OPPONENT = "opponent_"  # before the names of its parts of a checkpoint
_RANDOM = "random"  # the state that the first weights of the next phase are drawn from


class Task(Protocol):
    """The protocol of a task for the loop."""

    @property
    def model(self) -> nn.Module:
        """The network, with its start weights."""
        ...

    @property
    def criterion(self) -> str:
        """The validation metric to maximise."""
        ...

    def __len__(self) -> int:
        """Samples in an epoch."""
        ...

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        """One augmented sample, on the CPU; called from several threads."""
        ...

    def loss(self, samples: Sequence[Any], device: torch.device, autocast: torch.autocast) -> dict[str, Tensor]:
        """The parts of the loss of a batch; their sum is minimised."""
        ...

    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """Metrics on the validation patients."""
        ...


@dataclass(frozen=True, eq=False)
class Opponent:
    """A second network that the task's network learns against; only checkpoints keep it, it is not averaged.

    Attributes
    ----------
    network
        With its start weights; it is trained with the same settings as the task's.
    turns
        In place of the task's ``loss``, with its arguments: first the parts of the loss of the opponent, then, once
        that has taken its step, those of the task's network. Their names differ.
    """

    network: nn.Module
    turns: Callable[[Sequence[Any], torch.device, torch.autocast], Iterator[dict[str, Tensor]]]


@dataclass
class _Position:
    """The position of a training: everything besides tensors that is needed to resume it."""

    epoch: int = 0
    step: int = 0  # batches done of this epoch
    seconds: float = 0.0  # since this epoch began
    cpu_seconds: float = 0.0  # the same, of all threads of the process
    sums: dict[str, float] = field(default_factory=dict)  # of the losses of this epoch
    best: float = -math.inf
    best_epoch: int = -1
    rows: list[dict[str, float]] = field(default_factory=list)  # one a finished epoch


def fit(
    task: Task, settings: LoopSettings, folder: Path, label: str, opponent: Opponent | None = None
) -> dict[str, Any]:
    """Train until the last epoch, from the last checkpoint in ``folder`` if there is one.

    A resumed training sees the same samples in the same order as one that was never stopped: every random number
    follows from the seed, the epoch and the sample.

    Returns
    -------
    dict
        The header of ``best.safetensors``: ``epoch``, ``metrics``, ``seconds``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loop = _Loop(task, settings, folder, opponent)
    if loop.resume() and loop.at.epoch >= settings.epochs:
        logger.info("%s: finished earlier", label)
    elif loop.steps_done:
        logger.info("%s: resumed at epoch %d, batch %d", label, loop.at.epoch + 1, loop.at.step + 1)
    else:
        logger.info("%s: %d samples an epoch, %d epochs, on %s", label, len(task), settings.epochs, loop.device)
    with (
        _progress() as progress,
        SummaryWriter(str(folder / "tensorboard")) as board,
        ThreadPoolExecutor(settings.loader_threads) as loaders,
    ):
        bar = progress.add_task(label, total=settings.epochs * loop.steps, completed=loop.steps_done)
        while loop.at.epoch < settings.epochs:
            for _ in loop.epoch(loaders):
                progress.update(bar, completed=loop.steps_done)
            row = loop.finish_epoch()
            for name, value in row.items():
                board.add_scalar(name, value, int(row["epoch"]))
            facts = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
            logger.info("%s: epoch %d of %d: %s", label, row["epoch"], settings.epochs, facts)
    _, header = read_tensors(folder / BEST)
    return header


class _Loop:
    def __init__(self, task: Task, settings: LoopSettings, folder: Path, opponent: Opponent | None) -> None:
        self.task, self.settings, self.folder = task, settings, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.autocast = autocast_of(settings, self.device)
        self.learner = Learner(task.model, settings, self.device)
        self.average = AveragedModel(
            self.learner.network, multi_avg_fn=_running_average(settings.average_decay), use_buffers=True
        )
        self.opponent = opponent
        self.opposing = Learner(opponent.network, settings, self.device) if opponent else None
        # A last batch of one sample would break batch normalisation.
        self.steps = max(1, len(task) // settings.batch_size)
        self.at = _Position()
        self.saved = time.monotonic()
        self.begun = _clocks()

    @property
    def steps_done(self) -> int:
        return self.at.epoch * self.steps + self.at.step

    def resume(self) -> bool:
        """Restore the last checkpoint; False if there is none."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        tensors, header = read_tensors(path)
        parts: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            part, _, name = key.partition("/")
            parts[part][name] = value
        self.learner.restore(parts)
        self.average.load_state_dict(parts["average"])
        if self.opposing:
            self.opposing.restore({name: parts[f"{_OPPONENT}{name}"] for name in self.opposing.state()})
        self.at = _Position(**header)
        if _RANDOM in tensors:  # missing in those of earlier versions
            torch.set_rng_state(tensors[_RANDOM])
        self._write_metrics()
        return True

    def epoch(self, loaders: ThreadPoolExecutor) -> Iterator[None]:
        """Train to the end of the epoch; yields after each batch."""
        at, settings = self.at, self.settings
        order = np.random.default_rng((settings.seed, at.epoch)).permutation(len(self.task))
        batches = [order[start : start + settings.batch_size] for start in range(0, len(order), settings.batch_size)]
        self.learner.network.train()
        if self.opposing:
            self.opposing.network.train()
        wall, cpu = _clocks()
        self.begun = wall - at.seconds, cpu - at.cpu_seconds
        for samples in _prefetched(batches[at.step : self.steps], self._sample, loaders):
            torch.manual_seed(hash((settings.seed, at.epoch, at.step)) % 2**63)
            with training_pass(self.device):
                self._learn_from(samples)
            self.average.update_parameters(self.learner.network)
            at.step += 1
            if time.monotonic() - self.saved > settings.checkpoint_seconds:
                self._save()
            yield

    def _learn_from(self, samples: Sequence[Any]) -> None:
        if self.opponent and self.opposing:
            turns = self.opponent.turns(samples, self.device, self.autocast)
            self._step(self.opposing, next(turns))
            with self.opposing.frozen():
                self._step(self.learner, next(turns))
        else:
            self._step(self.learner, self.task.loss(samples, self.device, self.autocast))

    def finish_epoch(self) -> dict[str, float]:
        """Validate the averaged weights, keep them if they are the best, and write metrics and checkpoint."""
        at = self.at
        self.average.eval()
        with torch.inference_mode():
            metrics = self.task.validate(self.average.module, self.device, self.autocast)
        score = metrics[self.task.criterion]
        losses = {name: value / max(1, at.step) for name, value in at.sums.items()}
        self._take_time()
        row = {
            "epoch": at.epoch + 1,
            **losses,
            **metrics,
            "learning_rate": self._learning_rate(),
            "seconds": at.seconds,
            "cpu_seconds": at.cpu_seconds,
        }
        at.rows.append(row)
        if score > at.best or at.best_epoch < 0:
            at.best, at.best_epoch = score, at.epoch
            weights = self.average.module.state_dict()
            spent = sum(earlier["seconds"] for earlier in at.rows)
            write_tensors(self.folder / BEST, weights, {"epoch": at.epoch + 1, "metrics": metrics, "seconds": spent})
        at.epoch, at.step, at.sums = at.epoch + 1, 0, {}
        self.begun = _clocks()
        self._save()
        self._write_metrics()
        return row

    def _step(self, learner: Learner, losses: Mapping[str, Tensor]) -> None:
        at, total = self.at, torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(f"the loss is {total.item()} in epoch {at.epoch + 1}, batch {at.step + 1}")
        learner.step(total, self._learning_rate())
        for name, value in losses.items():
            at.sums[name] = at.sums.get(name, 0.0) + value.item()

    def _sample(self, index: int) -> Any:
        return self.task.sample(index, np.random.default_rng((self.settings.seed, self.at.epoch, index)))

    def _learning_rate(self) -> float:
        settings = self.settings
        if settings.drop_epochs:
            return settings.learning_rate * 0.1 ** sum(self.at.epoch >= drop for drop in settings.drop_epochs)
        done = self.steps_done + 1
        warmup = settings.warmup_epochs * self.steps
        if done < warmup:
            return settings.learning_rate * done / warmup
        progress = min(1.0, (done - warmup) / max(1.0, settings.epochs * self.steps - warmup))
        share = settings.final_rate + (1 - settings.final_rate) * _DECAYS[settings.schedule](progress)
        return settings.learning_rate * share

    def _take_time(self) -> None:
        wall, cpu = _clocks()
        self.at.seconds, self.at.cpu_seconds = wall - self.begun[0], cpu - self.begun[1]

    def _save(self) -> None:
        self._take_time()
        parts = {**self.learner.state(), "average": self.average.state_dict()}
        if self.opposing:
            parts |= {f"{_OPPONENT}{name}": part for name, part in self.opposing.state().items()}
        tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        tensors[_RANDOM] = torch.get_rng_state()
        write_tensors(self.folder / CHECKPOINT, tensors, vars(self.at))
        self.saved = time.monotonic()

    def _write_metrics(self) -> None:
        if not self.at.rows:
            return
        with (
            replacing(self.folder / METRICS) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, fieldnames=list(self.at.rows[-1]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.at.rows)


def _clocks() -> tuple[float, float]:
    """Seconds on the wall, and of all threads of this process."""
    return time.monotonic(), time.process_time()


def _prefetched(batches: Sequence[np.ndarray], sample: Any, loaders: ThreadPoolExecutor) -> Iterator[list[Any]]:
    """The samples of each batch, made while the batch before it is trained on."""
    waiting: list[Future[Any]] = []
    for position in range(len(batches) + 1):
        following = (
            [loaders.submit(sample, int(index)) for index in batches[position]] if position < len(batches) else []
        )
        if position:
            yield [future.result() for future in waiting]
        waiting = following


def _running_average(decay: float) -> Any:
    """An exponential average that starts quickly, so that the first epochs are not dominated by the initial weights."""

    def update(averages: list[Tensor], values: list[Tensor], updates: Tensor | int) -> None:
        count = float(updates)
        kept = min(decay, (1 + count) / (10 + count))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - kept)
            else:
                average.copy_(value)

    return torch.no_grad()(update)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True)
    )
