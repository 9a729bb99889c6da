"""The comparison as tables of text, for the page and for Markdown, and as rows for a CSV."""

from __future__ import annotations

from collections.abc import Iterator

from mammoscope.evaluation.metrics.intervals import Estimate
from mammoscope.evaluation.report.tables import Table
from mammoscope.files import csv_text
from mammoscope.studies.comparison import Cell, Comparison, Costs, Line
from mammoscope.studies.costs import DEFINITIONS as COSTS
from mammoscope.studies.records import report_of

_NONE = "–"
_PLACES = {
    "wider": "In a cut from the full image, as many times as wide as usual as the name says: ",
    "boxes": "On all lesions, cut by their true boxes: ",
    "crops": "On lesions with a published crop: ",
}
_WEAKNESS = (
    "Epochs, thresholds and calibration are chosen on the same patients that are measured, alike for all entries, so "
    "the figures are optimistic and their differences less so."
)
_BASE = (
    "Steps kept from the base bundle are the same for all entries; in folds other than its own they have seen the "
    "patients that validate."
)
_SPLITS = {
    "before-augmentation": "every lesion is copied with random changes; patients are divided, so that no copy of a "
    "lesion is on both sides",
    "after-augmentation": "the same images, but each copy is divided as a patient of its own, so that copies of one "
    "lesion are on both sides: this leaks",
}


def tables_of(comparison: Comparison) -> Iterator[Table]:
    """Figures, differences, costs, and what is not measured yet; those without rows are left out."""
    study, lines = comparison.study, comparison.lines
    measured = [line for line in lines if line.cells]
    by_split = any(line.entry.split != "by-patient" for line in lines)
    head = ("", "entry", *(("split",) if by_split else ()))

    def first(line: Line) -> tuple[str, ...]:
        return line.entry.row, line.entry.name, *((line.entry.split,) if by_split else ())

    if measured:
        yield Table(
            "Figures",
            "In brackets: the 95% interval, a bootstrap over patients.",
            (*head, "folds", "patients", *study.tabled),
            tuple(
                (*first(line), *_size(line), *(_estimate(line.cells[name].value) for name in study.tabled))
                for line in measured
            ),
        )
    paired = [line for line in measured if any(cell.difference for cell in line.cells.values())]
    if paired:
        yield Table(
            f"Differences to {study.reference}",
            f"Each figure minus that of {study.reference} on the same cases, with its 95% interval; p is two-sided, "
            f"adjusted for {len(paired)} comparisons of each figure (Holm).",
            (*head, *study.tabled),
            tuple((*first(line), *(_difference(line.cells[name]) for name in study.tabled)) for line in paired),
        )
    if measured:
        header = (*head, "parameters, M", "GFLOPs", "ms", "training hours", "CPU hours", "threads", "processor")
        yield Table("Costs", "", header, tuple((*first(line), *_costs(line.costs)) for line in measured))
    waiting = [(line.entry.name, text) for line in lines for text in line.pending]
    if waiting:
        yield Table("Not measured yet", "", ("entry", "what is left"), tuple(waiting))


def definitions_of(comparison: Comparison) -> dict[str, str]:
    """A sentence for each figure and cost in the tables: those of the first report, which all share."""
    first = next((item for line in comparison.lines for item in line.items), None)
    meanings = {} if first is None else report_of(first).get("definition", {})
    found = {}
    for name in comparison.study.tabled:
        place, last = name.split(".")[0], name.split(".")[-1]
        meaning = meanings.get(last) or meanings.get(place, "")
        found[name] = _PLACES.get(place, "") + meaning if "." in name else meaning
    return {name: meaning for name, meaning in found.items() if meaning} | COSTS


