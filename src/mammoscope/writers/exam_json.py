"""The report on an exam as JSON, and its JSON Schema.

The schema that ships, ``schemas/exam.schema.json``, is what ``python -m mammoscope.writers.exam_json`` prints.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mammoscope.exam_report import EXAM_SCHEMA_VERSION, ExamReport
from mammoscope.files import write_text
from mammoscope.writers.json_schema import as_committed, published_schema

EXAM_SUFFIX = ".exam.json"


def write_exam_report(report: ExamReport, path: Path) -> None:
    """Write a report as indented JSON, whole or not at all.

    Raises
    ------
    MammoscopeError
        The file cannot be written.
    """
    write_text(path, report.model_dump_json(indent=2) + "\n")


def reported_in(path: Path) -> set[str] | None:
    """Names of the analyses that a report is about; None if there is no readable report."""
    try:
        report = ExamReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return {view.report for view in report.views}


def exam_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the files that ``write_exam_report`` writes."""
    return published_schema(ExamReport, f"urn:mammoscope:exam:{EXAM_SCHEMA_VERSION}", "mammoscope report on one exam")


def exam_schema_text() -> str:
    """``exam_schema`` as the committed file holds it."""
    return as_committed(exam_schema())


if __name__ == "__main__":
    sys.stdout.write(exam_schema_text())
