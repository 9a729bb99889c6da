"""What every family of networks must do, built-in or of another package: here the three of ``tests/packages`` too."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mammoscope.bundle import BundledStep
from mammoscope.bundling.fits import MAKERS
from mammoscope.bundling.sources import Run, open_source
from mammoscope.bundling.steps import LARGEST_DIFFERENCE, trained_step
from mammoscope.candidates import Candidates
from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import RecipeError
from mammoscope.families.family import NOUNS
from mammoscope.families.find import AnyFamily, all_families, load_recipe
from mammoscope.families.recipe import Recipe
from mammoscope.families.samples import (
    ClassifierBatch,
    DetectorBatch,
    GeneratorBatch,
    JointBatch,
    RescorerBatch,
    SegmenterBatch,
)
from mammoscope.geometry import Frame, FrameChange
from mammoscope.stages.preprocess import Preprocessed
from mammoscope.stages.step import PreparedExam, PreparedView
from mammoscope.training.roles.role import RoleTask
from mammoscope.training.run import AnyRole, role_of, run_phases, train
from small_recipes import as_toml, small_table
from synthetic_dataset import write_dataset

pytestmark = pytest.mark.training

CPU = torch.device("cpu")
PRECISE = torch.autocast("cpu", enabled=False)
FOLDS = 5  # as the bundle's, whose detector proposes regions to rescorers
BATCHES = 4  # of the first phase: two epochs of two


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(write_dataset(tmp_path_factory.mktemp("data") / "set", patients=10))


@dataclass(frozen=True, eq=False)
class Trained:
    """A small training that went through, and what it learned from."""

    family: AnyFamily
    recipe: Recipe
    role: AnyRole
    training: list[Any]
    validation: list[Any]
    out: Path


@pytest.fixture(scope="module", params=list(all_families()), ids=lambda family: f"{family.role}-{family.name}")
def trained(request: pytest.FixtureRequest, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    family, folder = request.param, tmp_path_factory.mktemp("family")
    path = folder / "recipe.toml"
    path.write_text(as_toml(small_table(family, epochs=2, folds=FOLDS)))
    noun = NOUNS[family.role]
    train(noun, dataset.folder, str(path), folder / "run")
    recipe = load_recipe(family.role, str(path))
    role = role_of(noun)(family, recipe, None)
    parts = split_patients(dataset, folds=FOLDS)
    training, validation = (role.load(part, name) for part, name in zip(parts, ("training", "validation"), strict=True))
    return Trained(family, recipe, role, training, validation, folder / "run")


def fitted(trained: Trained) -> dict[str, Any]:
    facts = json.loads((trained.out / "run.json").read_text())
    return dict(facts.get("fitted", {}))


def test_a_family_says_what_it_is(trained: Trained) -> None:
    source = trained.family.source
    assert source.paper and source.licence and source.differs
    assert trained.recipe.family == trained.family.name


def test_its_loss_falls_on_samples_that_it_sees_again(trained: Trained) -> None:
    torch.manual_seed(0)
    phase = next(iter(trained.family.phases(trained.recipe, fitted(trained), None)))
    task = trained.role.task(phase.network, trained.training, trained.validation)
    samples = [task.sample(index, np.random.default_rng(index)) for index in range(4)]
    optimizer = torch.optim.AdamW(phase.network.parameters(), 2e-3)
    losses = []
    for _ in range(8):
        loss = torch.stack(list(task.loss(samples, CPU, PRECISE).values())).sum()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


class StoppedTask:
    """A task that is stopped without warning, as by a key or a signal, after some batches."""

    def __init__(self, task: RoleTask[Any, Any, Any], left: list[int]) -> None:
        self.task, self.left = task, left

    def __len__(self) -> int:
        return len(self.task)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, samples: Sequence[Any], device: torch.device, autocast: torch.autocast) -> dict[str, Tensor]:
        self._count()
        return self.task.loss(samples, device, autocast)

    def turns(self, opponent: nn.Module, samples: Sequence[Any], *where: Any) -> Iterator[dict[str, Tensor]]:
        self._count()
        return self.task.turns(opponent, samples, *where)

    def _count(self) -> None:
        if not self.left[0]:
            raise KeyboardInterrupt
        self.left[0] -= 1


def stopped_after(batches: int, role: AnyRole) -> AnyRole:
    """The role, whose tasks are stopped after so many batches together."""
    left = [batches]

    class Stopped(type(role)):  # type: ignore[misc]
        def task(self, *arguments: Any) -> Any:
            return StoppedTask(super().task(*arguments), left)

    stopped = copy.copy(role)
    stopped.__class__ = Stopped
    return stopped


def test_a_training_that_was_stopped_ends_as_one_that_was_not(trained: Trained, tmp_path: Path) -> None:
    shutil.copyfile(trained.out / "run.json", tmp_path / "run.json")
    # Within an epoch; between two phases, where a family has several; and not again.
    for batches in (1, BATCHES - 1, 1000):
        torch.manual_seed(trained.recipe.loop.seed)
        role = stopped_after(batches, trained.role)
        try:
            run_phases(role, None, trained.training, trained.validation, tmp_path)
        except KeyboardInterrupt:
            assert batches < 1000
    found = sorted(path.relative_to(trained.out) for path in trained.out.rglob("*.safetensors"))
    assert Path(trained.family.last_phase, "best.safetensors") in found
    for name in found:
        straight, resumed = load_file(trained.out / name), load_file(tmp_path / name)
        assert straight.keys() == resumed.keys()
        for key, values in straight.items():
            assert torch.equal(values, resumed[key]), f"{name}: {key} differs after the resume"


def lesion_free(trained: Trained) -> Any:
    """A batch of a role in which there is nothing to find."""
    size = getattr(trained.recipe, "input_size")  # noqa: B009 (of every role's recipe)
    pictures, black = torch.rand(2, 1, size, size), torch.zeros(2, 1, size, size)
    views, none = trained.training[0], [torch.zeros(0)] * 2
    return {
        "detect": lambda: DetectorBatch(pictures, [torch.zeros(0, 4)] * 2),
        "joint": lambda: JointBatch(
            pictures, [torch.zeros(0, 4)] * 2, none, [of_one.bool() for of_one in none], black, torch.zeros(2)
        ),
        "rescore": lambda: RescorerBatch(pictures, torch.zeros(2)),
        "segment": lambda: SegmenterBatch(pictures, black),
        "classify": lambda: ClassifierBatch(pictures, black, (views.lesion, views.lesion), torch.zeros(2)),
        "generate": lambda: GeneratorBatch(pictures, black, black, torch.zeros(2, len(fitted(trained)["words"]))),
    }[trained.family.role]()


def test_it_learns_from_images_without_a_lesion(trained: Trained) -> None:
    torch.manual_seed(0)
    phase = next(iter(trained.family.phases(trained.recipe, fitted(trained), None)))
    losses = trained.family.loss(phase.network, lesion_free(trained), trained.recipe, PRECISE)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert total.isfinite()
    gradients = [parameter.grad for parameter in phase.network.parameters() if parameter.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def blank_exam() -> PreparedExam:
    """A breast of one grey."""
    pixels, inside = np.full((160, 120), 90, dtype=np.uint8), np.ones((160, 120), dtype=bool)
    breast = Preprocessed(pixels, inside, FrameChange(Frame.ORIGINAL, Frame.PREPROCESSED), 1.0)
    return PreparedExam((PreparedView(breast),))


def test_a_bundle_runs_what_was_trained(trained: Trained, dataset: Dataset, tmp_path: Path) -> None:
    if trained.family.role not in MAKERS:  # it does something else than a step of a bundle
        with pytest.raises(RecipeError, match=f"{trained.family.name} is a .*, which is no step of a bundle"):
            open_source(trained.family.role, trained.out)
        return
    run, maker = open_source(trained.family.role, trained.out), MAKERS[trained.family.role]
    assert isinstance(run, Run)
    training, validation = split_patients(dataset, folds=FOLDS)
    manifest = trained_step(
        run, maker, tmp_path, dataset=dataset, training=training, validation=validation, rescored=False
    )
    assert manifest.provenance
    assert manifest.provenance.family == trained.family.name
    assert manifest.provenance.onnx_difference < LARGEST_DIFFERENCE
    step = BundledStep(tmp_path, manifest).step
    after = step(blank_exam(), Candidates.none())
    assert after.problem([True]) is None
    if trained.family.role not in {"detect", "joint"}:
        assert len(after) == 0
    given = Candidates.on_view(np.array([[30.0, 40, 60, 80]]), np.array([0.5]))
    if trained.family.role in {"rescore", "segment"}:
        assert step(blank_exam(), given).problem([True]) is None