def notes_of(comparison: Comparison) -> list[str]:
    """What a reader must know to read the figures rightly."""
    study = comparison.study
    folds = ", ".join(map(str, study.folds))
    notes = [
        f"Folds {folds} of {study.of_folds}, by patient; seeds {', '.join(map(str, study.seeds))}. The patients of all "
        f"folds are pooled, each as measured by a network that has not seen it, and seeds are averaged. "
        f"{comparison.draws} draws of patients.",
        _WEAKNESS,
    ]
    if any(entry.recipe or entry.step for entry in study.entries) and study.folds != (0,):
        notes.append(_BASE)
    if study.stage == "detector":
        notes.append("Detectors are measured without a rescorer, but for bundles that are measured as they are.")
    notes += [
        f"{line.entry.name} is a bundle, measured only on the patients that it was not trained on: fold "
        f"{', '.join(map(str, line.folds)) or 'not measured yet'}; differences are of these."
        for line in comparison.lines
        if line.entry.bundle and len(line.folds) < len(study.folds)
    ]
    splits = sorted({entry.split for entry in study.entries} & _SPLITS.keys(), reverse=True)
    notes += [f"Split {split}: {_SPLITS[split]}." for split in splits]
    if splits:
        notes.append("Entries of different splits are measured on different cases: they are not compared in pairs.")
    return notes


def as_csv(comparison: Comparison) -> str:
    """One row an entry and figure; figures at full precision."""
    rows = [_csv_row(comparison, line, name, cell) for line in comparison.lines for name, cell in line.cells.items()]
    return csv_text(rows) if rows else "entry,figure,value\n"


def _csv_row(comparison: Comparison, line: Line, name: str, cell: Cell) -> dict[str, object]:
    costs = line.costs
    return {
        "row": line.entry.row,
        "entry": line.entry.name,
        "split": line.entry.split,
        "figure": name,
        **_interval("", cell.value),
        "reference": comparison.study.reference if cell.difference else "",
        **_interval("difference_", cell.difference),
        "p": cell.p,
        "p_holm": cell.p_holm,
        "folds": " ".join(map(str, line.folds)),
        "patients": cell.patients,
        "cases": cell.cases,
        "parameters": costs.parameters,
        "gflops": costs.gflops,
        "milliseconds": costs.milliseconds,
        "training_hours": None if costs.training_hours is None else round(costs.training_hours, 6),
        "training_cpu_hours": None if costs.training_cpu_hours is None else round(costs.training_cpu_hours, 6),
        "threads": costs.threads,
        "processor": costs.processors,
    }


def _interval(prefix: str, estimate: Estimate | None) -> dict[str, object]:
    low, high = (estimate and estimate.ci95) or (None, None)
    value = estimate.value if estimate else None
    return {f"{prefix or 'value'}".rstrip("_"): value, f"{prefix}low": low, f"{prefix}high": high}


def _size(line: Line) -> tuple[str, str]:
    patients = max(cell.patients for cell in line.cells.values())
    return ", ".join(map(str, line.folds)), str(patients)


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return _NONE
    low_high = f" [{estimate.ci95[0]:.3f}, {estimate.ci95[1]:.3f}]" if estimate.ci95 else ""
    return f"{estimate.value:.3f}{low_high}"


def _difference(cell: Cell) -> str:
    found = cell.difference
    if found is None or found.value is None:
        return _NONE
    low_high = f" [{found.ci95[0]:+.3f}, {found.ci95[1]:+.3f}]" if found.ci95 else ""
    p = f", p {_p(cell.p_holm)}" if cell.p_holm is not None else ""
    return f"{found.value:+.3f}{low_high}{p}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"


def _costs(costs: Costs) -> tuple[str, ...]:
    return (
        _NONE if costs.parameters is None else f"{costs.parameters / 1e6:.2f}",
        _number(costs.gflops, 2),
        _number(costs.milliseconds, 1),
        _number(costs.training_hours, 2),
        _number(costs.training_cpu_hours, 2),
        costs.threads or _NONE,
        costs.processors or _NONE,
    )


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"
