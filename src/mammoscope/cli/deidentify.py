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
            help="Secret of 16 characters or more, by which a later batch gets the same pseudonyms; safer in the "
            "environment than on the command line, and written nowhere.",
            show_default="a new one, which is forgotten",
        ),
    ] = None,
) -> None:
    """Take out of mammograms what says whose they are. Look at every picture afterwards: text in the pixels stays.

    Only what the page docs/privacy.md lists is kept; names, IDs, free texts and private elements are dropped. The same
    patient gets the same pseudonym, UIDs still fit each other, dates are shifted. Ends with 0, or with 3 where some
    files failed and the others were done.
    """
    from mammoscope.deidentify import NOT_DONE, deidentify_files
    from mammoscope.readers.source import printable

    files, failures = inputs_of(paths)
    written = 0
    with progress_bar("de-identifying", len(files)) as advance:
        for number, done in enumerate(deidentify_files(files, out, salt), start=1):
            if done.error:
                failures.append(done.error)
                complain(done.error)
            if done.warning:
                typer.echo(f"warning: {printable(str(done.path))}: {done.warning}", err=True)
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
