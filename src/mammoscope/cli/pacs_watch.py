"""The command ``mammoscope pacs watch``, which runs until it is stopped."""

from __future__ import annotations

from datetime import datetime
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
    FreeOption,
    HoldOption,
    KeyOption,
    ListenOption,
    MonitorOption,
    MoveToOption,
    PauseOption,
    RowDaysOption,
    SegOption,
    SelectionOption,
    StateOption,
    TitleOption,
    TlsOption,
    UrlArgument,
    allow_option,
    result_kinds,
    say_started,
)


def watch(
    url: UrlArgument,
    data: DataOption,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two queries.")] = 30.0,
    sweep_every: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two queries for all studies, whatever their date.")
    ] = 3600.0,
    modality: Annotated[list[str] | None, typer.Option(help="Images of these modalities.", show_default="MG")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Studies dated from this day on.",
            show_default="from two days before the last successful query, or before the first",
        ),
    ] = None,
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
    row_days: RowDaysOption = None,
    monitor: MonitorOption = None,
    title: TitleOption = "MAMMOSCOPE",
    move_to: MoveToOption = None,
    listen: ListenOption = "127.0.0.1:11112",
    allow: Annotated[list[str] | None, allow_option("the archive's address")] = None,
    tls: TlsOption = False,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Analyse new images of an archive and store SR and SEG there. Ctrl-C stops it; the next start resumes.

    A DICOM application is searched by C-FIND, and images are fetched by C-GET, or with --move-to by C-MOVE.
    """
    from mammoscope.pacs.image_archive import ImageArchive
    from mammoscope.pacs.service import watch as run
    from mammoscope.pacs.settings import Address, QueueSettings, Retention
    from mammoscope.peers.tls import Tls

    archive = ImageArchive.parse(
        url,
        title,
        Tls(tls_cert, tls_key, tls_ca),
        speaks_tls=tls,
        move_to=move_to,
        listen=listen,
        allow=allow or (),
        commit=commit,
    )
    settings = QueueSettings(
        data,
        result_kinds(seg=seg, sc=sc, gsps=gsps, cad=cad),
        bundle,
        threshold,
        attempts,
        pause,
        hold,
        reserve=round(keep_free * 2**30),
        audit=audit,
        retention=Retention(row_days=row_days),
        monitor=None if monitor is None else Address.parse(monitor),
        exam_wait=exam_wait,
        key_objects=ko,
        exam_report=exam_sr,
        commit_within=commit_within if commit else None,
    )
    log_service()
    run(
        archive,
        settings,
        every=every,
        sweep_every=sweep_every,
        modalities=tuple(modality or ("MG",)),
        since=since and since.date(),
        started=say_started,
    )
