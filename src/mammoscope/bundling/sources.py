"""What a bundle is built from: trainings with validated weights, steps of an earlier bundle, or other steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast, get_args

from pydantic import ValidationError

from mammoscope.bundle import MANIFEST, load_bundle
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import BundleError, RecipeError
from mammoscope.families.family import NOUNS, Exported, RoleName
from mammoscope.families.find import find_family, recipe_of
from mammoscope.families.recipe import Recipe, SplitSettings
from mammoscope.stages.manifests import Role, StepManifest
from mammoscope.stages.preprocess import PreprocessSettings
from mammoscope.training.checkpoint import load_weights
from mammoscope.training.loop import BEST
from mammoscope.training.run import fitted_of, read_run

_EXTRA_ROLES = tuple(role for role in get_args(Role) if role != "select")


@dataclass(frozen=True, eq=False)
class Run:
    """A training: its folder, the content of ``run.json``, its recipe, and its network with the best weights."""

    folder: Path
    facts: dict[str, Any]
    recipe: Recipe
    exported: Exported
    header: dict[str, Any]

    @property
    def split(self) -> SplitSettings:
        """How its patients were divided."""
        return SplitSettings(**{key: self.facts["split"][key] for key in SplitSettings.model_fields})

    @property
    def data_sha256(self) -> str:
        """Of the dataset that it was trained on."""
        return cast(str, self.facts["dataset"]["sha256"])

    @property
    def preprocess(self) -> PreprocessSettings:
        """How it finds the breast."""
        return self.recipe.preprocess


@dataclass(frozen=True, eq=False)
class Bundled:
    """A step of an earlier bundle, to be taken unchanged.

    Attributes
    ----------
    malignancy_threshold
        The bundle's.
    split, data_sha256
        Of its training; None if its manifest states none.
    """

    folder: Path
    manifest: StepManifest
    malignancy_threshold: float
    preprocess: PreprocessSettings
    split: SplitSettings | None
    data_sha256: str | None


@dataclass(frozen=True)
class ExtraStep:
    """A step of another package, found by its implementation's name.

    Attributes
    ----------
    name
        In the bundle.
    implementation
        An entry point of the group ``mammoscope.steps``.
    role
        What it does; ``"other"`` if it is not measured on its own.
    settings
        Its own.
    files
        Files that it needs, by their labels; copied into the bundle.
    """

    name: str
    implementation: str
    role: Role = "other"
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Self:
        """From ``NAME:IMPLEMENTATION`` or ``NAME:IMPLEMENTATION:ROLE``.

        Raises
        ------
        RecipeError
            It is neither.
        """
        parts = text.split(":")
        role = parts[2] if len(parts) == 3 else "other"
        if len(parts) not in (2, 3) or not all(parts) or role not in _EXTRA_ROLES:
            roles = ", ".join(_EXTRA_ROLES)
            raise RecipeError(f"step is {text!r}, expected NAME:IMPLEMENTATION or NAME:IMPLEMENTATION:ROLE ({roles})")
        return cls(parts[0], parts[1], cast(Role, role))


Source = Run | Bundled


def open_source(role: RoleName, folder: Path) -> Source:
    """A finished training of a role, or a bundle's step of that role.

    Raises
    ------
    BundleError
        The folder is a damaged bundle.
    RecipeError
        It is a bundle without such a step, or a run of another role or without validated weights.
    """
    return _bundled(role, folder) if (folder / MANIFEST).is_file() else _run(role, folder)


def _bundled(role: RoleName, folder: Path) -> Bundled:
    bundle = load_bundle(folder)
    step = bundle.manifest.first(role)
    if step is None:
        raise RecipeError(f"{folder}: this bundle has no {NOUNS[role]}")
    origin = step.provenance
    try:
        split = SplitSettings.model_validate(origin.recipe.get("split", {})) if origin else None
    except ValidationError as error:
        raise BundleError(f"{folder / MANIFEST}: {role}: recipe.split: {error.errors()[0]['msg']}") from None
    return Bundled(
        folder,
        step,
        bundle.manifest.thresholds.malignancy,
        bundle.manifest.preprocess,
        split,
        origin.data_sha256 if origin else None,
    )


def _run(role: RoleName, folder: Path) -> Run:
    facts = read_run(folder)
    if facts["task"] != NOUNS[role]:
        raise RecipeError(f"{folder}: holds a training of {facts['task']!r}, expected {NOUNS[role]!r}")
    recipe, fitted = recipe_of(role, facts["recipe"], str(folder)), fitted_of(facts)
    family = find_family(role, recipe.family)
    weights = folder / family.last_phase / BEST
    if not weights.is_file():
        raise RecipeError(f"{folder}: the training has no validated weights yet, {weights.name} is missing")
    network = family.network(recipe, fitted, None)
    header = load_weights(network, weights)
    return Run(folder, facts, recipe, family.export(network, recipe, fitted), header)


def common_split(sources: Sequence[Source], dataset: Dataset) -> SplitSettings:
    """How all sources that were trained divided the patients of the dataset.

    Raises
    ------
    RecipeError
        Their splits differ, they were trained on another dataset, or find the breast by other settings.
    """
    trained = [source for source in sources if source.split is not None]
    for source in trained:
        if source.split != trained[0].split:
            raise RecipeError(
                f"{source.folder}: its patients were divided by {source.split}, those of {trained[0].folder} by "
                f"{trained[0].split}"
            )
        if source.data_sha256 != dataset.sha256:
            raise RecipeError(f"{source.folder}: was trained on another dataset than {dataset.folder}")
    for source in sources:
        if source.preprocess != sources[0].preprocess:
            raise RecipeError(f"{source.folder}: finds the breast by other settings than {sources[0].folder}")
    return (trained[0].split if trained else None) or SplitSettings()
