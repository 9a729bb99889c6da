"""Other systems, who may call, and how: parsed once, and refused if it would not be safe."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.peers.tls import SYSTEMS_TRUST, Tls
from mammoscope.peers.web_server import WebServer

DEFAULT_TITLE = "MAMMOSCOPE"
_MOST_DAYS = 36_500
_TITLE = re.compile(r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?")  # PS3.5 6.2, AE: 16 characters, no backslash
_NODE = re.compile(r"(?P<title>.+)@(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")

_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def checked_title(title: str) -> str:
    """A valid AE title; raises ``MammoscopeError`` for any other."""
    if not _TITLE.fullmatch(title):
        raise MammoscopeError(
            f"{title!r} is not an AE title, expected 1 to 16 ASCII characters, no backslash, no space at an end"
        )
    return title


@dataclass(frozen=True)
class Node:
    """Another DICOM application: its AE title and where it listens."""

    title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Node:
        """From ``TITLE@host:port``; raises ``MammoscopeError`` for anything else."""
        found = _NODE.fullmatch(text)
        if not found or not 1 <= int(found["port"]) <= 65535:
            raise MammoscopeError(f"{text!r} is not a DICOM application, expected one like 'PACS@10.0.0.5:104'")
        return cls(checked_title(found["title"]), found["host"].strip("[]"), int(found["port"]))

    def __str__(self) -> str:
        return f"{self.title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Caller:
    """Somebody who may call.

    Attributes
    ----------
    title
        Its AE title; None: any.
    network
        Addresses that it may call from.
    """

    title: str | None
    network: Network

    @classmethod
    def parse(cls, text: str) -> Caller:
        """From ``TITLE@address``, ``TITLE@network/bits``, or with ``*`` for any title; raises ``MammoscopeError``."""
        title, _, address = text.rpartition("@")
        try:
            network = ipaddress.ip_network(address)
        except ValueError:
            network = None
        if network is None or not title:
            raise MammoscopeError(f"{text!r} is not a caller, expected one like 'MODALITY@10.0.0.7' or '*@10.0.0.0/24'")
        return cls(None if title == "*" else checked_title(title), network)

    def matches(self, title: str | None, address: str) -> bool:
        """Whether this is who calls; a title of None is not known yet."""
        place = ipaddress.ip_address(address)
        place = getattr(place, "ipv4_mapped", None) or place
        return place in self.network and (title is None or self.title is None or title == self.title)


Target = Node | WebServer


def parse_target(text: str, tls: Tls) -> Target:
    """From ``TITLE@host:port`` or the URL of a DICOMweb server; raises ``MammoscopeError`` if it is neither."""
    if text.startswith(("http://", "https://")):
        return WebServer.from_environment(text, tls)
    return Node.parse(text)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; raises ``MammoscopeError`` if it is none."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise MammoscopeError(
            f"{host!r} is not an address to listen on, expected one like 127.0.0.1 or 0.0.0.0"
        ) from None


@dataclass(frozen=True)
class Listening:
    """Where a receiver listens and who may call it.

    Attributes
    ----------
    title, host, port
        Its AE title and address; port 0 takes a free one.
    callers
        Who may call; empty: any caller on this machine, which only a loopback address allows.
    tls
        With a certificate it accepts only TLS.
    """

    title: str = DEFAULT_TITLE
    host: str = "127.0.0.1"
    port: int = 11112
    callers: tuple[Caller, ...] = ()
    tls: Tls = SYSTEMS_TRUST

    def __post_init__(self) -> None:
        checked_title(self.title)
        if not is_loopback(self.host) and not self.callers:
            raise MammoscopeError(
                f"{self.host} can be reached from other machines, and whoever reaches it could send files: say who may "
                "call with --allow TITLE@ADDRESS, or listen on 127.0.0.1"
            )

    def allows(self, title: str | None, address: str) -> bool:
        """Whether somebody may call; a title of None is not known yet."""
        if not self.callers:
            return ipaddress.ip_address(address).is_loopback
        return any(caller.matches(title, address) for caller in self.callers)


@dataclass(frozen=True)
class Address:
    """Where something listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """From ``host:port``, port 0 for a free one; raises ``MammoscopeError`` for anything else."""
        found = _ADDRESS.fullmatch(text)
        if not found or int(found["port"]) > 65535:
            raise MammoscopeError(f"{text!r} is not an address to listen on, expected one like '127.0.0.1:9105'")
        return cls(found["host"].strip("[]"), int(found["port"]))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Retention:
    """How long what is done is kept.

    Attributes
    ----------
    file_days
        Days after which files that ``--keep`` left of an image are removed; None: they stay.
    row_days
        Days after which rows of images that are done, and dead letters with their files, are removed; None: they stay.
    """

    file_days: float | None = None
    row_days: float | None = None

    def __post_init__(self) -> None:
        for name, days in vars(self).items():
            if days is not None and not 0 < days <= _MOST_DAYS:
                raise MammoscopeError(f"{name} is {days:g}, it must be above 0 and at most {_MOST_DAYS}")


@dataclass(frozen=True)
class QueueSettings:
    """How images are analysed and results sent, wherever the images come from.

    Attributes
    ----------
    data
        Folder of the queue.
    kinds
        Which results are made, of ``writers.dicom.results.ResultKind``.
    bundle
        Folder of the model bundle; None: the built-in one.
    threshold
        Detection score from which regions are reported; None: the bundle's.
    attempts, first_pause
        Failures after which an image becomes a dead letter, and seconds until the second attempt.
    hold
        Seconds that an image For Processing waits for the same exposure For Presentation.
    keep
        Leave the files of images that are done.
    reserve
        Bytes of the disk to keep free.
    audit
        Folder of the audit trail; None: there is none.
    retention
        How long what is done is kept.
    monitor
        Where ``/metrics`` and ``/ready`` are; None: nowhere.
    exam_wait
        Seconds without a further image after which an exam is whole, where models look at whole exams.
    key_objects, exam_report
        Whether a Key Object Selection, and a structured report on the exam, are made of what is analysed together.
    commit_within
        Seconds in which an archive must report that it keeps results; None: it is not asked.
    """

    data: Path
    kinds: tuple[str, ...] = ("sr", "seg")
    bundle: Path | None = None
    threshold: float | None = None
    attempts: int = 8
    first_pause: float = 5.0
    hold: float = 120.0
    keep: bool = False
    reserve: int = 1 << 29
    audit: Path | None = None
    retention: Retention = Retention()
    monitor: Address | None = None
    exam_wait: float = 60.0
    key_objects: bool = False
    commit_within: float | None = None
    exam_report: bool = False
