"""Write ``index.html`` and ``comparison.csv``, and a study's part of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from mammoscope import NOTICE, __version__
from mammoscope.datasets.layout import Dataset
from mammoscope.evaluation.report.tables import Table
from mammoscope.files import write_text
from mammoscope.studies.comparison import Comparison
from mammoscope.studies.page.curves import learning_curves
from mammoscope.studies.page.panel import panel
from mammoscope.studies.page.tables import as_csv, definitions_of, notes_of, tables_of
from mammoscope.studies.plan import Item, Place
from mammoscope.studies.study import Split

PAGE = "index.html"
TABLE = "comparison.csv"


def write_page(comparison: Comparison, place: Place, items: Sequence[Item], datasets: Mapping[Split, Dataset]) -> Path:
    """Write both files into the study's folder, and return the page's path.

    Raises
    ------
    MammoscopeError
        A file cannot be written.
    """
    dataset = datasets["by-patient"]
    template = (files("mammoscope.studies.page") / "index.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    html = environment.from_string(template).render(
        study=comparison.study,
        notice=NOTICE,
        version=__version__,
        dataset=dataset,
        tables=list(tables_of(comparison)),
        notes=notes_of(comparison),
        definitions=definitions_of(comparison),
        curves=learning_curves(comparison, items),
        panel=panel(comparison, place, dataset),
    )
    write_text(place.out / TABLE, as_csv(comparison))
    write_text(place.out / PAGE, html)
    return place.out / PAGE


def write_markdown(comparison: Comparison, place: Place, page: Path) -> None:
    """Put a study's tables between its markers in a Markdown page; a page without them gets them at its end.

    No image is shown there: it would be a copy of data.

    Raises
    ------
    MammoscopeError
        The page cannot be written.
    """
    first, last = f"<!-- study: {place.name} -->", f"<!-- end of study: {place.name} -->"
    part = "\n".join([first, *_markdown(comparison), last])
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    pattern = re.compile(re.escape(first) + ".*?" + re.escape(last), re.DOTALL)
    is_there = pattern.search(text) is not None
    write_text(page, pattern.sub(lambda _: part, text) if is_there else f"{text.rstrip()}\n\n{part}\n".lstrip())


def _markdown(comparison: Comparison) -> list[str]:
    lines = [
        f"## {comparison.study.title}",
        "",
        f"**{NOTICE}** Written by `mammoscope compare`, version {__version__}.",
    ]
    lines += ["", *(f"- {note}" for note in notes_of(comparison))]
    for table in tables_of(comparison):
        lines += ["", f"### {table.title}", "", *([table.intro, ""] if table.intro else []), *_as_markdown(table)]
    lines += ["", "### Definitions", ""]
    lines += [f"- `{name}`: {meaning}" for name, meaning in definitions_of(comparison).items()]
    return lines


def _as_markdown(table: Table) -> list[str]:
    rows = [table.header, tuple("---" for _ in table.header), *table.rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
