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
        str | None, typer.Option(help="A head that was noted elsewhere: the trail must still contain that line.")
    ] = None,
) -> None:
    """Check every line of an audit trail; exits with 1 if one was changed, removed or inserted.

    The trail cannot show that lines at its end were removed, or that all of it was rewritten: note its head elsewhere
    from time to time, and give it as --head later.
    """
    from mammoscope.audit import verify_trail

    found = verify_trail(folder, head)
    for place in found.torn:
        typer.echo(f"{place}: cut off by a crash, its content is lost; the chain continues")
    typer.echo(f"chain {found.chain}: {found.entries} analyses{', up to the break' if found.broken else ''}")
    typer.echo(f"head {found.head}: note it elsewhere: without it, lines removed at the end cannot be detected")
    if found.broken:
        typer.echo(f"broken: {found.broken}", err=True)
        raise typer.Exit(TRAIL_BROKEN)
