"""A file of an exam, as what is taken away of the exam has it."""

from __future__ import annotations

from dataclasses import dataclass

from mammoscope.findings import Analysis
from mammoscope.server.file_place import FilePlace
from mammoscope.server.models import File
from mammoscope.server.view_names import shown_view


@dataclass(frozen=True)
class ReportedFile:
    """A file that is done, and its analysis at the threshold of the reader's record."""

    file: File
    place: FilePlace
    analysis: Analysis

    @property
    def title(self) -> str:
        """Number, side and view."""
        return f"{self.file.number + 1}: {shown_view(self.file) or 'view not known'}"
