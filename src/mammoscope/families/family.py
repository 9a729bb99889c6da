"""A family of networks: one architecture, one file, with its recipe, its source and how it is trained and exported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from mammoscope.families import recipe as recipes

RoleName = Literal["detect", "rescore", "segment", "classify", "joint", "generate"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)
# The name of a network of each, in commands, runs and errors.
NOUNS: dict[RoleName, str] = {
    "detect": "detector",
    "rescore": "rescorer",
    "segment": "segmenter",
    "classify": "classifier",
    "joint": "joint network",
    "generate": "generator",
}

Fitted = Mapping[str, Any]
RecipeT = TypeVar("RecipeT", bound=recipes.Recipe)
SampleT = TypeVar("SampleT")
BatchT = TypeVar("BatchT")


@dataclass(frozen=True)
class Source:
    """Where an architecture comes from.

    Attributes
    ----------
    paper
        Authors, year and title of the paper.
    licence
        Of the code that it is built on.
    differs
        What differs from the paper.
    """

    paper: str
    licence: str
    differs: str


@dataclass(frozen=True, eq=False)
class Phase:
    """One part of a training.

    Attributes
    ----------
    name
        The folder within the run that keeps its weights; empty for the run's own.
    network
        What is trained; parameters that require no gradient stay unchanged.
    settings
        How long and how fast.
    opponent
        A second network that is trained in turn with the first, see ``Family.turns``; it is no part of the result.
    """

    name: str
    network: nn.Module
    settings: recipes.PhaseSettings
    opponent: nn.Module | None = None


@dataclass(frozen=True, eq=False)
class Exported:
    """The network that a bundle runs.

    Attributes
    ----------
    network
        In use, not in training.
    inputs
        Examples by name, in the order of the network's arguments.
    outputs
        Names of the outputs.
    dynamic_batch
        Whether the first axis of all inputs may have any length.
    kept_elements
        Weights of so many elements or fewer are kept in 32 bits; None takes the exporter's rule.
    implementation
        The step that runs it, a built-in one or an entry point of the group ``mammoscope.steps``; None takes the
        built-in one of the role.
    settings
        Of that step, beside those that all steps of the role have.
    """

    network: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    dynamic_batch: bool = True
    kept_elements: int | None = None
    implementation: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Family(ABC, Generic[RecipeT, SampleT, BatchT]):
    """One architecture. Derive from the class of its role in ``mammoscope.families.roles``, not from this one.

    A family is found by its name: the module ``mammoscope.families.<role>.<name>``, or an entry point of that name in
    the group ``mammoscope.families`` of another package. A recipe says ``family = "<name>"``.

    Attributes
    ----------
    role
        What its networks do.
    name
        As in recipes.
    Recipe
        Its settings: a class derived from the role's recipe.
    source
        Where it comes from.
    trial
        Settings of a network that trains in seconds, for the test of every family; those that all recipes share can be
        left out.
    last_phase
        Name of the last of its phases.
    """

    role: ClassVar[RoleName]
    name: ClassVar[str]
    Recipe: ClassVar[type[recipes.Recipe]]
    source: ClassVar[Source]
    trial: ClassVar[Mapping[str, Any]]
    last_phase: ClassVar[str] = ""

    def fitted(self, recipe: RecipeT, samples: Sequence[SampleT]) -> dict[str, Any]:
        """What must be fitted to the training samples before the network is made; saved as JSON.

        Nothing, unless a family says otherwise.
        """
        return {}

    @abstractmethod
    def network(self, recipe: RecipeT, fitted: Fitted, init: str | None) -> nn.Module:
        """The whole network.

        Parameters
        ----------
        recipe
            Its settings.
        fitted
            What ``fitted`` gave.
        init
            Where its backbone starts, see ``make_backbone``; None: random weights.

        Raises
        ------
        RecipeError
            A setting does not fit another, or a backbone does not fit; names the setting and the value.
        """

    @abstractmethod
    def loss(self, network: nn.Module, batch: BatchT, recipe: RecipeT, autocast: torch.autocast) -> dict[str, Tensor]:
        """The parts of the loss of a batch, whose sum is minimised; ``autocast`` is for the network."""

    def turns(
        self, network: nn.Module, opponent: nn.Module, batch: BatchT, recipe: RecipeT, autocast: torch.autocast
    ) -> Iterator[dict[str, Tensor]]:
        """The losses of a batch in a phase with an opponent, as ``loss``; for families that have such phases.

        First that of the opponent; then, once that has taken its step, that of the network. Their parts have different
        names. What the network gave can serve both, detached for the opponent.
        """
        raise NotImplementedError(f"{self.name} has no opponent")

    def phases(self, recipe: RecipeT, fitted: Fitted, init: str | None) -> Iterator[Phase]:
        """The parts of the training, in their order: one, unless a family says otherwise.

        When a phase is asked for, the network of the phase before has its best weights.
        """
        yield Phase("", self.network(recipe, fitted, init), recipe.loop)

    @abstractmethod
    def export(self, network: nn.Module, recipe: RecipeT, fitted: Fitted) -> Exported:
        """The network that the bundle runs, from the one with its final weights."""
