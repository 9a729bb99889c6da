"""What a study has on disk: which items are measured, which are under way, and what they have cost so far."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from mammoscope.errors import MammoscopeError
from mammoscope.families.family import Family, RoleName
from mammoscope.families.find import find_family, recipe_of
from mammoscope.files import write_json
from mammoscope.studies.plan import Item
from mammoscope.studies.study import StudyError
from mammoscope.training.loop import METRICS
from mammoscope.training.run import RUN, fitted_of, read_run

IDENTITY = "identity.json"
REPORT = "report.json"
CASES = "cases.csv"
COSTS = "costs.json"
SESSIONS = "sessions.json"
BUNDLE = "bundle"


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes
    ----------
    epochs, of_epochs
        Done, and of how many; None: not known before the first is done.
    seconds
        That these epochs have taken.
    """

    epochs: int
    of_epochs: int | None
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """For the epochs that are left, if they take as long as those before."""
        if not self.epochs or self.of_epochs is None:
            return None
        return self.seconds / self.epochs * max(0, self.of_epochs - self.epochs)

    def __str__(self) -> str:
        if not self.epochs:
            return "not trained yet"
        return f"not trained yet: {self.epochs} of {self.of_epochs} epochs"


def is_measured(item: Item, role: RoleName) -> bool:
    """Whether an item has all its results; weights and bundles are not needed.

    Raises
    ------
    StudyError
        The folder holds results of something else; names the folder and what differs.
    """
    check_identity(item, role)
    needed = [item.folder / IDENTITY, item.folder / REPORT, item.folder / CASES]
    if item.recipe is not None:
        needed.append(item.run / RUN)
    return all(path.is_file() for path in needed) and (item.recipe is None or bool(_metrics(item.run)))


def check_identity(item: Item, role: RoleName) -> None:
    """Check that what lies in an item's folder is of this item; raises as ``is_measured``."""
    path = item.folder / IDENTITY
    if not path.is_file():
        if item.folder.is_dir() and any(item.folder.iterdir()):
            raise StudyError(f"{item.folder}: holds files, but no {IDENTITY} that says what of; remove it")
        return
    _compare(_read(path), item, role, path)
    if (item.run / RUN).is_file() and item.recipe is not None:
        run = read_run(item.run)
        split = {key: run["split"][key] for key in ("fold", "folds", "seed")}
        trained = {"recipe": run["recipe"], "dataset": run["dataset"], "split": split}
        own = {**item.identity["split"]}
        own.pop("how")
        _compare(trained, item, role, item.run / RUN, {"split": own})


def _compare(
    earlier: Mapping[str, Any], item: Item, role: RoleName, path: Path, changed: Mapping[str, Any] | None = None
) -> None:
    expected = {**json.loads(json.dumps(item.identity)), **(changed or {})}
    for key in earlier.keys() | (expected.keys() if changed is None else set()):
        found, right = earlier.get(key), expected.get(key)
        if key in ("recipe", "generator") and isinstance(found, dict):
            # With current settings: one may have been added whose default changes nothing.
            found = recipe_of(role if key == "recipe" else "generate", found, str(path)).model_dump(mode="json")
        if key == "dataset":  # it may be called otherwise on another machine
            found, right = (part and part.get("sha256") for part in (found, right))
        if found != right:
            raise StudyError(
                f"{item.folder}: holds results of another {key} ({_difference(found, right)}); "
                "move it away, or give the study another folder"
            )


def _difference(found: object, right: object) -> str:
    """The first value that differs."""
    if isinstance(found, dict) and isinstance(right, dict):
        for key in sorted(found.keys() | right.keys()):
            if found.get(key) != right.get(key):
                return f"{key}: {_difference(found.get(key), right.get(key))}"
    return f"{found!r}, now {right!r}"


def begin(item: Item, threads: int, processor: str) -> None:
    """Write what an item is, and that it is gone on with, by so many threads."""
    write_json(item.folder / IDENTITY, item.identity)
    path = item.folder / SESSIONS
    earlier = cast("list[Any]", _read(path)) if path.is_file() else []
    write_json(path, [*earlier, {"threads": threads, "processor": processor}])


def progress_of(item: Item, role: RoleName) -> Progress:
    """How far an item's training is, by its metrics."""
    rows = [row for table in _metrics(item.run).values() for row in table]
    if not rows or item.recipe is None:
        return Progress(0, None, 0.0)
    seconds = sum(float(row["seconds"]) for row in rows)
    return Progress(len(rows), _all_epochs(item, role), seconds)


def curve_of(item: Item, role: RoleName) -> list[dict[str, str]]:
    """One row an epoch, of the training's last phase: that of the whole network."""
    if item.recipe is None:
        return []
    return _metrics(item.run).get(item.run / find_family(role, item.recipe["family"]).last_phase / METRICS, [])


def training_seconds(item: Item) -> float:
    """Of all phases, and of the generator, as far as they are."""
    return sum(float(row["seconds"]) for row in _training_rows(item))


def training_cpu_seconds(item: Item) -> float | None:
    """The same, of all threads; None for a training by an earlier version, which did not note them."""
    seconds = [row.get("cpu_seconds") for row in _training_rows(item)]
    return sum(map(float, filter(None, seconds))) if all(seconds) else None


def _training_rows(item: Item) -> list[dict[str, str]]:
    tables = [*_metrics(item.run).values(), *_metrics(item.generator_run).values()]
    return [row for table in tables for row in table]


def costs_of(item: Item) -> dict[str, Any]:
    """The content of ``costs.json``; empty if there is none."""
    path = item.folder / COSTS
    return cast("dict[str, Any]", _read(path)) if path.is_file() else {}


def report_of(item: Item) -> dict[str, Any]:
    """The content of a measured item's ``report.json``."""
    return cast("dict[str, Any]", _read(item.folder / REPORT))


def sessions_of(item: Item) -> list[dict[str, Any]]:
    """The threads and the processor of each time that an item was begun, or gone on with."""
    path = item.folder / SESSIONS
    return cast("list[dict[str, Any]]", _read(path)) if path.is_file() else []


def _metrics(run: Path) -> dict[Path, list[dict[str, str]]]:
    """The rows of each phase of a training, one an epoch."""
    tables = {}
    for path in sorted(run.rglob(METRICS)):
        with path.open(newline="", encoding="utf-8") as stream:
            tables[path] = list(csv.DictReader(stream))
    return tables


_EPOCHS: dict[str, int] = {}  # of each recipe, as a network may have to be made to know


def _all_epochs(item: Item, role: RoleName) -> int:
    assert item.recipe is not None  # as progress_of has seen
    key = json.dumps([role, {**item.recipe, "split": None}], sort_keys=True)
    if key not in _EPOCHS:
        recipe = recipe_of(role, item.recipe)
        family = find_family(role, recipe.family)
        if type(family).phases is Family.phases:
            _EPOCHS[key] = recipe.loop.epochs
        else:
            with torch.random.fork_rng(devices=[]):
                phases = family.phases(recipe, fitted_of(read_run(item.run)), None)
                _EPOCHS[key] = sum(phase.settings.epochs for phase in phases)
    return _EPOCHS[key]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MammoscopeError(f"{path}: cannot be read ({error})") from None
