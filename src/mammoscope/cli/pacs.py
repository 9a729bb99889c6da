"""The commands ``mammoscope pacs …``: parse, call, print. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mammoscope.cli.pacs_options import (
    AuthorityOption,
    CertificateOption,
    DataOption,
    KeyOption,
    ListenOption,
    MoveToOption,
    TitleOption,
    TlsOption,
    UrlArgument,
    allow_option,
)
from mammoscope.cli.pacs_probe import probe
from mammoscope.cli.pacs_receive import receive
from mammoscope.cli.pacs_watch import watch

app = typer.Typer(help="Fetch or receive mammograms, and send results to a PACS.", no_args_is_help=True)


def pull(
    url: UrlArgument,
    studies: Annotated[list[str], typer.Argument(help="Study Instance UIDs.")],
    out: Annotated[Path, typer.Option(help="Folder for the DICOM files.")] = Path("mammoscope-images"),
    modality: Annotated[str, typer.Option(help="Images of this modality.")] = "MG",
    title: TitleOption = "MAMMOSCOPE",
    move_to: MoveToOption = None,
    listen: ListenOption = "127.0.0.1:11112",
    allow: Annotated[list[str] | None, allow_option("the archive's address")] = None,
    tls: TlsOption = False,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Fetch the mammograms of studies from an archive, to be analysed with 'mammoscope analyze'."""
    from mammoscope.cli.pacs_log import silence_dicom
    from mammoscope.errors import MammoscopeError
    from mammoscope.files import replacing
    from mammoscope.pacs.image_archive import ImageArchive
    from mammoscope.pacs.image_place import key_of
    from mammoscope.peers.tls import Tls
    from mammoscope.readers.uids import kept_uid

    for study in studies:
        if kept_uid(study) is None:
            raise MammoscopeError(f"{study!r} is not a valid UID")
    archive = ImageArchive.parse(
        url, title, Tls(tls_cert, tls_key, tls_ca), speaks_tls=tls, move_to=move_to, listen=listen, allow=allow or ()
    )
    silence_dicom()
    with archive.sources(1) as (source,):
        for study in studies:
            images, is_whole = source.instances(study, modality)
            if not images:
                raise MammoscopeError(f"{archive} has no image of modality {modality} in study {study}")
            if not is_whole:
                typer.echo(f"the list of images of study {study} cannot be read to its end", err=True)
            for image in images:
                path = out / f"{key_of(image.sop_instance)}.dcm"
                with (
                    replacing(path) as temporary,
                    temporary.open("wb") as stream,
                    source.fetch(image.study, image.series, image.sop_instance) as blocks,
                ):
                    stream.writelines(blocks)
                typer.echo(path)


def push(
    target: Annotated[str, typer.Argument(help="TITLE@host:port, or the root of a DICOMweb server.")],
    files: Annotated[list[Path], typer.Argument(help="DICOM files, such as results of 'mammoscope analyze'.")],
    title: Annotated[str, typer.Option(help="mammoscope's own AE title.")] = "MAMMOSCOPE",
    tls: Annotated[bool, typer.Option("--tls/--no-tls", help="Speak TLS to TITLE@host:port.")] = False,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
) -> None:
    """Store DICOM files in a PACS, by C-STORE or by STOW-RS."""
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import dcmread

    from mammoscope.errors import InputError
    from mammoscope.pacs.sender import archive_of
    from mammoscope.pacs.settings import checked_title, parse_target
    from mammoscope.peers.tls import Tls

    files_of_tls = Tls(tls_cert, tls_key, tls_ca)
    archive = archive_of(parse_target(target, files_of_tls), checked_title(title), files_of_tls if tls else None)
    for path in files:
        try:
            dataset = dcmread(path)
        except (OSError, InvalidDicomError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a DICOM file"
            raise InputError(path, f"cannot be read ({reason})") from None
        archive.store([dataset])
        typer.echo(f"{path}: stored")


def status(
    data: DataOption,
    as_json: Annotated[bool, typer.Option("--json/--no-json", help="Print one JSON object.")] = False,
    longest_wait: Annotated[
        float, typer.Option(min=0, help="Seconds after which a waiting image is said to be stuck.")
    ] = 3600.0,
) -> None:
    """Count the images in each state, and say what is wrong.

    Exits with 0 if all is well, 1 if a person should look (dead letters, studies set aside), 2 if no queue can be read,
    and 4 if images are stuck: they wait for too long, or neither 'watch' nor 'receive' runs.
    """
    import json

    from mammoscope.pacs.status import status_of

    found = status_of(data, longest_wait)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        for state, count in found.counts.items():
            typer.echo(f"{state}: {count}")
        if found.oldest_waiting is not None:
            typer.echo(f"oldest waiting image: {found.oldest_waiting:.0f} s")
        for _, problem in found.problems:
            typer.echo(problem)
    if found.verdict:
        raise typer.Exit(found.verdict)


def dead(
    data: DataOption,
    retry: Annotated[bool, typer.Option("--retry", help="Try them again, from the step that failed.")] = False,
    key: Annotated[list[str] | None, typer.Option(help="Only these; may be given several times.")] = None,
) -> None:
    """List the images that failed for good, with the reason, or try them again."""
    from mammoscope.pacs.image_queue import ImageQueue
    from mammoscope.pacs.queued_image import ImageState

    queue = ImageQueue(data, working=False)
    images = [image for image in queue.images(ImageState.DEAD) if not key or image.key in key]
    for image in images:
        typer.echo(f"{image.key}  {image.sop_instance}  {image.problem}")
    if retry:
        typer.echo(f"{queue.revive(image.key for image in images)} are tried again")
    elif not images:
        typer.echo("none")


def rebuild(data: DataOption) -> None:
    """Make a queue's damaged states anew, from what can be read of them and from its images; nothing must run on it."""
    from mammoscope.pacs.rebuild import rebuild as run

    rebuilt = run(data)
    typer.echo(f"{rebuilt.rows} states and notes read, {rebuilt.images} images without one are analysed again")
    for key in rebuilt.unreadable:
        typer.echo(f"{key}: its image cannot be read; it was moved to {data / 'unreadable'}", err=True)


for _command in (pull, push, watch, receive, status, probe, dead, rebuild):
    app.command()(_command)
