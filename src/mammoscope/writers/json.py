"""The analysis as JSON, and its JSON Schema.

The schema that ships, ``schemas/analysis.schema.json``, is what ``python -m mammoscope.writers.json`` prints.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mammoscope.errors import InputError
from mammoscope.files import write_text
from mammoscope.findings import SCHEMA_VERSION, Analysis
from mammoscope.writers.json_schema import as_committed, published_schema


def write_analysis(analysis: Analysis, path: Path) -> None:
    """Write an analysis as indented JSON, whole or not at all.

    Raises
    ------
    MammoscopeError
        The file cannot be written.
    """
    write_text(path, analysis.model_dump_json(indent=2) + "\n")


def read_analysis(path: Path) -> Analysis:
    """Read what ``write_analysis`` wrote.

    Raises
    ------
    InputError
        The file cannot be read, or is not an analysis of this version; names the first field that is wrong.
    """
    return _parsed(path, _content(path))


def current_json(path: Path) -> bytes:
    """What ``write_analysis`` wrote, as JSON of today's schema; parsed only where an earlier version wrote it.

    Raises
    ------
    InputError
        As ``read_analysis`` does.
    """
    raw = _content(path)
    is_current = raw.startswith(f'{{\n  "schema_version": "{SCHEMA_VERSION}",'.encode())
    return raw if is_current else _parsed(path, raw).model_dump_json().encode()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None


def _parsed(path: Path, raw: bytes) -> Analysis:
    try:
        return Analysis.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            path, f"is not an analysis of schema {SCHEMA_VERSION}: {place or 'file'}: {first['msg']}"
        ) from None


def analysis_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the files that ``write_analysis`` writes."""
    return published_schema(
        Analysis, f"urn:mammoscope:analysis:{SCHEMA_VERSION}", "mammoscope analysis of one mammogram"
    )


def schema_text() -> str:
    """``analysis_schema`` as the committed file holds it."""
    return as_committed(analysis_schema())


if __name__ == "__main__":
    sys.stdout.write(schema_text())
