"""What tests ask of an archive, by pyarrow alone: as its users do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

TABLES = ("images", "findings", "exams", "errors")


def rows(archive: Path, table: str) -> list[dict[str, Any]]:
    """All rows of a table."""
    found: list[dict[str, Any]] = ds.dataset(archive / table, partitioning="hive").to_table().to_pylist()
    return found


def assert_whole(archive: Path, images: int) -> None:
    """So many images, each once, and the other tables of these images alone."""
    hashes = [row["image"] for row in rows(archive, "images")]
    assert len(hashes) == images == len(set(hashes))
    exams = [row["exam"] for row in rows(archive, "exams")]
    assert len(exams) == len(set(exams))
    assert sorted(image for row in rows(archive, "exams") for image in row["images"]) == sorted(hashes)
    assert {row["image"] for row in rows(archive, "findings")} <= set(hashes)
    keys = [row["source_key"] for table in ("images", "errors") for row in rows(archive, table)]
    assert len(keys) == len(set(keys))
