"""An archive that images are taken from, and how: over DICOMweb, or as a DICOM application."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.commitment_user import CommitmentUser
from mammoscope.pacs.dicom_archive import DicomArchive
from mammoscope.pacs.move_destination import MoveDestination
from mammoscope.pacs.settings import DEFAULT_TITLE, Address, Caller, Listening, Node, Target, checked_title, is_loopback
from mammoscope.peers.dicomweb import DicomWeb
from mammoscope.peers.found import Source
from mammoscope.peers.tls import Tls
from mammoscope.peers.web_server import WebServer


@dataclass(frozen=True)
class ImageArchive:
    """An archive, and how it is talked to.

    Attributes
    ----------
    target
        Where it is.
    title
        mammoscope's own AE title, for a DICOM application.
    tls
        For a DICOM application; None: unencrypted.
    destination
        Where a DICOM application sends what is asked for on associations of its own; None: nowhere.
    by_move
        Whether images are fetched by C-MOVE to this; otherwise by C-GET.
    """

    target: Target
    title: str = DEFAULT_TITLE
    tls: Tls | None = None
    destination: Listening | None = None
    by_move: bool = False

    @classmethod
    def parse(
        cls,
        text: str,
        title: str,
        tls: Tls,
        *,
        speaks_tls: bool,
        move_to: str | None,
        listen: str,
        allow: Sequence[str],
        commit: bool = False,
    ) -> ImageArchive:
        """From what stands on a command line.

        Parameters
        ----------
        text
            ``TITLE@host:port``, or the URL of a DICOMweb server.
        title
            mammoscope's own AE title.
        tls
            Files for ``https``, and for a DICOM application if ``speaks_tls``.
        move_to, listen, allow
            Title, ``host:port`` and callers of the destination of C-MOVE; without a title there is none, and without
            callers the archive's addresses may call.
        commit
            Whether reports of storage commitment come there, too.

        Raises
        ------
        MammoscopeError
            One of these is not valid, or not for this archive.
        """
        if "@" not in text or "://" in text:
            for name, is_given in {"--tls": speaks_tls, "--move-to": move_to is not None, "--commit": commit}.items():
                if is_given:
                    raise MammoscopeError(f"{name} is for TITLE@host:port, not for the URL of a DICOMweb server")
            return cls(WebServer.from_environment(text, tls))
        node = Node.parse(text)
        used = tls if speaks_tls else None
        if move_to is None and not commit:
            if allow:
                raise MammoscopeError("--allow is for who may call at --listen: give --move-to or --commit as well")
            return cls(node, checked_title(title), used)
        if commit and move_to not in (None, title):
            raise MammoscopeError(
                f"reports of storage commitment come to --title: --move-to {move_to} must be the same as it, {title}"
            )
        address = Address.parse(listen)
        callers = tuple(map(Caller.parse, allow))
        if not callers and not is_loopback(address.host):
            callers = _at(node.host)
        destination = Listening(move_to or title, address.host, address.port, callers, used or Tls())
        return cls(node, checked_title(title), used, destination, move_to is not None)

    def __str__(self) -> str:
        return str(self.target)

    @contextmanager
    def sources(self, number: int, reports: CommitmentUser | None = None) -> Iterator[list[Source]]:
        """As many as threads need, while the block runs; ``reports`` are taken meanwhile.

        Raises
        ------
        MammoscopeError
            The address cannot be listened on, or a TLS file cannot be used.
        """
        if isinstance(self.target, WebServer):
            yield [DicomWeb(self.target) for _ in range(number)]
            return
        tls = None if self.tls is None else self.tls.for_calling()
        destination = None if self.destination is None else MoveDestination(self.destination, reports)
        moves_to = destination if self.by_move else None
        if destination is not None:
            destination.start()
        try:
            yield [DicomArchive(self.target, self.title, tls, moves_to) for _ in range(number)]
        finally:
            if destination is not None:
                destination.stop()


def _at(host: str) -> tuple[Caller, ...]:
    """Callers of any title from the addresses of a host."""
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        raise MammoscopeError(f"the name {host} is not known here: say who may call with --allow") from None
    return tuple(Caller.parse(f"*@{address}") for address in sorted(addresses))
