"""``mammoscope deidentify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.console import SOME_FAILED, complain, inputs_of, progress_bar


def deidentify(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for the new files, each named after its new SOP instance UID.")],
    salt: Annotated[
        str | None,
        typer.Option(
            envvar="MAMMOSCOPE_SALT",
            help="Secret of 16 characters or more, that gives the same pseudonyms in a later run; safer in the "
            "environment than on the command line, and never written.",
            show_default="a new one, which is not kept",
        ),
    ] = None,
) -> None:
    """Remove what identifies the patient from mammograms. Check every image afterwards: text in the pixels stays.

    Only what the page docs/privacy.md lists is kept; names, IDs, free texts and private elements are dropped. The same
    patient gets the same pseudonym, UIDs stay consistent, dates are shifted. Exits with 0, or with 3 if some
    files failed and the others were de-identified.
    """
    from mammoscope.deidentify import NOT_DONE, deidentify_files
    from mammoscope.text import printable

    files, failures = inputs_of(paths)
    written = 0
    with progress_bar("de-identifying", len(files)) as advance:
        for number, done in enumerate(deidentify_files(files, out, salt), start=1):
            if done.error:
                failures.append(done.error)
                complain(done.error)
            for warning in (*([done.warning] if done.warning else []), *done.notes):
                typer.echo(f"warning: {printable(str(done.path))}: {warning}", err=True)
            written += done.written is not None
            advance(number, len(files))
    typer.echo(
        f"{written} of {written + len(failures)} de-identified" + (f", {len(failures)} failed" if failures else "")
    )
    for sentence in NOT_DONE:
        typer.echo(sentence)
    typer.echo(out)
    if failures:
        raise typer.Exit(SOME_FAILED)
