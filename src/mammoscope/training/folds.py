"""Train one recipe on several folds, each in a folder of its own, and tell what each came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mammoscope.errors import RecipeError
from mammoscope.files import csv_text, write_text
from mammoscope.training.checkpoint import read_tensors
from mammoscope.training.loop import BEST

FOLDS = "folds.csv"


def train_folds(text: str, folds: int, out: Path, train_one: Callable[[Path, Mapping[str, Any]], None]) -> None:
    """Train each fold in ``fold-K``; finished ones are not trained again, a stopped one is resumed.

    ``folds.csv`` has the best epoch of each and its figures on that fold's validation patients: how long to train on
    all patients is read there.

    Parameters
    ----------
    text, folds
        Which of so many folds: ``"all"``, or their numbers with commas.
    out
        The folder of their runs.
    train_one
        Trains in a folder by the recipe with some settings changed (dotted keys).

    Raises
    ------
    RecipeError
        ``text`` names no fold, one twice, or one that there is not.
    """
    rows = []
    for number in _numbers(text, folds):
        run = out / f"fold-{number}"
        train_one(run, {"split.fold": number})
        for best in sorted(run.rglob(BEST)):
            _, header = read_tensors(best)
            phase = best.parent.relative_to(run).as_posix().removeprefix(".")
            rows.append({"fold": number, "phase": phase, "best_epoch": header["epoch"], **header["metrics"]})
        write_text(out / FOLDS, csv_text(rows))


def _numbers(text: str, folds: int) -> tuple[int, ...]:
    if text == "all":
        return tuple(range(folds))
    words = [word.strip() for word in text.split(",")]
    numbers = tuple(int(word) for word in words if word.isdecimal())
    if len(numbers) < len(words) or len(set(numbers)) < len(numbers) or max(numbers) >= folds:
        raise RecipeError(f"folds is {text!r}, expected 'all' or different numbers from 0 to {folds - 1}, such as 0,2")
    return numbers
