"""The commands ``mammoscope pacs …``: parse, call, print. What a command needs is imported when it runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mammoscope import NOTICE
from mammoscope.cli.options import AuditOption, BundleOption, ThresholdOption

if TYPE_CHECKING:
    from mammoscope.pacs.settings import Node, Target, Tls, WebServer

app = typer.Typer(help="Fetch or receive mammograms, and send results to a PACS.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", help="Folder for the queue, and for images until they are done.")]
UrlArgument = Annotated[
    str,
    typer.Argument(
        help="Root of a DICOMweb server. User and password, or a token, come from MAMMOSCOPE_PACS_USER, "
        "MAMMOSCOPE_PACS_PASSWORD and MAMMOSCOPE_PACS_TOKEN."
    ),
]
SegOption = Annotated[bool, typer.Option("--seg/--no-seg", help="Make segmentations, which not every PACS takes.")]
CaptureOption = Annotated[
    bool, typer.Option("--sc", help="Also make a secondary capture of the overlay, for viewers that show no SR or SEG.")
]
AttemptsOption = Annotated[int, typer.Option(min=1, help="Failures after which an image is given up.")]
PauseOption = Annotated[float, typer.Option(min=0.01, help="Seconds until the second attempt; doubled each time.")]
HoldOption = Annotated[
    float, typer.Option(min=0, help="Seconds that an image For Processing waits for its twin For Presentation.")
]
FreeOption = Annotated[float, typer.Option(min=0, help="Gigabytes of the disk that images leave free.")]
CertificateOption = Annotated[Path | None, typer.Option("--tls-cert", help="Our TLS certificate (PEM).")]
KeyOption = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).")]
AuthorityOption = Annotated[
    Path | None, typer.Option("--tls-ca", help="Who must have signed the certificates of others (PEM).")
]


@app.command()
def pull(
    url: UrlArgument,
    studies: Annotated[list[str], typer.Argument(help="Study Instance UIDs.")],
    out: Annotated[Path, typer.Option(help="Folder for the DICOM files.")] = Path("mammoscope-images"),
    modality: Annotated[str, typer.Option(help="Images of this modality.")] = "MG",
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Fetch the mammograms of studies from a DICOMweb server, to be analysed with 'mammoscope analyze'."""
    from mammoscope.errors import MammoscopeError
    from mammoscope.files import write_bytes
    from mammoscope.pacs.dicomweb import DicomWeb
    from mammoscope.pacs.image_place import is_uid, key_of

    server = DicomWeb(_web_server(url, _tls(tls_cert, tls_key, tls_ca)))
    for study in studies:
        if not is_uid(study):
            raise MammoscopeError(f"{study!r} is no UID")
        images = server.instances(study, modality)
        if not images:
            raise MammoscopeError(f"the server has no image of modality {modality} in study {study}")
        for image in images:
            path = out / f"{key_of(image.sop_instance)}.dcm"
            write_bytes(path, server.fetch(image.study, image.series, image.sop_instance))
            typer.echo(path)


@app.command()
def push(
    target: Annotated[str, typer.Argument(help="TITLE@host:port, or the root of a DICOMweb server.")],
    files: Annotated[list[Path], typer.Argument(help="DICOM files, such as results of 'mammoscope analyze'.")],
    title: Annotated[str, typer.Option(help="Our AE title.")] = "MAMMOSCOPE",
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS to TITLE@host:port.")] = False,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Store DICOM files in a PACS, by C-STORE or by STOW-RS."""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import dcmread

    from mammoscope.errors import InputError
    from mammoscope.pacs.sender import archive_of
    from mammoscope.pacs.settings import checked_title

    files_of_tls = _tls(tls_cert, tls_key, tls_ca)
    archive = archive_of(_target(target, files_of_tls), checked_title(title), files_of_tls if tls else None)
    for path in files:
        try:
            dataset = dcmread(path)
        except (OSError, InvalidDicomError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a DICOM file"
            raise InputError(path, f"cannot be read ({reason})") from None
        archive.store([dataset])
        typer.echo(f"{path}: stored")


@app.command()
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
    """Analyse what is new on a DICOMweb server and store SR and SEG there. Ends with Ctrl-C; goes on where it was."""
    from mammoscope.pacs.service import Work
    from mammoscope.pacs.service import watch as run

    server = _web_server(url, _tls(tls_cert, tls_key, tls_ca))
    reserve = round(keep_free * 2**30)
    work = Work(data, _kinds(seg, sc), bundle, threshold, attempts, pause, hold, reserve=reserve, audit=audit)
    _log()
    run(
        server,
        work,
        every=every,
        modalities=tuple(modality or ("MG",)),
        since=since and since.date(),
        started=_started,
    )


@app.command()
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
    """Take in mammograms by C-STORE, and send SR and SEG on. Ends with Ctrl-C; goes on where it was.

    With --tls-cert it speaks TLS only; with --tls-ca callers must show a certificate.
    """
    from mammoscope.errors import MammoscopeError
    from mammoscope.pacs.service import Work
    from mammoscope.pacs.service import receive as run
    from mammoscope.pacs.settings import Caller, Listening, Node

    if report_to and not keep:
        raise MammoscopeError("--report-to is for storage commitment, which only --keep offers")
    files_of_tls = _tls(tls_cert, tls_key, tls_ca)
    listening = Listening(title, host, port, tuple(map(Caller.parse, allow or ())), files_of_tls)
    reported: tuple[Node, ...] = tuple(map(Node.parse, report_to or ()))
    reserve = round(keep_free * 2**30)
    work = Work(data, _kinds(seg, sc), bundle, threshold, attempts, pause, hold, keep, reserve, audit)
    _log()
    run(
        listening,
        _target(send_to, files_of_tls),
        work,
        calling_tls=files_of_tls if send_tls else None,
        report_to=reported,
        started=_started,
    )


@app.command()
def status(data: DataOption) -> None:
    """Say how many images each state has."""
    from mammoscope.pacs.image_queue import Store

    for state, count in Store(data, working=False).counts().items():
        typer.echo(f"{state}: {count}")


@app.command()
def dead(
    data: DataOption,
    retry: Annotated[bool, typer.Option("--retry", help="Have them tried again, from where they were.")] = False,
    key: Annotated[list[str] | None, typer.Option(help="Only these; can be given again.")] = None,
) -> None:
    """List the images that were given up, with the reason, or have them tried again."""
    from mammoscope.pacs.image_queue import State, Store

    store = Store(data, working=False)
    images = [image for image in store.images(State.DEAD) if not key or image.key in key]
    for image in images:
        typer.echo(f"{image.key}  {image.sop_instance}  {image.problem}")
    if retry:
        typer.echo(f"{store.revive(image.key for image in images)} are tried again")
    elif not images:
        typer.echo("none")


def _kinds(seg: bool, sc: bool) -> tuple[str, ...]:
    return ("sr", *(("seg",) if seg else ()), *(("sc",) if sc else ()))


def _tls(certificate: Path | None, key: Path | None, authority: Path | None) -> Tls:
    from mammoscope.pacs.settings import Tls

    return Tls(certificate, key, authority)


def _web_server(url: str, tls: Tls) -> WebServer:
    import os

    from mammoscope.pacs.settings import WebServer

    user, password, token = (os.environ.get(f"MAMMOSCOPE_PACS_{name}") for name in ("USER", "PASSWORD", "TOKEN"))
    return WebServer(url, user, password, token, tls)


def _target(text: str, tls: Tls) -> Target:
    from mammoscope.pacs.settings import Node, is_web

    return _web_server(text, tls) if is_web(text) else Node.parse(text)


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
