"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Folder of a model bundle.", show_default="the built-in one")
]
FastOption = Annotated[
    bool,
    typer.Option(
        "--fast/--no-fast",
        help="Run the networks that find masses by OpenVINO in bfloat16 (extra fast): scores differ a little.",
    ),
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Detection score from which regions are reported.", show_default="the bundle's"),
]
AuditOption = Annotated[
    Path | None,
    typer.Option("--audit", envvar="MAMMOSCOPE_AUDIT", help="Folder of the audit trail, which records each analysis."),
]
