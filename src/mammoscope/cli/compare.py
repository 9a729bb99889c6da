"""``mammoscope compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mammoscope.cli.console import SOME_FAILED, complain, need_training

if TYPE_CHECKING:
    from rich.table import Table

    from mammoscope.studies.run import Watch


def compare(
    study: Annotated[Path, typer.Argument(help="TOML file that names dataset, folds, seeds and entries.")],
    out: Annotated[Path, typer.Option(help="Folder of all results; a stopped study resumes there.")],
    dataset: Annotated[
        Path | None, typer.Option(help="Folder in the dataset layout.", show_default="the study's own")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder with the files that entries start from ('init').")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=2, help="Entries at a time; two are pinned to a core each.")] = 1,
    draws: Annotated[int, typer.Option(min=10, help="Of the bootstrap over patients.")] = 2000,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Compare what is measured; train nothing.")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Markdown page whose part on this study is written too.")
    ] = None,
) -> None:
    """Train, measure and compare many networks on the same patients, with paired statistics. Needs the extra 'train'.

    Writes index.html and comparison.csv. Exits with 3 where an entry failed and the others were done.
    """
    need_training()
    from rich.console import Console
    from rich.live import Live

    from mammoscope.errors import MammoscopeError
    from mammoscope.studies.page.write import PAGE, write_markdown
    from mammoscope.studies.run import Watch, open_study, run_study

    read, place = open_study(study, out, dataset, weights)
    watch, console = Watch(), Console(stderr=True)
    with Live(console=console, refresh_per_second=0.5, transient=True, get_renderable=lambda: _shown(watch)):
        outcome = run_study(
            read,
            place,
            workers=workers,
            draws=draws,
            report_only=report_only,
            log=lambda line: console.print(line, markup=False, highlight=False),
            watch=watch,
        )
    if markdown:
        write_markdown(outcome.comparison, place, markdown)
    for line in outcome.comparison.lines:
        for text in line.pending:
            typer.echo(text)
    typer.echo(out / PAGE)
    for label, reason in outcome.failed.items():
        complain(MammoscopeError(f"{label}: {reason}"))
    if outcome.failed:
        raise typer.Exit(SOME_FAILED)


def _shown(watch: Watch) -> Table:
    """What is under way, with the epochs done and the time that the rest will take."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for label, progress in watch.lines():
        left = progress.seconds_left
        table.add_row(
            label,
            f"epoch {progress.epochs + 1} of {progress.of_epochs}" if progress.epochs else "begins",
            "" if left is None else f"{left / 60:.0f} minutes left",
        )
    if watch.total:
        table.add_row(f"{watch.done} of {watch.total} measured", "", "")
    return table
