"""``mammoscope evaluate``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.console import progress_bar
from mammoscope.cli.options import BundleOption, FastOption


class Stage(StrEnum):
    """What can be evaluated."""

    DETECTOR = "detector"
    SEGMENTER = "segmenter"
    CLASSIFIER = "classifier"
    PIPELINE = "pipeline"
    WEAK = "weak"


def evaluate(
    stage: Annotated[
        Stage,
        typer.Argument(
            help="What to measure; 'weak': what the whole chain says of whole images and where it looks, for networks "
            "that learn from labels of images."
        ),
    ],
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout.")],
    out: Annotated[Path, typer.Option(help="Folder for report.json, report.html and cases.csv.")],
    bundle: BundleOption = None,
    fast: FastOption = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    draws: Annotated[int, typer.Option(min=10, help="Of the bootstrap.")] = 2000,
    external: Annotated[
        bool,
        typer.Option(
            "--external",
            help="The dataset is of others than the models were trained on: BI-RADS categories stand for unknown "
            "pathologies (4 to 6 malignant), and the report says so, and how lesions are marked.",
        ),
    ] = False,
) -> None:
    """Measure a stage of a bundle, or the whole chain, with 95% intervals by patient."""
    from mammoscope.bundle import load_bundle
    from mammoscope.evaluation.report.write import subject_of
    from mammoscope.evaluation.run import evaluate as run

    with progress_bar(f"evaluating {subject_of(stage.value)}") as advance:
        report = run(
            stage.value,
            dataset,
            out,
            load_bundle(bundle, fast=fast),
            seed=seed,
            draws=draws,
            external=external,
            progress=advance,
        )
    typer.echo(report)
