"""``mammoscope serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mammoscope import NOTICE
from mammoscope.cli.console import log_to_standard_error
from mammoscope.cli.options import AuditOption, BundleOption


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Any other than this machine's own needs a token.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MAMMOSCOPE_TOKEN", help="Secret that a browser must send; the printed address contains it."
        ),
    ] = None,
    data_folder: Annotated[
        Path | None,
        typer.Option("--data", help="Folder that keeps analyses.", show_default="a temporary one, removed at the end"),
    ] = None,
    ephemeral: Annotated[
        bool,
        typer.Option("--ephemeral/--no-ephemeral", help="Remove all analyses at the end; always so without --data."),
    ] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name that browsers may call this server by.")
    ] = None,
    keep_free: Annotated[
        float, typer.Option(min=0, help="Gigabytes of the disk to keep free; larger uploads are refused.")
    ] = 0.5,
    bundle: BundleOption = None,
    audit: AuditOption = None,
) -> None:
    """Open the reading page: drop mammograms on it, read them, accept or reject findings. Ctrl-C stops it."""
    from mammoscope.errors import MammoscopeError
    from mammoscope.server import ServerSettings
    from mammoscope.server import serve as run

    if ephemeral and data_folder:
        raise MammoscopeError("--ephemeral removes what --data DIR keeps: give only one of them")
    settings = ServerSettings(
        host=host,
        port=port,
        token=token,
        data=data_folder,
        allowed_hosts=tuple(allow_host or ()),
        reserve=round(keep_free * 2**30),
        bundle=bundle,
        audit=audit,
    )
    log_to_standard_error()
    run(settings, started=lambda address: typer.echo(f"{NOTICE}\nOpen {address} in a browser; Ctrl-C stops it."))
