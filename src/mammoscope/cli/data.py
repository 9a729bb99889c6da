"""``mammoscope data``: import, split, check and describe datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.console import LEAKAGE_FOUND, progress_bar

app = typer.Typer(help="Prepare, divide, check and describe datasets.", no_args_is_help=True)


@app.command("import")
def import_collection(
    name: Annotated[
        str, typer.Argument(help="The collection, such as cbis-ddsm; an unknown name lists the known ones.")
    ],
    source: Annotated[Path, typer.Argument(help="Folder of the published download.")],
    out: Annotated[
        Path, typer.Argument(help="Folder for the dataset, or for a folder for each split: train/ and test/.")
    ],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one for each core")] = None,
) -> None:
    """Bring a published collection into the dataset layout, at full resolution. A stopped import resumes."""
    from mammoscope.datasets.importers.find import find_importer
    from mammoscope.datasets.importers.run import run_import
    from mammoscope.processes.cores import usable_cores

    importer = find_importer(name)
    with progress_bar("importing") as advance:
        report = run_import(importer, source, out, workers=workers or usable_cores(), progress=advance)
    for word, value in report.as_json().items():
        items = value if isinstance(value, tuple) else ()
        typer.echo(f"{word.replace('_', ' ')}: {len(items) if isinstance(value, tuple) else value}")
        for item in items:
            typer.echo(f"  {item if isinstance(item, str) else ': '.join(item)}")


@app.command("split")
def split(
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout.")],
    out: Annotated[Path, typer.Argument(help="New folder for train/ and validation/.")],
    fold: Annotated[int, typer.Option(min=0, help="The fold that validates.")] = 0,
    folds: Annotated[int, typer.Option(min=2)] = 5,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Split a dataset by patient, as training does."""
    from mammoscope.datasets.layout import load_dataset
    from mammoscope.datasets.splits import write_split

    for path in write_split(load_dataset(dataset), out, fold=fold, folds=folds, seed=seed):
        typer.echo(path)


@app.command("check")
def check(
    datasets: Annotated[list[Path], typer.Argument(help="Folders in the dataset layout.")],
) -> None:
    """Check each dataset's files, and find patients or images that two share; exits with 1 if there is a problem."""
    from mammoscope.datasets.integrity import check_integrity
    from mammoscope.datasets.layout import load_dataset
    from mammoscope.datasets.leakage import check_leakage
    from mammoscope.errors import DatasetError

    loaded = [load_dataset(folder) for folder in datasets]
    problems: list[object] = []
    for dataset in loaded:
        with progress_bar(f"reading {dataset.name}") as advance:
            problems += check_integrity(dataset, progress=advance)
    if len(loaded) > 1:
        try:
            with progress_bar("comparing") as advance:
                problems += check_leakage(loaded, progress=advance)
        except DatasetError as error:
            problems.append(f"not compared: {error}")
    for problem in problems:
        typer.echo(problem)
    typer.echo(f"{len(problems)} problems" if problems else "no problem found")
    if problems:
        raise typer.Exit(LEAKAGE_FOUND)


@app.command("describe")
def describe(
    dataset: Annotated[Path, typer.Argument(help="Folder in the dataset layout, or one of such folders: its splits.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page with charts, a CSV of every number, and both as JSON.")
    ] = None,
) -> None:
    """Count what is in a dataset."""
    from rich.console import Console

    from mammoscope.datasets.overview.describe import describe as run
    from mammoscope.datasets.overview.describe import load_splits
    from mammoscope.datasets.overview.show import render_overview, write_overview

    overviews = {name: run(part) for name, part in load_splits(dataset).items()}
    for overview in overviews.values():
        Console().print(render_overview(overview))
    if out:
        write_overview(overviews, out)
        typer.echo(out)
