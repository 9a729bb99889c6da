"""Start or resume a training: check its inputs, record them, run the phases of its family."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import timm
import torch
import torchvision

from mammoscope.datasets.layout import Dataset, load_dataset
from mammoscope.datasets.splits import split_patients
from mammoscope.errors import DatasetError, RecipeError
from mammoscope.families.backbone import backbones_of, start_file
from mammoscope.families.changes import changed, nested
from mammoscope.families.family import NOUNS
from mammoscope.families.find import AnyFamily, find_family, load_recipe, recipe_of
from mammoscope.families.recipe import Recipe
from mammoscope.files import file_sha256, write_json
from mammoscope.kinds import SOUGHT
from mammoscope.processes.cores import usable_cores
from mammoscope.training.checkpoint import is_ours, load_weights
from mammoscope.training.code_version import code_version
from mammoscope.training.loop import BEST, Opponent, fit
from mammoscope.training.roles.classify import ClassifyRole
from mammoscope.training.roles.detect import DetectRole
from mammoscope.training.roles.generate import GenerateRole
from mammoscope.training.roles.joint import JointRole
from mammoscope.training.roles.rescore import RescoreRole
from mammoscope.training.roles.role import Role
from mammoscope.training.roles.segment import SegmentRole
from mammoscope.training.synthesis.painter import Painter

RUN = "run.json"
LOG = "train.log"

AnyRole = Role[Any, Any]
_ROLES: dict[str, type[AnyRole]] = {
    NOUNS[role.name]: role for role in (DetectRole, RescoreRole, SegmentRole, ClassifyRole, JointRole, GenerateRole)
}
_OTHER_NOUNS = {"reducer": "rescorer", "joint": NOUNS["joint"]}  # a former name, and that of the command
# What the family fitted, in runs of versions that kept each value under a separate name.
_FORMER_FITTED = ("anchors", "auxiliary_targets")


def train(
    noun: str,
    dataset_folder: Path,
    recipe_name: str,
    out: Path,
    init: str | None = None,
    *,
    proposing: Path | None = None,
    generator: Path | None = None,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Train a network, or resume a training that was stopped.

    Parameters
    ----------
    noun
        What is trained: ``"detector"``, ``"rescorer"``, ``"segmenter"``, ``"classifier"``, ``"joint"`` or
        ``"generator"``.
    dataset_folder
        A folder in the dataset layout; its patients are divided into training and validation by the recipe's split.
        Detectors that tell kinds apart learn from lesions of all kinds, all other networks from masses alone.
    recipe_name
        A TOML file or the name of a built-in recipe.
    out
        The run's folder: ``run.json`` (what it is), ``train.log``, ``metrics.csv``, ``tensorboard/``,
        ``checkpoint.safetensors``, ``best.safetensors``; a family of several phases keeps a folder for each.
    init
        Where to start. For a backbone: a safetensors file with a timm state dict, a folder of such files named after
        their architectures, or ``"timm"`` for timm's own weights.
        For a whole network: ``best.safetensors`` of an earlier run. None: random weights.
    proposing
        For the rescorer: the bundle whose detector proposes regions; None takes the built-in one.
    generator
        For a segmenter whose recipe has a ``synthetic_share``: the run of a generator, which paints that share of the
        training samples. It must have learned from training patients alone.
    changes
        Settings of the recipe that are changed, with dotted keys.

    Raises
    ------
    DatasetError, RecipeError
        Before the first step: what is wrong with the dataset, the recipe or the folder.
    """
    recipe = recipe_named(noun, recipe_name, changes or {})
    train_recipe(noun, dataset_folder, recipe, out, init, proposing=proposing, generator=generator)


def recipe_named(noun: str, name: str, changes: Mapping[str, Any]) -> Recipe:
    """A recipe, ``changes`` made: settings with dotted keys.

    Raises
    ------
    RecipeError
        It cannot be read, or a setting does not fit it.
    """
    role = role_of(noun).name
    recipe = load_recipe(role, name)
    return recipe_of(role, changed(recipe.model_dump(mode="json"), nested(changes)), "set") if changes else recipe


def train_recipe(
    noun: str,
    dataset_folder: Path,
    recipe: Recipe,
    out: Path,
    init: str | None = None,
    *,
    proposing: Path | None = None,
    generator: Path | None = None,
) -> None:
    """As ``train``, by a recipe that is read already."""
    role_type = role_of(noun)
    family = find_family(role_type.name, recipe.family)
    dataset = load_dataset(dataset_folder)
    if recipe.split.fold >= recipe.split.folds:
        raise RecipeError(f"split.fold is {recipe.split.fold}, it must be below split.folds, {recipe.split.folds}")
    if len(dataset.patients) < recipe.split.folds:
        raise DatasetError(
            f"{dataset.folder}: has {len(dataset.patients)} patients, too few for {recipe.split.folds} folds by patient"
        )
    sought = kinds_learned(family, dataset)
    training, validation = (part.of_kinds(sought) for part in split_patients(dataset, **recipe.split.model_dump()))
    painter = Painter.opened(generator, read_run(generator)) if generator else None
    role = role_type(family, recipe, proposing, painter)
    role.check(training, validation)
    _open_run(out, role, _identity(dataset, role, init, training, validation))
    torch.set_num_threads(usable_cores())
    torch.manual_seed(recipe.loop.seed)
    with _log_to(out / LOG):
        samples, held_out = role.load(training, "training"), role.load(validation, "validation")
        run_phases(role, init, samples, held_out, out)


