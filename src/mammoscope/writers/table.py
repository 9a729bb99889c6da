"""The findings as a table for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from mammoscope import NOTICE
from mammoscope.errors import InputError, MammoscopeError
from mammoscope.findings import Analysis, Finding, InputFacts
from mammoscope.kinds import ColourKey, grade_named, kind_named, kinds_shown, longest_word, score_word
from mammoscope.readers.source import input_name
from mammoscope.text import printable
from mammoscope.writers.malignancy import malignancy_percent, operating_point_words

_NOT_KNOWN = "–"
_STYLES: dict[ColourKey, str] = {
    "vermillion": "bold orange3",
    "sky blue": "bold sky_blue1",
    "reddish purple": "bold plum3",
}
_OUTCOMES = {"no_finding": "no finding", "no_breast_found": "no breast found"}


def told_apart(paths: Sequence[Path]) -> list[str]:
    """For each file, as much of its path as no other of the files has; empty where its mere name is enough."""
    longest = max((len(path.parts) for path in paths), default=0)
    mere = Counter(input_name(path) for path in paths)
    tails = [["/".join(path.parts[-count:]) for path in paths] for count in range(1, longest + 1)]
    counts = [Counter(tail) for tail in tails]

    def name(place: int, path: Path) -> str:
        if mere[input_name(path)] == 1:
            return ""
        apart = (tail[place] for tail, count in zip(tails, counts, strict=True) if count[tail[place]] == 1)
        return printable(next(apart, str(path)))

    return [name(place, path) for place, path in enumerate(paths)]


def findings_table(analyses: Iterable[Analysis | MammoscopeError], names: Sequence[str] = ()) -> Table:
    """One row for each finding; a file that has no findings or no breast, or that failed, has one row that says so.

    The number of a finding is the one in its overlay; centres are in pixels of the original image. A column says
    the kind where there are several.

    Parameters
    ----------
    analyses
        In the order of the rows; an error takes the row of the file that it names.
    names
        What to call each of them; none, or an empty one: as they call themselves.
    """
    rows = list(analyses)
    analysed = [row for row in rows if isinstance(row, Analysis)]
    kinds = kinds_shown(
        (finding.kind for row in analysed for finding in row.findings),
        (name for row in analysed for name in row.bundle.kinds),
    )
    table = Table(
        box=SIMPLE_HEAD, padding=0, show_edge=False, caption=NOTICE, caption_style="yellow", caption_justify="left"
    )
    table.add_column("file", overflow="fold", min_width=12)
    table.add_column("view", min_width=5, no_wrap=True)
    table.add_column("#", justify="right", min_width=2)
    if len(kinds) > 1:
        table.add_column("kind", min_width=9)
    table.add_column(f"{score_word(kinds)}\nscore", justify="right", min_width=5)
    table.add_column("malig-\nnancy", justify="right", min_width=6)
    table.add_column("operating\npoint", min_width=9)
    table.add_column(f"{longest_word(kinds)}\nmm", justify="right", min_width=7)
    table.add_column("area\nmm²", justify="right", min_width=4)
    table.add_column("centre\nx, y", justify="right", min_width=10, no_wrap=True)
    blank = [""] * (3 if len(kinds) > 1 else 2)
    for analysis, name in zip_longest(rows, names):
        if isinstance(analysis, MammoscopeError):
            table.add_row(_failure(analysis, name), "", "", *blank, Text("failed", style="bold red"))
        elif analysis.findings:
            for number, finding in enumerate(analysis.findings, start=1):
                named = [kind_named(finding.kind).word] if len(kinds) > 1 else []
                table.add_row(
                    *_file_cells(analysis.input, name), str(number), *named, *_finding_cells(finding, analysis)
                )
        else:
            outcome = Text(_OUTCOMES[analysis.outcome], style="bold")
            table.add_row(*_file_cells(analysis.input, name), "", *blank, outcome)
    return table


def _file_cells(facts: InputFacts, name: str | None) -> tuple[Text, str]:
    side = facts.laterality[0] if facts.laterality else "?"
    return Text(name or facts.name), f"{side} {facts.view or '?'}"


def _finding_cells(finding: Finding, analysis: Analysis) -> tuple[str | Text, ...]:
    size, box = finding.size, finding.box
    scores = finding.malignancy_score, analysis.thresholds.malignancy
    return (
        f"{finding.detection_score:.2f}",
        malignancy_percent(*scores),
        Text(operating_point_words(*scores, naming=""), style=_STYLES[grade_named(finding.malignancy).colour]),
        _NOT_KNOWN if size.longest_diameter_mm is None else f"{size.longest_diameter_mm:.1f}",
        _NOT_KNOWN if size.area_mm2 is None else f"{size.area_mm2:.0f}",
        f"{(box.x0 + box.x1) / 2:.0f}, {(box.y0 + box.y1) / 2:.0f}",
    )


def _failure(error: MammoscopeError, name: str | None) -> Text:
    if isinstance(error, InputError):
        return Text.assemble(name or printable(error.path.name), "\n", (error.problem, "red"))
    return Text(str(error), style="red")
