"""The name of an image and the place of its files. Names come from a hash of its UID, never from its header."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

OF_EXAMS = REPORT, SELECTION = ("exam", "ko")  # kinds of result that are on an exam, beside those of one of its images


def key_of(sop_instance: str) -> str:
    """The name that an image has on disk and in logs."""
    return hashlib.sha256(sop_instance.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ImagePlace:
    """The folder of one image.

    Attributes
    ----------
    folder
        ``DATA/files/<key>``.
    """

    folder: Path

    @property
    def image(self) -> Path:
        """The image as received, a DICOM file."""
        return self.folder / "image.dcm"

    @property
    def analysis(self) -> Path:
        """The analysis as JSON."""
        return self.folder / "analysis.json"

    def result(self, kind: str) -> Path:
        """One DICOM object with results."""
        return self.folder / f"{kind}.result.dcm"

    @property
    def earlier(self) -> Path:
        """Folder of earlier reports on its study, while it is analysed."""
        return self.folder / "earlier"

    def results(self) -> list[Path]:
        """The existing DICOM objects."""
        return sorted(self.folder.glob("*.result.dcm"))

    def own_results(self) -> list[Path]:
        """Those on the image alone, not on its exam."""
        return [path for path in self.results() if path not in map(self.result, OF_EXAMS)]