def kinds_learned(family: AnyFamily, dataset: Dataset) -> set[str]:
    """The kinds of lesions that a network learns from: all that the dataset has, if it can tell them apart."""
    if getattr(family, "tells_kinds", False) and dataset.lesions:
        return {lesion.kind for lesion in dataset.lesions}
    return {kind.name for kind in SOUGHT}


def role_of(noun: str) -> type[AnyRole]:
    """The role whose networks have this name.

    Raises
    ------
    RecipeError
        No network of that name can be trained.
    """
    noun = _OTHER_NOUNS.get(noun, noun)
    if noun not in _ROLES:
        known = ", ".join(_ROLES)
        raise RecipeError(f"no family of {noun!r} networks can be trained; those that can: {known}")
    return _ROLES[noun]


def run_phases(role: AnyRole, init: str | None, samples: Sequence[Any], held_out: Sequence[Any], out: Path) -> None:
    """Train the phases of the role's family, each in a folder of its own; finished ones are not run again.

    Parameters
    ----------
    samples, held_out
        What the role loaded of the training and of the validation patients.
    out
        The run's folder; what the family fits is added to its ``run.json``.
    """
    family, recipe = role.family, role.recipe
    earlier = _earlier_weights(init, role)
    if fitted := family.fitted(recipe, samples):
        add_to_run(out, fitted=fitted)
    for phase in family.phases(recipe, fitted, None if earlier else init):
        if earlier:
            load_weights(phase.network, earlier)
            earlier = None
        loop = recipe.loop.model_copy(update=phase.settings.model_dump())
        task = role.task(phase.network, samples, held_out)
        opponent = Opponent(phase.opponent, partial(task.turns, phase.opponent)) if phase.opponent else None
        fit(task, loop, out / phase.name, f"{role.noun} {phase.name}".strip(), opponent)
        load_weights(phase.network, out / phase.name / BEST)


def _earlier_weights(init: str | None, role: AnyRole) -> Path | None:
    """The file to start from where that is ``best.safetensors`` of an earlier run, which holds a whole network."""
    if not init:
        return None
    path = Path(init)
    if backbones_of(role.recipe):
        return path if is_ours(path) else None
    # Without a backbone there is nothing else to start from: load_weights says what is wrong with another file.
    if not path.is_file():
        raise RecipeError(
            f"init is {init!r}: no such file; a {role.noun} without a backbone starts from the weights of an earlier "
            "run"
        )
    return path


def fitted_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the family fitted to the training samples, as in ``run.json``."""
    former = {name: facts[name] for name in _FORMER_FITTED if name in facts}
    return cast("dict[str, Any]", facts.get("fitted", former))


def read_run(out: Path) -> dict[str, Any]:
    """The content of ``run.json``; the task by its current name.

    Raises
    ------
    RecipeError
        The folder is not a run.
    """
    path = out / RUN
    try:
        facts = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        return {**facts, "task": _OTHER_NOUNS.get(facts["task"], facts["task"])}
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise RecipeError(f"{path}: cannot be read ({error})") from None


def add_to_run(out: Path, **facts: Any) -> None:
    """Add facts that training found out to ``run.json``."""
    write_json(out / RUN, {**read_run(out), **facts})


def _identity(
    dataset: Dataset, role: AnyRole, init: str | None, training: Dataset, validation: Dataset
) -> dict[str, Any]:
    """What must be the same for a training to be resumed."""
    return {
        "task": role.noun,
        "recipe": role.recipe.model_dump(mode="json"),
        "init": _start(init, role) if init else None,
        **role.identity,
        "dataset": {"name": dataset.name, "sha256": dataset.sha256},
        "split": {
            **role.recipe.split.model_dump(),
            "training_patients": list(training.patients),
            "validation_patients": list(validation.patients),
        },
    }


def _start(init: str, role: AnyRole) -> dict[str, Any]:
    """Where a training starts, by its content."""
    path = Path(init)
    if path.is_dir():
        files = [start_file(init, name) for name in backbones_of(role.recipe)]
        return {"name": path.name, "sha256": {file.name: file_sha256(file) for file in files if file.is_file()}}
    return {"name": path.name, "sha256": file_sha256(path)} if path.is_file() else {"name": init}


def _open_run(out: Path, role: AnyRole, identity: dict[str, Any]) -> None:
    """Make the run's folder, or check that it holds this training."""
    if (out / RUN).exists():
        earlier = read_run(out)
        if earlier["task"] == role.noun:
            # Read with current settings: a run can be resumed after a setting was added whose default changes nothing.
            earlier["recipe"] = recipe_of(role.name, earlier["recipe"], str(out / RUN)).model_dump(mode="json")
        for key, value in json.loads(json.dumps(identity)).items():
            if earlier.get(key) != value:
                raise RecipeError(
                    f"{out}: holds a training with another {key}; resume it with the same one, or name a new folder"
                )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecipeError(f"{out}: is neither empty nor a run")
    out.mkdir(parents=True, exist_ok=True)
    versions = {
        "mammoscope": code_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
    }
    write_json(out / RUN, {**identity, "versions": versions})


class _log_to:  # noqa: N801 (used as a function)
    """Send the training's log to a file during a block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._logger = logging.getLogger("mammoscope.training")
        self._handler = logging.FileHandler(self._path, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._logger.addHandler(self._handler)
        self._logger.setLevel(logging.INFO)

    def __exit__(self, *exception: object) -> None:
        self._logger.removeHandler(self._handler)
        self._handler.close()
