"""The commands ``mammoscope pacs watch`` and ``receive``, which run until they are told to stop."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from mammoscope import NOTICE
from mammoscope.cli.options import AuditOption, BundleOption, ThresholdOption
from mammoscope.cli.pacs_options import (
    AttemptsOption,
    AuthorityOption,
    CaptureOption,
    CertificateOption,
    DataOption,
    FreeOption,
    HoldOption,
    KeyOption,
    PauseOption,
    SegOption,
    UrlArgument,
)


def watch(
    url: UrlArgument,
    data: DataOption,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 30.0,
    modality: Annotated[list[str] | None, typer.Option(help="Images of these modalities.", show_default="MG")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Studies dated from this day on.",
            show_default="from two days before the last good look on, or before the first",
        ),
    ] = None,
    bundle: BundleOption = None,
    threshold: ThresholdOption = None,
    seg: SegOption = True,
    sc: CaptureOption = False,
    attempts: AttemptsOption = 8,
    pause: PauseOption = 5.0,
    hold: HoldOption = 120.0,
    keep_free: FreeOption = 0.5,
    audit: AuditOption = None,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Analyse what is new on a DICOMweb server and store SR and SEG there. Ends with Ctrl-C; resumes where it was."""
    from mammoscope.pacs.service import watch as run
    from mammoscope.pacs.settings import QueueSettings, Tls, WebServer

    server = WebServer.from_environment(url, Tls(tls_cert, tls_key, tls_ca))
    reserve = round(keep_free * 2**30)
    settings = QueueSettings(
        data, _kinds(seg, sc), bundle, threshold, attempts, pause, hold, reserve=reserve, audit=audit
    )
    _log()
    run(
        server,
        settings,
        every=every,
        modalities=tuple(modality or ("MG",)),
        since=since and since.date(),
        started=_started,
    )


def receive(
    send_to: Annotated[str, typer.Option(help="Where results go: TITLE@host:port, or the root of a DICOMweb server.")],
    data: DataOption,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs --allow.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 11112,
    title: Annotated[str, typer.Option(help="Our AE title.")] = "MAMMOSCOPE",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Who may call: TITLE@address or TITLE@network/bits, * for any title; can be given again.",
            show_default="anybody on this machine",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep images that are done, and answer requests for storage commitment.")
    ] = False,
    report_to: Annotated[
        list[str] | None,
        typer.Option(
            help="TITLE@host:port that gets reports of storage commitment on an association of its own.",
            show_default="the one on which they were asked for",
        ),
    ] = None,
    send_tls: Annotated[bool, typer.Option("--send-tls", help="Speak TLS to TITLE@host:port as well.")] = False,
    bundle: BundleOption = None,
    threshold: ThresholdOption = None,
    seg: SegOption = True,
    sc: CaptureOption = False,
    attempts: AttemptsOption = 8,
    pause: PauseOption = 5.0,
    hold: HoldOption = 120.0,
    keep_free: FreeOption = 0.5,
    audit: AuditOption = None,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Take in mammograms by C-STORE, and send SR and SEG on. Ends with Ctrl-C; resumes where it was.

    With --tls-cert it speaks TLS only; with --tls-ca callers must show a certificate.
    """
    from mammoscope.errors import MammoscopeError
    from mammoscope.pacs.service import receive as run
    from mammoscope.pacs.settings import Caller, Listening, Node, QueueSettings, Tls, parse_target

    if report_to and not keep:
        raise MammoscopeError("--report-to is for storage commitment, which only --keep offers")
    files_of_tls = Tls(tls_cert, tls_key, tls_ca)
    listening = Listening(title, host, port, tuple(map(Caller.parse, allow or ())), files_of_tls)
    reported: tuple[Node, ...] = tuple(map(Node.parse, report_to or ()))
    reserve = round(keep_free * 2**30)
    settings = QueueSettings(data, _kinds(seg, sc), bundle, threshold, attempts, pause, hold, keep, reserve, audit)
    _log()
    run(
        listening,
        parse_target(send_to, files_of_tls),
        settings,
        calling_tls=files_of_tls if send_tls else None,
        report_to=reported,
        started=_started,
    )


def _kinds(seg: bool, sc: bool) -> tuple[str, ...]:
    return ("sr", *(("seg",) if seg else ()), *(("sc",) if sc else ()))


def _log() -> None:
    """Log to standard error; the libraries quote what they send and receive, so they may not."""
    import logging

    from pynetdicom import _config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in ("pynetdicom", "pydicom", "dicomweb_client", "urllib3", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _config.LOG_HANDLER_LEVEL = "none"


def _started(line: str) -> None:
    typer.echo(f"{NOTICE}\n{line}; Ctrl-C ends.")
