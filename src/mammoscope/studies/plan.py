"""What a study has to do: one item for each entry, fold and seed, with what must stay the same for it to resume."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from mammoscope.bundle import Bundle, load_bundle
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.compare.cases import STAGES, case_sets
from mammoscope.evaluation.run import Stage
from mammoscope.families.changes import changed, nested
from mammoscope.families.family import RoleName
from mammoscope.families.find import load_recipe, recipe_of
from mammoscope.stages.step import implementation_named
from mammoscope.studies.study import DEFAULT, Entry, Split, Study, StudyError

_SPLIT = re.compile(r"by patient, fold (\d+) of (\d+) validates, seed (-?\d+)")
_OWN = {"split": "folds and of_folds", "loop.seed": "seeds"}  # settings of recipes that the study decides


@dataclass(frozen=True)
class Place:
    """Where a study and what it needs lie.

    Attributes
    ----------
    file
        The study.
    out
        Folder of its results.
    dataset
        Folder in the dataset layout.
    weights
        Folder in which entries' ``init`` is looked for first; None: only beside the study.
    """

    file: Path
    out: Path
    dataset: Path
    weights: Path | None = None

    @property
    def name(self) -> str:
        """The study's, as its file is called."""
        return self.file.stem

    def beside(self, name: str) -> Path:
        """A path that the study names."""
        return self.file.parent / name

    def bundle(self, name: str) -> Bundle:
        """A bundle that the study names; a file is the manifest of another version of the built-in one."""
        if name == DEFAULT:
            return load_bundle()
        path = self.beside(name)
        return load_bundle(manifest=path) if path.is_file() else load_bundle(path)


@dataclass(frozen=True, eq=False)
class Item:
    """One entry on one fold with one seed.

    Attributes
    ----------
    entry
        Which.
    fold, seed
        The validation fold; and the seed of the training, or the study's first if nothing is trained.
    folder
        Of its results.
    recipe
        The settings of its training; None if nothing is trained.
    generator
        The settings of the training of its generator; None if it has none.
    identity
        What must be the same for its results to count.
    """

    entry: Entry
    fold: int
    seed: int
    folder: Path
    recipe: Mapping[str, Any] | None
    generator: Mapping[str, Any] | None
    identity: Mapping[str, Any]

    @property
    def label(self) -> str:
        """For progress and errors."""
        return f"{self.entry.name}, fold {self.fold}" + (f", seed {self.seed}" if self.recipe else "")

    @property
    def run(self) -> Path:
        """Folder of its training."""
        return self.folder / "run"

    @property
    def generator_run(self) -> Path:
        """Folder of its generator's training."""
        return self.folder / "generator"


def plan(study: Study, place: Place, datasets: Mapping[Split, Dataset]) -> list[Item]:
    """Every item of a study, in the order of folds, seeds and entries, so that all entries have one fold early.

    Parameters
    ----------
    datasets
        The dataset of each way to split.

    Raises
    ------
    StudyError
        A recipe, bundle, step or setting of an entry cannot be used; names the study, the entry and the setting.
    """
    _check_figures(study, place)
    base = place.bundle(study.base)
    items: list[Item] = []
    for entry in study.entries:
        try:
            items += _of_entry(study, place, entry, base, datasets[entry.split])
        except MammoscopeError as error:
            raise StudyError(f"{place.file}: entry {entry.name!r}: {error}") from None
    order = {entry.name: number for number, entry in enumerate(study.entries)}
    seeds, folds = list(study.seeds), list(study.folds)
    return sorted(items, key=lambda item: (folds.index(item.fold), seeds.index(item.seed), order[item.entry.name]))


def _check_figures(study: Study, place: Place) -> None:
    if study.stage not in get_args(Stage):
        evaluated = ", ".join(name for name in STAGES if name in get_args(Stage))
        raise StudyError(f"{place.file}: stage: {study.stage!r} cannot be evaluated; known: {evaluated}")
    known = {name for cases in case_sets(study.stage, []) for name in cases.statistic(np.ones((1, 0)))}
    for name in study.tabled:
        if name not in known:
            raise StudyError(f"{place.file}: figures: {name!r} is not known; known are: {', '.join(sorted(known))}")


