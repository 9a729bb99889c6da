"""Shared by all roles: turn a trained network into a step, and fit it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mammoscope.bundle import Bundle
from mammoscope.datasets.layout import Dataset
from mammoscope.families.family import NOUNS, RoleName
from mammoscope.families.recipe import Recipe
from mammoscope.stages.manifests import BundleManifest, Metrics, StepFile, StepManifest
from mammoscope.training.network_input import as_input

RecipeT = TypeVar("RecipeT", bound=Recipe)


class StepMaker(ABC, Generic[RecipeT]):
    """How a trained network of a role becomes a step of a bundle.

    Attributes
    ----------
    role
        Of the network and of the step.
    implementation
        The built-in step that runs it.
    """

    role: ClassVar[RoleName]
    implementation: ClassVar[str]

    @property
    def file(self) -> str:
        """Name of the ONNX file."""
        return f"{NOUNS[self.role].replace(' ', '-')}.onnx"

    @abstractmethod
    def settings(self, recipe: RecipeT, *, rescored: bool) -> dict[str, Any]:
        """Settings of the step besides those of ``input_settings``, before any is fitted.

        ``rescored`` says whether a rescorer follows.
        """

    def kept(self, recipe: RecipeT, *, rescored: bool) -> dict[str, Any]:
        """The settings that depend on the chain, and so are set anew for a step of an earlier bundle."""
        return {}

    @abstractmethod
    def examples(self, recipe: RecipeT, validation: Dataset) -> list[dict[str, Tensor]]:
        """Real inputs on which the network and its file are compared.

        Raises
        ------
        RecipeError
            The validation patients have none.
        """

    def comparable(self, outputs: Sequence[NDArray[np.float32]], recipe: RecipeT) -> list[NDArray[np.float32]]:
        """Outputs scaled so that one tolerance suits all: probabilities, unless a role says otherwise."""
        return [torch.from_numpy(values).sigmoid().numpy() for values in outputs]

    def more_files(self, training: Dataset, folder: Path) -> dict[str, StepFile]:
        """Files beside the network that the step needs, written into the bundle's folder."""
        return {}

    def metrics(self, header: Mapping[str, Any]) -> Metrics:
        """Figures of the training that the bundle's evaluation does not measure."""
        return {}

    @abstractmethod
    def fitted(self, step: StepManifest, manifest: BundleManifest, folder: Path, validation: Dataset) -> dict[str, Any]:
        """The settings of the step that are fitted on validation patients; those before it are fitted already."""


def input_settings(recipe: Recipe, size: int) -> dict[str, Any]:
    """How a step scales images to the input of its network."""
    return {
        "input_height": size,
        "input_width": size,
        "mean": recipe.mean,
        "std": recipe.std,
        "contrast": recipe.contrast.model_dump(mode="json"),
    }


def as_inputs(pictures: NDArray[np.uint8], size: int, recipe: Recipe) -> Tensor:
    """Images ``(N, S, S)`` as network input, on the CPU."""
    return as_input(at_size(pictures, size), recipe, torch.device("cpu"))


def at_size(pictures: NDArray[np.uint8], size: int) -> list[NDArray[np.uint8]]:
    """Images ``(N, S, S)``, each resized to ``(size, size)``."""
    return [np.asarray(cv2.resize(picture, (size, size)), dtype=np.uint8) for picture in pictures]


def before(manifest: BundleManifest, name: str, folder: Path) -> Bundle:
    """The bundle up to the step of a name, without that step."""
    steps = manifest.steps[: [step.name for step in manifest.steps].index(name)]
    return _of_steps(manifest, steps, folder)


def alone(manifest: BundleManifest, name: str, folder: Path) -> Bundle:
    """The bundle with the step of a name and no other."""
    return _of_steps(manifest, tuple(step for step in manifest.steps if step.name == name), folder)


def _of_steps(manifest: BundleManifest, steps: tuple[StepManifest, ...], folder: Path) -> Bundle:
    if all(step.role != "select" for step in steps):
        steps = (*steps, *(step for step in manifest.steps if step.role == "select"))
    # Not validated: a chain that finds nothing is not a valid bundle, but its grading steps run.
    return Bundle(folder, manifest.model_copy(update={"steps": steps}), "")
