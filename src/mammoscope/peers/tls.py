"""Certificates and keys: how connections are encrypted, and who is believed to be who."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from mammoscope.errors import MammoscopeError


@dataclass(frozen=True)
class Tls:
    """Files in PEM format.

    Attributes
    ----------
    certificate, key
        mammoscope's own; None: none is presented.
    authority
        Who must have signed the certificates of others; None: those that the system trusts; callers need none.
    """

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise MammoscopeError("a TLS certificate needs its key, and a key its certificate: give both or none")
        for path in (self.certificate, self.key, self.authority):
            if path is not None and not path.is_file():
                raise MammoscopeError(f"{path}: no such file")

    def for_listening(self) -> ssl.SSLContext | None:
        """What a receiver needs; None without a certificate: then it does not speak TLS."""
        if self.certificate is None:
            if self.authority is not None:
                raise MammoscopeError("to check callers' certificates, the receiver needs one itself")
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context)
        if self.authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def for_calling(self) -> ssl.SSLContext:
        """What a caller needs: checks the other's certificate and its host name."""
        context = ssl.create_default_context()
        if self.authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # BCP 195 (PS3.15 B.12)
        try:
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
            if self.authority is not None:
                context.load_verify_locations(self.authority)
        except OSError as error:
            raise MammoscopeError(f"the TLS files cannot be used ({error.strerror or error})") from None


SYSTEMS_TRUST = Tls()  # nothing presented, and whom the system trusts
