"""Recipes small enough for a test: seconds on one core, the real code all the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mammoscope.families.find import AnyFamily, find_family
from mammoscope.training.run import role_of

DEFAULTS = {
    "detector": "retinanet",
    "rescorer": "region_rescorer",
    "segmenter": "transres_unet",
    "classifier": "three_branch",
}

_AUGMENTATION = {
    "rotation_degrees": 10,
    "shift": 0.05,
    "zoom": 0.1,
    "flip_horizontal": 0.5,
    "flip_vertical": 0.5,
    "brightness": 0.1,
    "contrast": 0.1,
    "gamma": 0.1,
    "blur": 0.5,
    "erase": 0.5,
}
_LOOP = {
    "batch_size": 4,
    "learning_rate": 0.001,
    "warmup_epochs": 0.5,
    "precision": "float32",
    "checkpoint_seconds": 0,
    "average_decay": 0.9,
    "loader_threads": 1,
}


def small_table(family: AnyFamily, epochs: int = 2, folds: int = 4) -> dict[str, Any]:
    """The settings of a small recipe for a family."""
    return {
        "family": family.name,
        **family.trial,
        "augmentation": _AUGMENTATION,
        "loop": {"epochs": epochs, **_LOOP},
        "split": {"folds": folds},
    }


def write_recipe(folder: Path, noun: str, epochs: int = 2) -> Path:
    """Write a small recipe for the usual family of a role."""
    family = find_family(role_of(noun).name, DEFAULTS[noun])
    path = folder / f"{noun}.toml"
    path.write_text(as_toml(small_table(family, epochs)), encoding="utf-8")
    return path


def as_toml(table: Mapping[str, Any]) -> str:
    """A table of plain values and of tables of these."""
    plain = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items() if not isinstance(value, Mapping))
    inner = (f"\n[{key}]\n{as_toml(value)}" for key, value in table.items() if isinstance(value, Mapping))
    return plain + "".join(inner)
