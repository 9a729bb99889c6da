"""``mammoscope train``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.console import need_training


class Task(StrEnum):
    """What can be trained."""

    DETECTOR = "detector"
    RESCORER = "rescorer"
    REDUCER = "reducer"  # the rescorer's former name
    SEGMENTER = "segmenter"
    CLASSIFIER = "classifier"
    JOINT = "joint"
    GENERATOR = "generator"


def train(
    task: Annotated[Task, typer.Argument(help="What to train; 'reducer' is a former name of the rescorer.")],
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped one is resumed.")],
    recipe: Annotated[str, typer.Option(help="A TOML file, or the name of a built-in recipe.")] = "default",
    init: Annotated[
        str | None,
        typer.Option(
            help="Where a backbone starts: a safetensors file of timm's, a folder of such files named after their "
            "architectures, or 'timm' for its own weights. Where a whole network starts: best.safetensors of an "
            "earlier run."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="For the rescorer: whose detector proposes the regions; default: the built-in bundle."),
    ] = None,
    generator: Annotated[
        Path | None,
        typer.Option(
            help="For a segmenter whose recipe has a synthetic_share: the run of the generator that paints it."
        ),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            metavar="all|0,2,…",
            help="Train several folds, each in a folder of its own in --out; folds.csv there tells what each came to.",
            show_default="that of the recipe",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SETTING=VALUE",
            help="A setting of the recipe to change, such as loop.epochs=3; may be given several times.",
        ),
    ] = None,
) -> None:
    """Train a network; a training that was stopped at any moment resumes where it stopped. Needs the extra 'train'."""
    need_training()
    from mammoscope.families.changes import parsed
    from mammoscope.training.folds import train_folds
    from mammoscope.training.run import recipe_named, train_recipe

    def run(folder: Path, more: Mapping[str, object]) -> None:
        chosen = recipe_named(task.value, recipe, {**parsed(set_ or ()), **more})
        train_recipe(task.value, dataset, chosen, folder, init, proposing=bundle, generator=generator)

    if folds is None:
        run(out, {})
    else:
        train_folds(folds, recipe_named(task.value, recipe, parsed(set_ or ())).split.folds, out, run)
    typer.echo(out)
