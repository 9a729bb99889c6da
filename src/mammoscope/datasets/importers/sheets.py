"""The tables of a collection: CSV with commas, semicolons or tabs, and workbooks of Excel."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammoscope.datasets.tables import Row
from mammoscope.errors import DatasetError

_SEPARATORS = ",;\t"
_MOST_ROWS, _MOST_COLUMNS = 200_000, 200


def read_cells(path: Path, sheet: str | None = None) -> list[list[str]]:
    """All cells as text, row by row: whole numbers without decimals, empty cells as ``""``.

    Parameters
    ----------
    sheet
        Of a workbook; None, or if there is none of that name: the first.

    Raises
    ------
    DatasetError
        The file cannot be read or is not such a table.
    """
    readers = {".xlsx": _read_xlsx, ".xls": _read_xls}
    try:
        if path.suffix.lower() in readers:
            return readers[path.suffix.lower()](path, sheet)
        return _read_csv(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_sheet(path: Path, wanted: Mapping[str, str], optional: Mapping[str, str] | None = None) -> list[Row]:
    """The rows of a table whose first row names its columns; empty rows are left out.

    Parameters
    ----------
    wanted, optional
        Column of the table by the name that it gets. Blanks, underscores, hyphens and capitals make no difference.

    Raises
    ------
    DatasetError
        As ``read_cells``; also if a wanted column is missing (names it, and those there are).
    """
    cells = read_cells(path)
    header = {_plain(name): place for place, name in reversed(list(enumerate(cells[0] if cells else [])))}
    missing = [column for column in wanted.values() if _plain(column) not in header]
    if missing:
        there = ", ".join(name for name in (cells[0] if cells else []) if name) or "none"
        raise DatasetError(f"{path}: has no column {', '.join(map(repr, missing))}; it has {there}")
    places = {name: header.get(_plain(column)) for name, column in {**(optional or {}), **wanted}.items()}
    return [
        Row(f"{path}, row {number}", {name: _cell(values, place) for name, place in places.items()})
        for number, values in enumerate(cells[1:], start=2)
        if any(values)
    ]


def _cell(values: Sequence[str], place: int | None) -> str:
    return "" if place is None or place >= len(values) else values[place]


def _plain(column: str) -> str:
    return re.sub(r"[\s_-]+", "", column).lower()


def _read_csv(path: Path) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: is not UTF-8 text") from None
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    try:
        return [
            [cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        ]
    except csv.Error as error:
        raise DatasetError(f"{path}: is not a CSV table ({error})") from None


def _read_xlsx(path: Path, sheet: str | None) -> list[list[str]]:
    from openpyxl import load_workbook  # noqa: PLC0415 (few collections have workbooks)

    try:
        book = load_workbook(path, read_only=True, data_only=True)
        page = book[sheet] if sheet in book.sheetnames else book.worksheets[0]
        rows = [
            [_text(value) for value in row]
            for row in page.iter_rows(max_row=_MOST_ROWS, max_col=_MOST_COLUMNS, values_only=True)
        ]
        book.close()
    except OSError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise DatasetError(f"{path}: is not an Excel workbook ({type(error).__name__})") from None
    return rows


def _read_xls(path: Path, sheet: str | None) -> list[list[str]]:
    import xlrd  # noqa: PLC0415 (few collections have workbooks)

    try:
        book = xlrd.open_workbook(path, logfile=io.StringIO())
        page = book.sheet_by_name(sheet) if sheet in book.sheet_names() else book.sheet_by_index(0)
        return [[_text(value) for value in page.row_values(row)] for row in range(page.nrows)]
    except OSError:
        raise
    except Exception as error:  # xlrd raises whatever its parser raises
        raise DatasetError(f"{path}: is not an Excel workbook ({type(error).__name__})") from None


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
