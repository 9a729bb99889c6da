"""The command line: parses, calls, prints. What a command needs is imported when it runs, so that help is instant."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from mammoscope import NOTICE, __version__
from mammoscope.cli import (
    analyze,
    archive,
    audit,
    bundle,
    calibrate,
    compare,
    data,
    deidentify,
    evaluate,
    example,
    pacs,
    serve,
    stress,
    train,
)
from mammoscope.cli.config import use_config
from mammoscope.cli.console import USAGE_ERROR, complain, silence_libraries

app = typer.Typer(
    help=f"Find, outline and classify masses in mammograms, offline. {NOTICE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: its boxes take longer to load than everything else together
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    analyze.analyze,
    deidentify.deidentify,
    serve.serve,
    example.example,
    train.train,
    evaluate.evaluate,
    calibrate.calibrate,
    stress.stress,
    compare.compare,
):
    app.command()(command)
for name, group in (
    ("data", data.app),
    ("bundle", bundle.app),
    ("archive", archive.app),
    ("audit", audit.app),
    ("pacs", pacs.app),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line; an error in what the user gave is one line, and exits with 2."""
    from mammoscope.errors import MammoscopeError

    silence_libraries()
    if isinstance(sys.stdout, TextIOWrapper):
        # A name with characters that the terminal or a file cannot encode must not end the command.
        sys.stdout.reconfigure(errors="replace")
    try:
        app(prog_name="mammoscope")
    except MammoscopeError as error:
        complain(error)
        sys.exit(USAGE_ERROR)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def program_options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with settings of serve, analyze and the PACS commands; what stands on the command line "
            "goes before it.",
            show_default="none",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"mammoscope {__version__}")
        raise typer.Exit
    if config is not None:
        use_config(context, config)
