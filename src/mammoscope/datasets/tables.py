"""CSV tables with typed cells: an error names the file, the row, the column, the value, and what would be right."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mammoscope.errors import DatasetError

_LIKE = 0.75  # how similar a column's name and a known one must be to count as a typing error


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    place
        File and row, counted as a spreadsheet does: the header is row 1.
    cells
        Values by column, without blanks around them; a column that the table lacks is empty.
    """

    place: str
    cells: Mapping[str, str]

    def error(self, column: str, expected: str) -> DatasetError:
        """What is wrong with a cell: ``expected`` says what would be right."""
        return DatasetError(f"{self.place}: column {column!r} is {self.cells.get(column, '')!r}, expected {expected}")

    def text(self, column: str, allowed: Sequence[str] = ()) -> str:
        """The cell as it is, one of ``allowed`` where that holds any."""
        value = self.cells.get(column, "")
        if allowed and value not in allowed:
            raise self.error(column, f"one of {', '.join(one or '(empty)' for one in allowed)}")
        return value

    def file_name(self, column: str, *, required: bool = False) -> str:
        """A file's name without a folder."""
        value = self.text(column)
        if (required and not value) or value != Path(value).name:
            raise self.error(column, "a plain file name")
        return value

    def number(self, column: str, low: float, high: float) -> float:
        """A number in the range, both ends included."""
        try:
            parsed = float(self.text(column))
        except ValueError:
            parsed = float("nan")
        if not low <= parsed <= high:
            raise self.error(column, f"a number from {low:g} to {high:g}")
        return parsed

    def number_or_none(self, column: str, low: float, high: float) -> float | None:
        """A number in the range, or None where the cell is empty."""
        return self.number(column, low, high) if self.text(column) else None

    def flag(self, column: str) -> bool | None:
        """0 or 1, or None where the cell is empty."""
        return {"": None, "0": False, "1": True}[self.text(column, ("", "0", "1"))]


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> tuple[Row, ...]:
    """Read a CSV table; columns that are neither required nor optional are ignored.

    Raises
    ------
    DatasetError
        The file cannot be read or is not a table, a required column is missing, or a column's name is nearly that of an
        optional one, which would otherwise be ignored.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: is not UTF-8 text") from None
    reader = csv.DictReader(text.splitlines())
    header = reader.fieldnames or []
    missing = [column for column in required if column not in header]
    if missing:
        raise DatasetError(f"{path}: has no column {', '.join(map(repr, missing))}; it has {', '.join(header)}")
    absent = [column for column in optional if column not in header]
    for column in header:
        if column in required or column in optional:
            continue
        meant = get_close_matches(column.strip().lower(), absent, n=1, cutoff=_LIKE)
        if meant:
            raise DatasetError(f"{path}: has a column {column!r}, which is not read; did you mean {meant[0]!r}?")
    try:
        return tuple(
            Row(f"{path}, row {number}", {column: (cells[column] or "").strip() for column in header})
            for number, cells in enumerate(reader, start=2)
        )
    except csv.Error as error:
        raise DatasetError(f"{path}: is not a CSV table ({error})") from None


def read_header(path: Path) -> tuple[str, ...]:
    """The names of a table's columns, in their order; of a table that ``read_table`` or ``write_rows`` knows."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return tuple(next(csv.reader(stream), ()))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[object]) -> None:
    """Write objects as a table, a column for each attribute named; ``read_table`` gives their values again."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_as_text(getattr(row, column)) for column in columns])


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return " ".join(_as_text(one) for one in value)
    return f"{value:.10g}" if isinstance(value, float) else str(value)
