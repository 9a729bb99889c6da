"""``mammoscope analyze`` with a Parquet target: counts instead of a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from threading import Thread
from typing import TYPE_CHECKING

import typer

from mammoscope.cli.console import SOME_FAILED, complain, need_archive

if TYPE_CHECKING:
    from mammoscope.archive.progress import Progress
    from mammoscope.archive.sources.sources import Sources
    from mammoscope.batch import Options
    from mammoscope.bundle import Bundle

SUFFIX = ".parquet"
_SECONDS_A_LINE = 30.0


def analyze_into_archive(
    places: list[str],
    target: str,
    bundle: Bundle,
    options: Options,
    *,
    keep_paths: bool,
    retry_failed: bool,
    part_images: int,
) -> None:
    """Analyse into an archive; prints each failure and the counts, and exits with 3 if something failed."""
    need_archive()
    from mammoscope import NOTICE
    from mammoscope.archive.places import shown
    from mammoscope.archive.progress import Progress
    from mammoscope.archive.run import ArchiveOptions, analyze_to_archive
    from mammoscope.archive.sources.sources import Sources
    from mammoscope.errors import InputError

    into = ArchiveOptions(
        options.threshold,
        options.workers,
        options.backend,
        dicom=options.dicom,
        fhir=options.fhir,
        keep_sources=keep_paths,
        retry_failed=retry_failed,
        audit=options.audit,
        images_a_part=part_images,
    )
    progress, sources = Progress(), Sources(places)
    refused: list[InputError] = []

    def refuse(error: InputError) -> None:
        if not refused:  # that there is one is enough
            refused.append(error)
        complain(error)

    _count(sources, progress)
    without_objects = 0
    with _shown(progress) as show, redirect_stdout(sys.stderr):  # where Ray says of each worker that it died
        for outcome in analyze_to_archive(sources, target, bundle, into, progress, refuse):
            if outcome.problem is not None and outcome.kind != "duplicate":
                complain(InputError(shown(outcome.file.place), outcome.problem))
                without_objects += outcome.kind == "analysed"
            show()
    typer.echo(
        f"{progress.kinds['analysed']:,} analysed"
        + (f", {progress.known:,} done earlier" if progress.known else "")
        + "".join(f", {count:,} {kind}" for kind, count in sorted(progress.kinds.items()) if kind != "analysed")
        + (f", {without_objects:,} without DICOM results" if without_objects else "")
    )
    typer.echo(target)
    typer.echo(NOTICE)
    if progress.failed or refused or without_objects:
        raise typer.Exit(SOME_FAILED)


def _count(sources: Sources, progress: Progress) -> None:
    """Count the files beside the analysis: until that is done, no time left is shown."""
    from mammoscope.errors import MammoscopeError

    def count() -> None:
        try:
            progress.total = sources.count()
        except MammoscopeError:  # said when the files are listed to be analysed
            return

    Thread(target=count, daemon=True).start()


@contextmanager
def _shown(progress: Progress) -> Iterator[Callable[[], None]]:
    """Show progress: on a terminal in a line that changes, elsewhere in a line every half minute."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("") as status:
            yield lambda: status.update(progress.text())
        return
    told = time.monotonic()

    def show() -> None:
        nonlocal told
        if time.monotonic() - told >= _SECONDS_A_LINE:
            told = time.monotonic()
            print(progress.text(), file=sys.stderr, flush=True)  # noqa: T201 (a log)

    yield show
