"""An archive that images are taken from, and how: over DICOMweb, or as a DICOM application."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mammoscope.errors import MammoscopeError
from mammoscope.pacs.dicom_archive import DicomArchive
from mammoscope.pacs.dicomweb import DicomWeb
from mammoscope.pacs.found import Source
from mammoscope.pacs.move_destination import MoveDestination
from mammoscope.pacs.settings import (
    DEFAULT_TITLE,
    Address,
    Caller,
    Listening,
    Node,
    Target,
    Tls,
    WebServer,
    checked_title,
    is_loopback,
)


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
        Where a DICOM application sends images by C-MOVE; None: they are fetched by C-GET.
    """

    target: Target
    title: str = DEFAULT_TITLE
    tls: Tls | None = None
    destination: Listening | None = None

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

        Raises
        ------
        MammoscopeError
            One of these is not valid, or not for this archive.
        """
        if "@" not in text or "://" in text:
            if speaks_tls or move_to is not None:
                what = "--tls" if speaks_tls else "--move-to"
                raise MammoscopeError(f"{what} is for TITLE@host:port, not for the URL of a DICOMweb server")
            return cls(WebServer.from_environment(text, tls))
        node = Node.parse(text)
        used = tls if speaks_tls else None
        if move_to is None:
            if allow:
                raise MammoscopeError("--allow is for who may call on C-MOVE: give --move-to as well")
            return cls(node, checked_title(title), used)
        address = Address.parse(listen)
        callers = tuple(map(Caller.parse, allow))
        if not callers and not is_loopback(address.host):
            callers = _at(node.host)
        return cls(
            node, checked_title(title), used, Listening(move_to, address.host, address.port, callers, used or Tls())
        )

    def __str__(self) -> str:
        return str(self.target)

    @contextmanager
    def sources(self, number: int) -> Iterator[list[Source]]:
        """As many as threads need, while the block runs; raises ``MammoscopeError`` if it cannot be listened."""
        if isinstance(self.target, WebServer):
            yield [DicomWeb(self.target) for _ in range(number)]
            return
        destination = None if self.destination is None else MoveDestination(self.destination)
        tls = None if self.tls is None else self.tls.for_calling()
        if destination is not None:
            destination.start()
        try:
            yield [DicomArchive(self.target, self.title, tls, destination) for _ in range(number)]
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
