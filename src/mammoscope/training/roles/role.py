"""The interface of a role for training: its samples, and the task that the loop runs over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mammoscope.datasets.layout import Dataset
from mammoscope.errors import DatasetError, RecipeError
from mammoscope.families.family import NOUNS, Family, RoleName
from mammoscope.families.recipe import Recipe
from mammoscope.training.synthesis.painter import Painter

RecipeT = TypeVar("RecipeT", bound=Recipe)
SampleT = TypeVar("SampleT")
BatchT = TypeVar("BatchT")


class RoleTask(ABC, Generic[RecipeT, SampleT, BatchT]):
    """What the training loop needs, by the losses of a family; ``SampleT`` is one augmented sample.

    Attributes
    ----------
    family, recipe, model
        What is trained.
    """

    def __init__(self, family: Family[RecipeT, Any, BatchT], recipe: RecipeT, model: nn.Module) -> None:
        self.family, self.recipe, self.model = family, recipe, model

    @property
    @abstractmethod
    def criterion(self) -> str:
        """See ``mammoscope.training.loop.Task``."""

    @abstractmethod
    def __len__(self) -> int:
        """See ``Task``."""

    @abstractmethod
    def sample(self, index: int, rng: np.random.Generator) -> SampleT:
        """See ``Task``."""

    @abstractmethod
    def validate(self, model: nn.Module, device: torch.device, autocast: torch.autocast) -> dict[str, float]:
        """See ``Task``."""

    @abstractmethod
    def batch(self, samples: Sequence[SampleT], device: torch.device) -> BatchT:
        """What the family learns from."""

    def loss(self, samples: Sequence[SampleT], device: torch.device, autocast: torch.autocast) -> dict[str, Tensor]:
        """See the family."""
        return self.family.loss(self.model, self.batch(samples, device), self.recipe, autocast)

    def turns(
        self, opponent: nn.Module, samples: Sequence[SampleT], device: torch.device, autocast: torch.autocast
    ) -> Iterator[dict[str, Tensor]]:
        """See the family."""
        return self.family.turns(self.model, opponent, self.batch(samples, device), self.recipe, autocast)


class Role(ABC, Generic[RecipeT, SampleT]):
    """What all networks of one role share in training; made for one training.

    Parameters
    ----------
    family, recipe
        What is trained.
    proposing
        A bundle whose detector proposes regions, for roles that are trained on such regions.
    painter
        A generator that paints samples, for roles that are trained on such samples.

    Attributes
    ----------
    name
        Of the role.
    Raises
    ------
    RecipeError
        A bundle or a generator is given that the role does not use, or that does not fit the recipe.
    """

    name: ClassVar[RoleName]

    def __init__(
        self,
        family: Family[RecipeT, SampleT, Any],
        recipe: RecipeT,
        proposing: Path | None,
        painter: Painter | None = None,
    ) -> None:
        if proposing:
            raise RecipeError(
                f"a bundle whose detector proposes regions is for the rescorer only, not for the {self.noun}"
            )
        if painter:
            raise RecipeError(
                f"a generator is for the segmenter only, not for the {self.noun}: of a painted mass nothing is known "
                "but its outline, shape and margin"
            )
        self.family, self.recipe = family, recipe

    @property
    def noun(self) -> str:
        """What a network of the role is called: the name of the command, and of the task in ``run.json``."""
        return NOUNS[self.name]

    @property
    def identity(self) -> dict[str, Any]:
        """What else must be the same for a training to be resumed."""
        return {}

    def check(self, training: Dataset, validation: Dataset) -> None:
        """Check that the role can be trained on a dataset, before it is read.

        Raises
        ------
        DatasetError
            It cannot; says why.
        """

    @abstractmethod
    def load(self, part: Dataset, name: str) -> list[SampleT]:
        """Read the samples of the ``"training"`` or the ``"validation"`` patients.

        Raises
        ------
        DatasetError
            There is none.
        """

    @abstractmethod
    def task(
        self, network: nn.Module, training: Sequence[SampleT], validation: Sequence[SampleT]
    ) -> RoleTask[RecipeT, Any, Any]:
        """What the loop runs to train a network."""


def check_both_classes(training: Dataset, validation: Dataset) -> None:
    """See that both parts have malignant and benign lesions, among those whose pathology is known.

    Raises
    ------
    DatasetError
        One has not; names it.
    """
    for part, name in ((training, "training"), (validation, "validation")):
        if len({lesion.malignant for lesion in part.graded_lesions}) < 2:
            raise DatasetError(f"{training.folder}: the lesions of the {name} patients are all of one class")
