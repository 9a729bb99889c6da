"""Options that the commands ``mammoscope pacs …`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mammoscope import NOTICE

DataOption = Annotated[Path, typer.Option("--data", help="Folder for the queue, and for images until they are done.")]
UrlArgument = Annotated[
    str,
    typer.Argument(
        help="Root of a DICOMweb server, or TITLE@host:port. User and password, or a token, for a server come from "
        "MAMMOSCOPE_PACS_USER, MAMMOSCOPE_PACS_PASSWORD and MAMMOSCOPE_PACS_TOKEN."
    ),
]
SegOption = Annotated[bool, typer.Option("--seg/--no-seg", help="Make segmentations, which not every PACS accepts.")]
CaptureOption = Annotated[
    bool,
    typer.Option(
        "--sc/--no-sc", help="Also make a secondary capture of the overlay, for viewers that show no SR or SEG."
    ),
]
StateOption = Annotated[
    bool,
    typer.Option("--gsps/--no-gsps", help="Also make a presentation state: outlines, boxes and labels as graphics."),
]
CadOption = Annotated[
    bool, typer.Option("--cad/--no-cad", help="Also make a Mammography CAD SR, for stations that read no other.")
]
SelectionOption = Annotated[
    bool,
    typer.Option(
        "--ko/--no-ko", help="Also make a Key Object Selection of an exam's images with findings and results."
    ),
]
ExamReportOption = Annotated[
    bool, typer.Option("--exam-sr/--no-exam-sr", help="Also make one structured report on each exam as a whole.")
]
AttemptsOption = Annotated[
    int, typer.Option(min=1, help="Failures of one step after which an image becomes a dead letter.")
]
PauseOption = Annotated[float, typer.Option(min=0.01, help="Seconds until the second attempt; doubled each time.")]
HoldOption = Annotated[
    float, typer.Option(min=0, help="Seconds that an image For Processing waits for the same image For Presentation.")
]
ExamWaitOption = Annotated[
    float,
    typer.Option(
        min=0, help="Seconds without a further image after which an exam is whole (for models that see exams)."
    ),
]
FreeOption = Annotated[float, typer.Option(min=0, help="Gigabytes of the disk to keep free.")]
MonitorOption = Annotated[
    str | None,
    typer.Option(help="host:port on which Prometheus finds /metrics, and others /ready.", show_default="nowhere"),
]
FileDaysOption = Annotated[
    float | None, typer.Option(help="Days after which files of images that are done are removed.", show_default="never")
]
RowDaysOption = Annotated[
    float | None,
    typer.Option(help="Days after which images that are done, and dead letters, are forgotten.", show_default="never"),
]
CertificateOption = Annotated[Path | None, typer.Option("--tls-cert", help="mammoscope's own TLS certificate (PEM).")]
KeyOption = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).")]
AuthorityOption = Annotated[
    Path | None, typer.Option("--tls-ca", help="Authority that must have signed the certificates of others (PEM).")
]
TitleOption = Annotated[str, typer.Option(help="mammoscope's own AE title, to call with.")]
TlsOption = Annotated[bool, typer.Option("--tls/--no-tls", help="Speak TLS to TITLE@host:port.")]
MoveToOption = Annotated[
    str | None,
    typer.Option(
        help="Fetch from TITLE@host:port by C-MOVE to this AE title of ours, which it must know.",
        show_default="by C-GET",
    ),
]
ListenOption = Annotated[str, typer.Option(help="host:port on which --move-to listens.")]
CommitOption = Annotated[
    bool,
    typer.Option(
        "--commit/--no-commit", help="Count results as sent to TITLE@host:port only once it has committed to keep them."
    ),
]
CommitWithinOption = Annotated[
    float, typer.Option(min=0.1, help="Seconds in which it must report that; then it is asked again.")
]


def allow_option(default: str) -> Any:
    """Who may call, with what holds where nobody is named."""
    return typer.Option(
        help="Who may call: TITLE@address or TITLE@network/bits, * for any title; may be given several times.",
        show_default=default,
    )


def result_kinds(**asked: bool) -> tuple[str, ...]:
    """The kinds of results that are made, by whether each was asked for."""
    return ("sr", *(kind for kind, is_asked in asked.items() if is_asked))


def say_started(line: str) -> None:
    """Say what runs."""
    typer.echo(f"{NOTICE}\n{line}; Ctrl-C stops it.")
