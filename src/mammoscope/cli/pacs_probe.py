"""The command ``mammoscope pacs probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mammoscope import NOTICE
from mammoscope.cli.pacs_options import AuthorityOption, CertificateOption, KeyOption

LINK_BROKEN = 4  # as of 'status': images do not come through


def probe(
    target: Annotated[
        str,
        typer.Argument(
            help="TITLE@host:port of 'receive', or the archive that is watched: the root of a DICOMweb server, or "
            "TITLE@host:port, given as --results too."
        ),
    ],
    results: Annotated[
        str | None,
        typer.Option(
            help="Where results are looked for: TITLE@host:port, or the root of a DICOMweb server.",
            show_default="the DICOMweb server that is watched",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the service's queue, to see where the exam is.", show_default="not looked into"),
    ] = None,
    monitor: Annotated[
        str | None, typer.Option(help="host:port of the service's --monitor.", show_default="not asked")
    ] = None,
    within: Annotated[
        float, typer.Option(min=1, max=86_400, help="Seconds for the results to come, once the exam is stored.")
    ] = 180.0,
    title: Annotated[str, typer.Option(help="AE title that the probe calls with.")] = "MAMMOSCOPE",
    tls: Annotated[bool, typer.Option("--tls/--no-tls", help="Speak TLS to TITLE@host:port of 'receive'.")] = False,
    results_tls: Annotated[
        bool, typer.Option("--results-tls/--no-results-tls", help="Speak TLS to TITLE@host:port of --results.")
    ] = False,
    tls_cert: CertificateOption = None,
    tls_key: KeyOption = None,
    tls_ca: AuthorityOption = None,
    as_json: Annotated[bool, typer.Option("--json/--no-json", help="Print one JSON object.")] = False,
) -> None:
    """Send a synthetic exam through a running service, and name the link that is broken.

    It is stored at TARGET, must be analysed by 'receive' or 'watch', and its results must be found. Each link counts as
    working only once the exam has passed it. What can be removed is removed, and what stays is said. Exits with 0, or
    with 4 if a link is broken.
    """
    import json

    from mammoscope.cli.pacs_log import silence_dicom
    from mammoscope.errors import MammoscopeError
    from mammoscope.pacs.probe.run import Probe, peer_of
    from mammoscope.pacs.probe.service import Service
    from mammoscope.pacs.settings import Address, Node, checked_title, parse_target
    from mammoscope.peers.tls import Tls

    files = Tls(tls_cert, tls_key, tls_ca)
    stored_at = parse_target(target, files)
    if isinstance(stored_at, Node) is (results is None):
        raise MammoscopeError(
            "--results must say where 'receive' sends its results, so that they can be looked for; "
            "it is the same as TARGET where that is an archive which is watched"
            if results is None
            else "--results is for 'receive': 'watch' stores results on the server that it watches"
        )
    service = Service(data, None if monitor is None else Address.parse(monitor))
    ours = checked_title(title)
    first = peer_of(stored_at, ours, files if tls else None)
    looked_in = stored_at if results is None else parse_target(results, files)
    last = first if looked_in == stored_at else peer_of(looked_in, ours, files if results_tls else None)
    silence_dicom()
    outcome = Probe(first, last, service, within).run()
    if as_json:
        typer.echo(json.dumps(outcome.to_json()))
    else:
        typer.echo("\n".join([NOTICE, f"synthetic exam: study {outcome.study}", *outcome.lines()]))
    if outcome.broken is not None:
        raise typer.Exit(LINK_BROKEN)
