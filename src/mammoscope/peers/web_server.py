"""Where a DICOMweb server is, and what it must be shown."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from mammoscope.errors import MammoscopeError
from mammoscope.peers.tls import SYSTEMS_TRUST, Tls


@dataclass(frozen=True)
class WebServer:
    """A DICOMweb server.

    Attributes
    ----------
    url
        Root of its services: ``https://pacs.example.org/dicom-web``.
    user, password, token
        Credentials: basic authentication, or a bearer token. They come from the environment, never from a URL.
    tls
        For ``https``.
    """

    url: str
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls: Tls = SYSTEMS_TRUST

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid or parts.query or parts.fragment:
            raise MammoscopeError(
                "not the URL of a DICOMweb server, expected one like 'https://pacs.example.org/dicom-web'"
            )
        if parts.username or parts.password:
            raise MammoscopeError(
                "the URL holds a user name, which logs and process lists would show: "
                "set MAMMOSCOPE_PACS_USER and MAMMOSCOPE_PACS_PASSWORD"
            )

    @classmethod
    def from_environment(cls, url: str, tls: Tls) -> WebServer:
        """With what MAMMOSCOPE_PACS_USER, _PASSWORD and _TOKEN say, and _CA where ``tls`` names no authority.

        Raises as the class does.
        """
        user, password, token, authority = (
            os.environ.get(f"MAMMOSCOPE_PACS_{name}") for name in ("USER", "PASSWORD", "TOKEN", "CA")
        )
        if authority and tls.authority is None:
            tls = replace(tls, authority=Path(authority))
        return cls(url, user, password, token, tls)

    def __str__(self) -> str:
        return self.url
