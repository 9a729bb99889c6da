"""The command ``mammoscope pacs receive``, which runs until it is stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from mammoscope.cli.options import AuditOption, BundleOption, ThresholdOption
from mammoscope.cli.pacs_log import log_service
from mammoscope.cli.pacs_options import (
    AttemptsOption,
    AuthorityOption,
    CadOption,
    CaptureOption,
    CertificateOption,
    CommitOption,
    CommitWithinOption,
    DataOption,
    ExamReportOption,
    ExamWaitOption,
    FileDaysOption,
    FreeOption,
    HoldOption,
    KeyOption,
    MonitorOption,
    PauseOption,
    RowDaysOption,
    SegOption,
    SelectionOption,
    StateOption,
    allow_option,
    result_kinds,
    say_started,
)


def receive(
    send_to: Annotated[str, typer.Option(help="Where results go: TITLE@host:port, or the root of a DICOMweb server.")],
    data: DataOption,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any other than this machine's own needs --allow.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 11112,
    title: Annotated[str, typer.Option(help="mammoscope's own AE title.")] = "MAMMOSCOPE",
    allow: Annotated[list[str] | None, allow_option("any caller on this machine")] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep/--no-keep", help="Keep images that are done, and answer requests for storage commitment."),
    ] = False,
    report_to: Annotated[
        list[str] | None,
        typer.Option(
            help="TITLE@host:port that gets reports of storage commitment on a separate association.",
            show_default="the association of the request",
        ),
    ] = None,
    send_tls: Annotated[
        bool, typer.Option("--send-tls/--no-send-tls", help="Speak TLS to TITLE@host:port as well.")
    ] = False,
    bundle: BundleOption = None,
    threshold: ThresholdOption = None,
    seg: SegOption = True,
    sc: CaptureOption = False,
    gsps: StateOption = False,
    cad: CadOption = False,
    ko: SelectionOption = False,
    exam_sr: ExamReportOption = False,
    attempts: AttemptsOption = 8,
    pause: PauseOption = 5.0,
    hold: HoldOption = 120.0,
    exam_wait: ExamWaitOption = 60.0,
    commit: CommitOption = False,
    commit_within: CommitWithinOption = 600.0,
    keep_free: FreeOption = 0.5,
    audit: AuditOption = None,
    file_days: FileDaysOption = None,
    row_days: RowDaysOption = None,
    monitor: MonitorOption = None,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Receive mammograms by C-STORE, and send SR and SEG. Ctrl-C stops it; the next start resumes.

    With --tls-cert it speaks TLS only; with --tls-ca callers must show a certificate.
    """
    from mammoscope.errors import MammoscopeError
    from mammoscope.pacs.service import receive as run
    from mammoscope.pacs.settings import Address, Caller, Listening, Node, QueueSettings, Retention, parse_target
    from mammoscope.peers.tls import Tls

    if file_days is not None and not keep:
        raise MammoscopeError("--file-days is for files that --keep leaves")
    if report_to and not keep:
        raise MammoscopeError("--report-to is for storage commitment, which only --keep offers")
    files_of_tls = Tls(tls_cert, tls_key, tls_ca)
    listening = Listening(title, host, port, tuple(map(Caller.parse, allow or ())), files_of_tls)
    settings = QueueSettings(
        data,
        result_kinds(seg=seg, sc=sc, gsps=gsps, cad=cad),
        bundle,
        threshold,
        attempts,
        pause,
        hold,
        keep,
        round(keep_free * 2**30),
        audit,
        Retention(file_days, row_days),
        None if monitor is None else Address.parse(monitor),
        exam_wait,
        ko,
        commit_within=commit_within if commit else None,
        exam_report=exam_sr,
    )
    log_service()
    run(
        listening,
        parse_target(send_to, files_of_tls),
        settings,
        calling_tls=files_of_tls if send_tls else None,
        report_to=tuple(map(Node.parse, report_to or ())),
        started=say_started,
    )
