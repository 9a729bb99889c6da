"""Find families and their recipes by name; only the one asked for is imported."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from inspect import isabstract
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from mammoscope.errors import RecipeError
from mammoscope.extensions import loaded
from mammoscope.families.family import ROLES, Family, RoleName
from mammoscope.families.recipe import Recipe

GROUP = "mammoscope.families"
# The family of a recipe that names none, as recipes before version 0.2.0.
_UNNAMED: dict[RoleName, str] = {
    "detect": "retinanet",
    "rescore": "region_rescorer",
    "segment": "transres_unet",
    "classify": "three_branch",
}

AnyFamily = Family[Any, Any, Any]


def find_family(role: RoleName, name: str) -> AnyFamily:
    """The family of a role by its name: a built-in one, else another package's by entry point.

    Raises
    ------
    RecipeError
        There is none of that name, or the one found is not of that role; lists the known names.
    """
    if name in _built_in(role):
        return _defined_in(importlib.import_module(f"{__package__}.{role}.{name}"))()
    for point in entry_points(group=GROUP, name=name):
        family = _loaded(point)
        if family.role == role:
            return family()
        raise RecipeError(
            f"family is {name!r}: that of {_package(point)} is of role {family.role!r}, expected {role!r}"
        )
    known = ", ".join(_built_in(role)) or "none"
    others = ", ".join(sorted(point.name for point in entry_points(group=GROUP)))
    raise RecipeError(
        f"family is {name!r}: no family of role {role!r} has that name; built-in: {known}"
        + (f"; of other packages, whatever their role: {others}" if others else "")
    )


def all_families() -> Iterator[AnyFamily]:
    """Every family that is installed, built-in ones first. Imports them all."""
    for role in ROLES:
        for name in _built_in(role):
            yield find_family(role, name)
    for point in entry_points(group=GROUP):
        yield _loaded(point)()


def load_recipe(role: RoleName, recipe: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    role
        What its network is to do.
    recipe
        The path of a TOML file, or the name of a built-in one (``"default"`` is the one behind the default bundle).

    Raises
    ------
    RecipeError
        There is no such file, or a setting is missing, unknown or impossible; names the setting and the value.
    """
    path = Path(recipe)
    if not path.suffix:
        path = Path(str(_recipes(role) / f"{recipe}.toml"))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(recipe_names(role)) or "none"
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); built-in recipes: {known}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not TOML ({error})") from None
    return recipe_of(role, table, str(path))


def recipe_of(role: RoleName, table: Mapping[str, Any], place: str = "recipe") -> Recipe:
    """A recipe from its settings, as ``run.json`` and manifests keep them; one without a family gets the default one.

    Raises
    ------
    RecipeError
        A setting is missing, unknown or impossible; names the setting and the value.
    """
    name = table.get("family", _UNNAMED.get(role))
    if not isinstance(name, str):
        raise RecipeError(f"{place}: family is {name!r}, expected the name of a family of role {role!r}")
    try:
        return find_family(role, name).Recipe.model_validate({**table, "family": name})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            + ("" if problem["type"] in ("missing", "extra_forbidden") else f" (is {problem['input']!r})")
            for problem in error.errors()
        )
        raise RecipeError(f"{place}: {problems}") from None
    except RecipeError as error:
        raise RecipeError(f"{place}: {error}") from None


def recipe_names(role: RoleName) -> list[str]:
    """The built-in recipes of a role."""
    folder = _recipes(role)
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir()) if folder.is_dir() else []


def _recipes(role: RoleName) -> Traversable:
    return files(__package__) / role / "recipes"


def _built_in(role: RoleName) -> list[str]:
    folder = files(__package__) / role
    names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    return sorted(name.removesuffix(".py") for name in names if re.fullmatch(r"[a-z][a-z0-9_]*\.py", name))


def _defined_in(module: ModuleType) -> type[AnyFamily]:
    """The family that a module holds."""
    return next(
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Family) and thing.__module__ == module.__name__
    )


def _loaded(point: EntryPoint) -> type[AnyFamily]:
    place = f"entry point {point.name!r} of {_package(point)} in {GROUP!r}"
    try:
        family = loaded(point, (), RecipeError)
    except RecipeError as error:
        raise RecipeError(f"{place}: {error}") from error
    if not (isinstance(family, type) and issubclass(family, Family)):
        raise RecipeError(f"{place}: {point.value} is not a Family")
    if isabstract(family):
        missing = ", ".join(sorted(family.__abstractmethods__))
        raise RecipeError(f"{place}: {point.value} lacks {missing}")
    return family


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value
