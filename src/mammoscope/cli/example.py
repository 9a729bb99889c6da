"""``mammoscope example``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def example(
    out: Annotated[Path, typer.Option(help="Folder for the four DICOM files and truth.json.")] = Path("example-exam"),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another seed makes another patient.")] = 0,
) -> None:
    """Make a synthetic four-view exam to try things out with. It does not show how accurate the models are."""
    from mammoscope.example import write_exam

    for path in write_exam(out, seed):
        typer.echo(path)
