"""Analyse many files: plan names and exams, skip what is done, stream outcomes."""

from __future__ import annotations

from mammoscope.batch.job import Done, Options
from mammoscope.batch.run import analyze_files

__all__ = ["Done", "Options", "analyze_files"]
