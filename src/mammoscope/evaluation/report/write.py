"""Write the results of an evaluation: ``report.json``, ``report.html`` and ``cases.csv``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from mammoscope import NOTICE
from mammoscope.bundle import Bundle
from mammoscope.datasets.layout import Dataset
from mammoscope.errors import MammoscopeError
from mammoscope.evaluation.metrics.intervals import Bootstrap, Json
from mammoscope.evaluation.report.plots import Plot
from mammoscope.evaluation.report.tables import figure_tables, reference_tables
from mammoscope.files import csv_text, write_text

INTERVALS = (
    "Every ci95 is a 95% percentile bootstrap over patients, as lesions of one patient are not independent; draws in "
    "which a figure has no denominator are left out of its interval."
)

DATASET = "The folder's name, and the SHA-256 of its lesions.csv; with images.csv or dataset.json, that of all hashes."


@dataclass(frozen=True, eq=False)
class Measured:
    """The results of the evaluation of one stage.

    Attributes
    ----------
    figures
        By the keys of ``report.json``.
    definition
        One sentence for each key of ``figures``, at any depth.
    rows
        One object a case, for ``cases.csv``.
    draw
        Draws the plots of ``report.html``.
    """

    figures: Json
    definition: dict[str, str]
    rows: Sequence[Json]
    draw: Callable[[], Sequence[Plot]]


def subject_of(stage: str) -> str:
    """What the evaluation of a stage is about, in words."""
    return {"weak": "whole images", "stress": "the whole chain on images made worse"}.get(stage, f"the {stage}")


def make_folder(out: Path) -> None:
    """Make the output folder before an evaluation that may take hours.

    Raises
    ------
    MammoscopeError
        It cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(error, out) from None


def write_report(
    stage: str, measured: Measured, out: Path, *, dataset: Dataset, bundle: Bundle, bootstrap: Bootstrap
) -> Path:
    """Write the three files into ``out``, ``report.json`` last, and return its path.

    Raises
    ------
    MammoscopeError
        A file cannot be written.
    """
    published = dataset.info.published(stage)
    report: Json = {
        "stage": stage,
        **measured.figures,
        "definition": {**measured.definition, "ci95": INTERVALS, "dataset": DATASET},
        "dataset": {"name": dataset.name, "sha256": dataset.sha256, "patients": len(dataset.patients)},
        "bundle": bundle.identity.model_dump(),
        "seed": bootstrap.seed,
        "draws": bootstrap.draws,
        "code_version": bundle.code_version,
        "notice": NOTICE,
    }
    if published is not None:
        report["published_reference"] = published
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(out / "cases.csv", csv_text(measured.rows))
    write_text(out / "report.html", _as_html(report, measured, published))
    write_text(out / "report.json", text)
    return out / "report.json"


def _cannot_write(error: OSError, out: Path) -> MammoscopeError:
    return MammoscopeError(f"{error.filename or out}: cannot be written ({error.strerror})")


def _as_html(report: Json, measured: Measured, published: Json | None) -> str:
    template = (files("mammoscope.evaluation.report") / "report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        report=report,
        subject=subject_of(str(report["stage"])),
        intervals=INTERVALS,
        tables=list(figure_tables(measured.figures, measured.definition)),
        references=list(reference_tables(published)) if published is not None else [],
        plots=measured.draw(),
    )
