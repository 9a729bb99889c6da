"""A table that lists files: CSV or Parquet, with a column ``path`` or ``url``, and perhaps one ``exam``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import chain, groupby, islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from mammoscope.archive.places import filesystem_of, is_url, remote_errors
from mammoscope.archive.sources.dicomweb import Resource, dicomweb_batches
from mammoscope.archive.sources.file import LONGEST_BATCH, Batch, SourceFile, local_file, remote_file
from mammoscope.archive.sources.folder import Refuse
from mammoscope.errors import InputError, MammoscopeError

SUFFIXES = (".csv", ".parquet")
_PLACES, _EXAM = ("path", "url"), "exam"
_ROWS_AT_A_TIME = 4096

Line = tuple[int, str, str]  # row from 1, place, exam


def is_manifest(place: str) -> bool:
    """Whether a place is called as a table is."""
    return place.lower().endswith(SUFFIXES)


def manifest_batches(place: str, stream: BinaryIO, refuse: Refuse) -> Iterator[Batch]:
    """The files of a table, in its order.

    Parameters
    ----------
    place
        Path or URL of the table; paths in it start from its folder.
    stream
        The table, opened.
    refuse
        Called with the error of each row without a place.

    Yields
    ------
    tuple of SourceFile
        Rows that follow one another and have the same ``exam`` or, where there is no such column, lie in one folder or
        study; at most 10,000.

    Raises
    ------
    MammoscopeError
        It is no such table; names it and what is wrong.
    """
    lines = _csv_lines(place, stream) if place.lower().endswith(".csv") else _parquet_lines(place, stream)
    base = place.rpartition("/")[0]
    for _, rows in groupby(_placed(lines, place, base, refuse), key=lambda line: line[2]):
        files = chain.from_iterable(_files(line[1], refuse) for line in rows)
        while batch := tuple(islice(files, LONGEST_BATCH)):
            yield batch


def _placed(lines: Iterator[Line], table: str, base: str, refuse: Refuse) -> Iterator[Line]:
    for number, place, exam in lines:
        if not place:
            refuse(InputError(table, f"row {number} has no {' or '.join(_PLACES)}"))
            continue
        is_whole = is_url(place) or Path(place).is_absolute() or not base
        whole = place if is_whole else f"{base}/{place}"
        yield number, whole, f"exam {exam}" if exam else f"folder {_folder_of(whole)}"


def _folder_of(place: str) -> str:
    resource = Resource.of(place)
    return place.rpartition("/")[0] if resource is None else resource.study_url


def _files(place: str, refuse: Refuse) -> Iterator[SourceFile]:
    if not is_url(place):
        yield local_file(Path(place))
    elif (resource := Resource.of(place)) is not None:
        try:
            yield from chain.from_iterable(dicomweb_batches(resource, refuse))
        except MammoscopeError as error:
            refuse(InputError(place, str(error)))
    else:
        try:
            with remote_errors(place):
                files, path = filesystem_of(place)
                facts = files.info(path)
        except MammoscopeError:  # said when it is read
            facts = {}
        yield remote_file(place, facts)


def _column(names: list[str], table: str) -> str:
    found = [name for name in _PLACES if name in names]
    if len(found) != 1:
        problem = f"has the columns {', '.join(names) or 'none'}, expected one of {' and '.join(_PLACES)}"
        raise MammoscopeError(f"{table}: {problem}")
    return found[0]


def _csv_lines(table: str, stream: BinaryIO) -> Iterator[Line]:
    try:
        rows = csv.DictReader(TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
        column = _column(list(rows.fieldnames or ()), table)
        for number, row in enumerate(rows, start=1):
            yield number, (row[column] or "").strip(), (row.get(_EXAM) or "").strip()
    except (UnicodeDecodeError, csv.Error) as error:
        raise MammoscopeError(f"{table}: is no CSV table in UTF-8 ({error})") from None


def _parquet_lines(table: str, stream: BinaryIO) -> Iterator[Line]:
    try:
        parquet = pq.ParquetFile(stream)
        names = parquet.schema_arrow.names
        column, number = _column(names, table), 0
        wanted = [column, *([_EXAM] if _EXAM in names else [])]
        for group in parquet.iter_batches(_ROWS_AT_A_TIME, columns=wanted):
            for row in group.to_pylist():
                number += 1
                yield number, str(row[column] or ""), str(row.get(_EXAM) or "")
    except pa.ArrowException as error:
        raise MammoscopeError(f"{table}: is no Parquet table ({' '.join(str(error).split())[:200]})") from None