def _of_entry(study: Study, place: Place, entry: Entry, base: Bundle, dataset: Dataset) -> list[Item]:
    folds, seeds = study.folds, study.seeds if entry.recipe else study.seeds[:1]
    kind: dict[str, Any] = {}
    recipe: dict[str, Any] | None = None
    generator: dict[str, Any] | None = None
    if entry.recipe is not None:
        recipe = _recipe(study, place, entry)
        if entry.generator is not None:
            generator = _divided(study, "generate", _read(place, "generate", entry.generator))
        kind = {"init": entry.init}
        if study.role_of(entry) != "joint":
            kind["base"] = base.sha256
    elif entry.step is not None:
        if implementation_named(entry.step) is None:
            raise StudyError(f"step is {entry.step!r}: no implementation has that name")
        kind = {"step": entry.step, "base": base.sha256}
    else:
        bundle = place.bundle(entry.bundle or DEFAULT)
        kind = {"bundle": bundle.sha256}
        folds = unseen_folds(bundle, study)
    items = []
    for fold in folds:
        for seed in seeds:
            of_item = {"split": {"fold": fold}, "loop": {"seed": seed}}
            own, painting = (table and changed(table, of_item) for table in (recipe, generator))
            identity = {
                "entry": entry.name,
                "stage": study.stage,
                **kind,
                **({"recipe": own} if own else {}),
                **({"generator": painting} if painting else {}),
                "dataset": {"name": dataset.name, "sha256": dataset.sha256},
                "split": {"how": entry.split, "fold": fold, "folds": study.of_folds, "seed": 0},
                "seed": seed,
            }
            folder = place.out / entry.name / f"fold-{fold}-seed-{seed}"
            items.append(Item(entry, fold, seed, folder, own, painting, identity))
    return items


def init_of(entry: Entry, place: Place) -> str | None:
    """Where an entry's training starts: a file or folder of ``weights`` or beside the study, or a word, ``timm``.

    ``"."`` is the folder of weights itself. None also where a file is not at hand: finished trainings need none, and
    others say that it is missing.
    """
    if entry.init is None:
        return None
    for folder in (place.weights, place.file.parent):
        if folder is not None and (folder / entry.init).exists():
            return str(folder / entry.init)
    return None if Path(entry.init).suffix else entry.init


def unseen_folds(bundle: Bundle, study: Study) -> tuple[int, ...]:
    """The folds of a study whose patients no step of a bundle was trained on: that which validated them.

    Raises
    ------
    StudyError
        There is none, or the manifest does not say it in the words of this program; says why.
    """
    folds = study.folds
    for step in bundle.manifest.steps:
        if step.provenance is None:
            continue
        found = _SPLIT.fullmatch(step.provenance.split)
        if found is None:
            raise StudyError(
                f"bundle: its step {step.name!r} was trained on the split {step.provenance.split!r}, which does not "
                "say which of the study's patients it has seen"
            )
        fold, of_folds, seed = map(int, found.groups())
        if of_folds != study.of_folds or seed != 0:
            raise StudyError(
                f"bundle: its step {step.name!r} was trained on all but fold {fold} of {of_folds}, seed {seed}; the "
                f"study's folds are {study.of_folds}, seed 0"
            )
        folds = tuple(each for each in folds if each == fold)
        if not folds:
            raise StudyError(
                f"bundle: its step {step.name!r} was trained on all patients but those of fold {fold}, and the study's "
                f"folds are {', '.join(map(str, study.folds))}: it would be measured on patients that it has seen"
            )
    return folds


def _recipe(study: Study, place: Place, entry: Entry) -> dict[str, Any]:
    """The settings of an entry's training, but for fold and seed."""
    role = study.role_of(entry)
    read = _read(place, role, entry.recipe or "")
    for key, instead in _OWN.items():
        part: Any = nested(entry.set)
        for word in key.split("."):
            part = part.get(word) if isinstance(part, dict) else None
        if part is not None:
            raise StudyError(f"set: {key} is the study's own: see its {instead}")
    table = changed(read, nested(entry.set))
    return _divided(study, role, table, "set" if entry.set else "recipe")


def _read(place: Place, role: RoleName, name: str) -> dict[str, Any]:
    """The settings of a built-in recipe, or of one beside the study."""
    return load_recipe(role, str(place.beside(name)) if name.endswith(".toml") else name).model_dump(mode="json")


def _divided(study: Study, role: RoleName, table: Mapping[str, Any], place: str = "recipe") -> dict[str, Any]:
    """The settings of a training, with patients divided as in the study."""
    own = {"split": {"fold": 0, "folds": study.of_folds, "seed": 0}}
    return recipe_of(role, changed(table, own), place).model_dump(mode="json")
