"""Settings of the server, which refuse what would not be safe."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.readers.limits import DEFAULT_LIMITS, Limits

_TOKEN = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True)
class UploadLimits:
    """Limits of one upload.

    Attributes
    ----------
    bytes
        Of the whole request, and again of the content of its ZIP archives.
    files
        In one upload, those in ZIP archives included.
    pixels
        In one image.
    """

    bytes: int = 2 << 30
    files: int = 100
    pixels: int = DEFAULT_LIMITS.max_pixels

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise MammoscopeError(f"the limit on {name} is {value}, it must be 1 or more")

    def for_reader(self) -> Limits:
        """The limits under which each file is read."""
        return Limits(file_bytes=min(self.bytes, DEFAULT_LIMITS.file_bytes), max_pixels=self.pixels)


@dataclass(frozen=True)
class ServerSettings:
    """Where the server listens, who may talk to it, and what it keeps.

    Attributes
    ----------
    host, port
        Address to listen on; port 0 takes a free one.
    token
        Secret that a client must send; None: none is needed, which only a loopback address allows.
    data
        Folder that keeps analyses; None: they are removed when the server ends.
    allowed_hosts
        Further names that a client may call the server by, each ``name`` (with the server's port, or none) or
        ``name:port``.
    limits
        Limits of one upload.
    queue
        Most files that wait for their analysis.
    reserve
        Bytes of the disk to keep free: an upload that would leave less is refused.
    floor
        Detection score down to which candidates are outlined and sent, so that a reader can lower the threshold without
        a new analysis; each costs time. The bundle's floor and threshold bound it.
    bundle
        Folder of the model bundle; None: the built-in one.
    audit
        Folder of the audit trail; None: there is none.

    Raises
    ------
    MammoscopeError
        A setting is impossible or not safe; says which, and what would be right.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    data: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    limits: UploadLimits = field(default_factory=UploadLimits)
    queue: int = 200
    reserve: int = 1 << 29
    floor: float = 0.1
    bundle: Path | None = None
    audit: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise MammoscopeError(f"the port is {self.port}, it must be in the range (0, 65535)")
        if self.queue < 1:
            raise MammoscopeError(f"the queue's length is {self.queue}, it must be 1 or more")
        if self.reserve < 0:
            raise MammoscopeError(f"the reserve is {self.reserve} bytes, it must be 0 or more")
        if not 0 <= self.floor <= 1:
            raise MammoscopeError(f"the floor is {self.floor}, it must be in the range (0, 1)")
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise MammoscopeError("the token must be one or more visible ASCII characters, without spaces")
        if not self.is_loopback and self.token is None:
            raise MammoscopeError(
                f"{self.host} can be reached from other machines, and mammograms are patients' data: set a token, "
                "or listen on 127.0.0.1"
            )
        for name in self.allowed_hosts:
            host, _, port = name.rpartition(":") if re.search(r":\d+$", name) else (name, "", "")
            if not _HOST.fullmatch(host) or (port and int(port) > 65535):
                raise MammoscopeError(
                    f"{name!r} is not a host name, expected one like 'reading.example.org' or 'name:8000'"
                )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def address(self) -> str:
        """Where the page is, as a browser on this machine takes it; without the token."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (not bound to)
        return f"http://{_bracketed(host)}:{self.port}/"

    def host_headers(self) -> frozenset[str]:
        """Every value of the Host header that is right, in lower case."""
        names = {"127.0.0.1", "localhost", "[::1]", _bracketed(self.host)}
        exact = {f"{name}:{self.port}" for name in names} | (names if self.port == 80 else set())
        for name in self.allowed_hosts:
            exact |= {name} if re.search(r":\d+$", name) else {name, f"{name}:{self.port}"}
        return frozenset(name.lower() for name in exact)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
