"""The findings table, as it reads in a terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from made_analyses import analysis, finding, mammogram
from rich.console import Console

from mammoscope import NOTICE
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.findings import Analysis, Size
from mammoscope.writers.table import findings_table, told_apart

UNKNOWN_SIZE = Size(area_mm2=None, longest_diameter_mm=None, unknown_because="no spacing")


def shown(*rows: Analysis | MammoscopeError, width: int = 120) -> list[str]:
    """The lines of the table's body and below, blanks squeezed."""
    text = StringIO()
    Console(file=text, width=width).print(findings_table(rows))
    lines = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    body = next(number for number, line in enumerate(lines, start=1) if line.startswith("─"))
    return [line for line in lines[body:] if line]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (analysis(mammogram()), ["exam-R-CC R CC no finding"]),
        (analysis(mammogram(), outcome="no_breast_found"), ["exam-R-CC R CC no breast found"]),
        (analysis(mammogram(laterality=None, view=None)), ["exam-R-CC ? ? no finding"]),
        (
            analysis(mammogram(), finding((600, 500, 700, 621))),
            ["exam-R-CC R CC 1 0.64 81% above 50% 15.3 120 650, 560"],
        ),
        (
            analysis(mammogram(), finding((0, 0, 9, 9)), finding((0, 0, 8, 8), 0.2, 0.4, size=UNKNOWN_SIZE)),
            ["exam-R-CC R CC 1 0.64 81% above 50% 15.3 120 4, 4", "exam-R-CC R CC 2 0.40 20% below 50% – – 4, 4"],
        ),
        (
            InputError("folder/odd.dcm", "Modality is 'CT', [bold]expected[/bold] MG"),
            ["odd.dcm failed", "Modality is 'CT', [bold]expected[/bold] MG"],
        ),
        (MammoscopeError("bundle.json: is missing"), ["bundle.json: is missing failed"]),
        (analysis(mammogram(name="[red]name")), ["[red]name R CC no finding"]),
    ],
)
def test_each_outcome_is_said_outright(row: Analysis | MammoscopeError, expected: list[str]) -> None:
    assert shown(row) == [*expected, NOTICE]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["a/1-1.dcm"], [""]),
        (["a/1-1.dcm", "b/1-1.dcm", "c/1-1.dcm"], ["a/1-1.dcm", "b/1-1.dcm", "c/1-1.dcm"]),
        (["x/a/1-1.dcm", "y/a/1-1.dcm", "x/1-2.dcm"], ["x/a/1-1.dcm", "y/a/1-1.dcm", ""]),
        (["a/1-1.dcm", "a/1-1.png"], ["1-1.dcm", "1-1.png"]),
        (["1-1.dcm", "a/1-1.dcm"], ["1-1.dcm", "a/1-1.dcm"]),
    ],
)
def test_files_of_one_name_can_be_told_apart(paths: list[str], names: list[str]) -> None:
    given = [Path(path) for path in paths]
    assert told_apart(given) == names
    if paths:
        rows = [analysis(mammogram(name=path.stem)) for path in given]
        text = StringIO()
        Console(file=text, width=120).print(findings_table(rows, told_apart(given)))
        printed = [line.split()[0] for line in text.getvalue().splitlines() if "no finding" in line]
        assert printed == [name or path.stem for name, path in zip(names, given, strict=True)]
        assert len(set(printed)) == len(printed)


def test_no_file_gives_an_empty_table() -> None:
    assert shown() == [NOTICE]


def test_a_narrow_terminal_loses_no_number() -> None:
    image = mammogram(name="a-file-name-that-is-too-long-for-its-column")
    text = "\n".join(shown(analysis(image, finding((3000, 3000, 3200, 3200))), width=80))
    for cell in ("R CC", "1", "0.64", "81%", "above 50%", "15.3", "120", "3100, 3100"):
        assert cell in text
