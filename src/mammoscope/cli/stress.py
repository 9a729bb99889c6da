"""``mammoscope stress``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.console import progress_bar
from mammoscope.cli.options import BundleOption


def stress(
    dataset: Annotated[
        Path, typer.Argument(help="Folder in the dataset layout, of patients that the models were not trained on.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.json, report.html and cases.csv.")],
    bundle: BundleOption = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            help="noise, blur, resolution, gamma, jpeg2000, film-frame or inverted; may be given several times.",
            show_default="all",
        ),
    ] = None,
    patients: Annotated[int | None, typer.Option(min=1, help="Take only so many patients.", show_default="all")] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap, and of the patients taken.")] = 0,
    draws: Annotated[int, typer.Option(min=10, help="Of the bootstrap.")] = 2000,
) -> None:
    """Measure the whole chain on images made worse: figures against strength, beside those of the images as they are.

    All changes take as long as 25 evaluations of the pipeline.
    """
    from mammoscope.bundle import load_bundle
    from mammoscope.evaluation.stress.run import stress as run

    with progress_bar("measuring images made worse") as advance:
        report = run(
            dataset,
            out,
            load_bundle(bundle),
            names=change or (),
            patients=patients,
            seed=seed,
            draws=draws,
            progress=advance,
        )
    typer.echo(report)
