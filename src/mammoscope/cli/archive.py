"""``mammoscope archive``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mammoscope.cli.console import need_archive

if TYPE_CHECKING:
    from collections import Counter

    from mammoscope.archive.summary import ModelsSummary

app = typer.Typer(help="Archives that analyze --out NAME.parquet has written.", no_args_is_help=True)


@app.command("summary")
def archive_summary(
    archive: Annotated[str, typer.Argument(help="Folder or URL of the archive.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Count findings from this detection score.", show_default="that of the analysis"
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is in an archive: images, exams, findings, errors by kind, for each of its models and thresholds."""
    import json as json_format

    from rich.console import Console
    from rich.table import Table

    need_archive()
    from mammoscope import NOTICE
    from mammoscope.archive.summary import summary_of

    found = summary_of(archive, threshold)
    if json:
        typer.echo(json_format.dumps(found.as_json(), indent=2, ensure_ascii=False))
        return
    for models in found.models:
        title = f"{models.bundle} ({models.bundle_sha256[:12]}), threshold {models.threshold:g}"
        table = Table("", "count", title=title, title_justify="left")
        for name, count in _lines(models):
            table.add_row(name, count)
        Console().print(table)
    if not found.models:
        typer.echo("no image has been analysed yet")
    typer.echo(NOTICE)


def _lines(models: ModelsSummary) -> list[tuple[str, str]]:
    repeated = models.images - models.different_images
    return [
        ("images", f"{models.images:,}" + (f" ({repeated:,} of them more than once)" if repeated else "")),
        *_counts(models.outcomes),
        ("exams", f"{models.exams:,}"),
        ("findings", f"{models.findings.total():,}"),
        *_counts(models.findings),
        ("  of malignant appearance", f"{models.malignant:,}"),
        (f"  with a detection score from {models.findings_from:g}", f"{models.findings_above:,}"),
        ("files without a row in images", f"{models.errors.total():,}"),
        *_counts(models.errors),
    ]


def _counts(counts: Counter[str]) -> list[tuple[str, str]]:
    return [(f"  {name.replace('_', ' ')}", f"{count:,}") for name, count in counts.most_common()]
