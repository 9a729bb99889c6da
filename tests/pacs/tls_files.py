"""A certificate of the tests' own authority for 127.0.0.1."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TlsFiles:
    authority: Path
    certificate: Path
    key: Path


def make_tls_files(folder: Path) -> TlsFiles:
    """Make both with the openssl command; the authority is trusted by nobody else."""
    files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority_key, request, extensions = folder / "ca.key", folder / "cert.csr", folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"]
    sign = ["openssl", "x509", "-req", "-CAcreateserial", "-days", "2", "-sha256", "-extfile", extensions]
    for command in (
        [*new, "-x509", "-days", "2", "-subj", "/CN=tests", "-keyout", authority_key, "-out", files.authority],
        [*new, "-subj", "/CN=127.0.0.1", "-keyout", files.key, "-out", request],
        [*sign, "-in", request, "-CA", files.authority, "-CAkey", authority_key, "-out", files.certificate],
    ):
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return files
