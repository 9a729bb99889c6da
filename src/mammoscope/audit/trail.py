"""Record analyses in the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mammoscope import __version__
from mammoscope.audit.chain import FILE_BYTES, append, locked
from mammoscope.bundle import Bundle
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.files import file_sha256
from mammoscope.findings import Analysis, BundleIdentity, Thresholds
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.text import utc_stamp

Source = Literal["analyze", "serve", "pacs"]
Failure = Literal["refused", "failed"]


class AuditTrail:
    """Records the analyses of one bundle in a folder, which any number of processes may share.

    Parameters
    ----------
    folder
        Holds ``audit-000001.jsonl`` and those that follow; made if it is missing.
    source
        The part of mammoscope that analyses.
    bundle
        Its models.
    detection
        Detection score from which regions are reported; None: the bundle's.
    file_bytes
        Size at which the next file is begun.

    Raises
    ------
    MammoscopeError
        The folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path,
        source: Source,
        bundle: Bundle,
        detection: float | None = None,
        *,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._folder, self._source, self._file_bytes = folder, source, file_bytes
        self._bundle = bundle.identity
        self._thresholds = Thresholds(
            detection=bundle.manifest.thresholds.detection if detection is None else detection,
            malignancy=bundle.manifest.thresholds.malignancy,
        )
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(folder):
                pass
        except OSError as error:
            raise MammoscopeError(f"{folder}: cannot hold an audit trail ({error.strerror})") from None

    def record(self, analysis: Analysis) -> None:
        """Record an analysis. Call this before its results are given out, so that no result lacks its line.

        Raises
        ------
        MammoscopeError
            It cannot be recorded.
        """
        self._append(analysis.input.sha256, analysis.bundle, analysis.thresholds, analysis.outcome)

    def record_failure(self, path: Path, failure: Failure) -> None:
        """Record a file that was not analysed.

        Parameters
        ----------
        path
            The file, for its hash alone.
        failure
            ``refused``: the file cannot be analysed; ``failed``: an error of the program or the machine. See
            ``failure_of``.

        Raises
        ------
        MammoscopeError
            It cannot be recorded.
        """
        self._append(_hash_of(path), self._bundle, self._thresholds, failure)

    def _append(self, sha256: str | None, bundle: BundleIdentity, thresholds: Thresholds, outcome: str) -> None:
        entry = {
            "time": utc_stamp("milliseconds"),
            "source": self._source,
            "software": f"mammoscope {__version__}",
            "input_sha256": sha256,
            "bundle": bundle.model_dump(exclude={"kinds"}),
            "thresholds": thresholds.model_dump(),
            "outcome": outcome,
        }
        try:
            with locked(self._folder):
                append(self._folder, entry, self._file_bytes)
        except OSError as error:
            raise MammoscopeError(f"{self._folder}: the audit trail cannot be written ({error.strerror})") from None


def failure_of(error: BaseException) -> Failure:
    """The trail's word for an error: ``refused`` if the input is at fault, else ``failed``."""
    return "refused" if isinstance(error, InputError) else "failed"


def _hash_of(path: Path) -> str | None:
    """Hash of a file, or None if it is larger than mammoscope reads."""
    try:
        is_readable = path.is_file() and path.stat().st_size <= DEFAULT_LIMITS.file_bytes
        return file_sha256(path) if is_readable else None
    except (OSError, ValueError):
        return None
