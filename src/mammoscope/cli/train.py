"""``mammoscope train``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.console import need_training


class Task(StrEnum):
    """What can be trained."""

    DETECTOR = "detector"
    REDUCER = "reducer"
    SEGMENTER = "segmenter"
    CLASSIFIER = "classifier"


def train(
    task: Task,
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a stopped one goes on.")],
    recipe: Annotated[str, typer.Option(help="A TOML file, or the name of a recipe that comes along.")] = "default",
    init: Annotated[
        str | None,
        typer.Option(
            help="Where a backbone starts: a safetensors file of timm's, or 'timm' for its own weights. Where a whole "
            "detector or segmenter starts: best.safetensors of an earlier run."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="For the reducer: whose detector proposes the regions; without it that of the default one."),
    ] = None,
) -> None:
    """Train a stage; a training that was stopped at any moment goes on where it was. Needs the extra 'train'."""
    need_training()
    from mammoscope.training.run import train as run

    run(task.value, dataset, recipe, out, init, proposing=bundle)
    typer.echo(out)
