"""A study: which networks are compared, on which patients, by which figures. Read from a TOML file."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mammoscope.datasets.folds import FOLDS
from mammoscope.errors import MammoscopeError
from mammoscope.families.family import RoleName

Stage = Literal["detector", "segmenter", "classifier", "weak"]
Split = Literal["by-patient", "before-augmentation", "after-augmentation"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]

ROLE_OF: dict[Stage, RoleName] = {
    "detector": "detect",
    "segmenter": "segment",
    "classifier": "classify",
    "weak": "joint",
}
# The figures of a stage that are tabled unless a study says otherwise; p-values are adjusted over the entries for each.
FIGURES: dict[Stage, tuple[str, ...]] = {
    "detector": ("ap", "ap50", "froc.iou_0.5.1", "froc.iou_0.2.1"),
    "segmenter": (
        "iou_pooled",
        "dice_mean",
        "boundary_f1",
        "wider.1.iou_pooled",
        "wider.1.dice_mean",
        "wider.1.5.iou_pooled",
        "wider.1.5.dice_mean",
        "wider.2.iou_pooled",
        "wider.2.dice_mean",
    ),
    "classifier": ("boxes.auc", "boxes.accuracy", "boxes.ece", "crops.predicted_mask.auc"),
    "weak": ("image_auc", "pointing_game", "dice_mean"),
}
DEFAULT = "default"  # the built-in bundle


class StudyError(MammoscopeError):
    """A study that cannot be run as it is; names the file, the entry and the setting."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Record):
    """One network, or a step without one, that is compared."""

    name: Name
    row: str = Field("", description="What it stands for in the table, such as the number of a system.")
    recipe: str | None = Field(None, description="A built-in recipe's name, or a TOML file beside the study.")
    bundle: str | None = Field(None, description="A bundle's folder, or 'default': measured as it is.")
    step: str | None = Field(None, description="A step's implementation that needs no network, put into the base.")
    role: RoleName | None = Field(None, description="Of the network; that of the study's stage unless it says joint.")
    init: str | None = Field(None, description="Where its weights start; as for `mammoscope train --init`.")
    set: dict[str, Any] = Field({}, description="Settings of the recipe that are changed; keys may be dotted.")
    generator: str | None = Field(
        None, description="Recipe of the generator of a recipe with a synthetic_share, trained first on its patients."
    )
    split: Split = Field(
        "by-patient",
        description="Whether patients are divided as always; or every lesion is copied with random changes, and "
        "patients are divided before, or the copies after it, which leaks.",
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("recipe", "bundle", "step") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'none'} of recipe, bundle and step, expected one")
        extra = [name for name in ("init", "set", "generator") if getattr(self, name)]
        if self.recipe is None and extra:
            raise ValueError(f"{' and '.join(extra)} is for entries with a recipe")
        return self


class Study(_Record):
    """The content of a study's file."""

    title: str
    stage: Stage
    dataset: str | None = Field(None, description="Folder in the dataset layout, from the study's own folder.")
    folds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    of_folds: Annotated[int, Field(ge=2)] = FOLDS
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    reference: str = Field(description="The entry that all others are compared with.")
    base: str = Field(
        DEFAULT,
        description="Bundle whose other steps are kept: a folder, 'default', or a manifest over the default's files.",
    )
    figures: tuple[str, ...] = Field((), description="Which are tabled; the first is the primary one.")
    copies: Annotated[int, Field(ge=2, le=64)] = Field(8, description="Of each lesion, where entries augment first.")
    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [entry.name for entry in self.entries]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"two entries have the name {twice[0]!r}")
        if self.reference not in names:
            raise ValueError(f"reference is {self.reference!r}, expected one of the entries: {', '.join(names)}")
        for fold in self.folds:
            if fold >= self.of_folds:
                raise ValueError(f"folds hold {fold}, expected numbers below of_folds, {self.of_folds}")
        for name, values in (("folds", self.folds), ("seeds", self.seeds), ("figures", self.figures)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} hold one twice")
        return self

    @property
    def tabled(self) -> tuple[str, ...]:
        """The figures in the tables."""
        return self.figures or FIGURES[self.stage]

    def entry(self, name: str) -> Entry:
        """The entry of a name."""
        return next(entry for entry in self.entries if entry.name == name)

    def role_of(self, entry: Entry) -> RoleName:
        """What an entry's network, or step, does."""
        return entry.role or ROLE_OF[self.stage]


def load_study(path: Path) -> Study:
    """Read a study.

    Raises
    ------
    StudyError
        It cannot be read, or a setting is missing, unknown or impossible; names the entry and the setting.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: is not TOML ({error})") from None
    try:
        return Study.model_validate(table)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise StudyError(f"{path}: {_place(problem['loc'], table)}{problem['msg']}") from None


def _place(parts: tuple[int | str, ...], table: dict[str, Any]) -> str:
    """Where a problem stands: the entry by its name, then the setting."""
    words = list(map(str, parts))
    if len(parts) >= 2 and parts[0] == "entries" and isinstance(parts[1], int):
        entry = table["entries"][parts[1]]
        name = entry.get("name") if isinstance(entry, dict) else None
        words = [f"entry {name!r}" if name else f"entry {parts[1] + 1}", *words[2:]]
    return "".join(f"{word}: " for word in words)
