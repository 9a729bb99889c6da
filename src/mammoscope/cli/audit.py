"""``mammoscope audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.console import TRAIL_BROKEN

app = typer.Typer(help="Check the audit trail of analyses.", no_args_is_help=True)


@app.command("verify")
def verify_audit(
    folder: Annotated[Path, typer.Argument(help="Folder of the audit trail.")],
    head: Annotated[
        str | None, typer.Option(help="A head that was noted elsewhere: the trail must still hold that line.")
    ] = None,
) -> None:
    """Check every line of an audit trail; ends with 1 where one was changed, taken out or put in.

    The trail cannot prove that lines at its end were not taken away, nor that all of it was not written anew: note its
    head elsewhere from time to time, and give it as --head later.
    """
    from mammoscope.audit import verify_trail

    found = verify_trail(folder, head)
    for place in found.torn:
        typer.echo(f"{place}: torn by a crash, what it was to say is lost; the chain goes on")
    typer.echo(f"chain {found.chain}: {found.entries} analyses{', up to the break' if found.broken else ''}")
    typer.echo(f"head {found.head}: note it elsewhere, for lines taken away at the end do not show without it")
    if found.broken:
        typer.echo(f"broken: {found.broken}", err=True)
        raise typer.Exit(TRAIL_BROKEN)
