"""Where the files of an analysis are. Names come from us alone: an id, a number, a kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FilePlace:
    """The folder of one file of an analysis.

    Attributes
    ----------
    folder
        ``DATA/files/<id>/<number>``.
    """

    folder: Path

    @property
    def upload(self) -> Path:
        """The bytes as they came."""
        return self.folder / "upload"

    @property
    def facts(self) -> Path:
        """What reading found out beside the pixels."""
        return self.folder / "facts.json"

    @property
    def identity(self) -> Path:
        """Whose image it is, as its header states it; not there where it states nothing."""
        return self.folder / "identity.json"

    @property
    def original(self) -> Path:
        """``(H, W)`` little-endian uint16, row by row, frame ``original``."""
        return self.folder / "original.u16"

    @property
    def preprocessed(self) -> Path:
        """What the detector sees; not there where no breast was found."""
        return self.folder / "preprocessed.png"

    @property
    def analysis(self) -> Path:
        """The analysis with all candidates down to the server's floor. Written last: where it is, all is."""
        return self.folder / "analysis.json"
