"""What was drawn beside what was found: the demo's own check, on a case that shows nothing of accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from mammoscope import NOTICE
from mammoscope.example.truth import TrueLesion, TrueView, read_truth
from mammoscope.findings import Analysis, Finding
from mammoscope.geometry import box_iou
from mammoscope.kinds import kind_named
from mammoscope.writers.json import read_analysis
from mammoscope.writers.malignancy import NOT_GRADED

HIT_IOU = 0.2  # of the boxes, as in the wider of the two hits that detectors are measured by


@dataclass(frozen=True)
class Compared:
    """One lesion, one finding, one that is both, or a view without either.

    Attributes
    ----------
    file
        Its name.
    truth
        How the view that it lies on was drawn.
    lesion
        None: nothing was drawn there.
    number, finding
        Of the finding, from 1 as in the overlay; None: nothing was found there.
    iou
        Of the boxes, 0-1; 0 without both.
    """

    file: str
    truth: TrueView
    lesion: TrueLesion | None
    number: int | None
    finding: Finding | None
    iou: float = 0.0


def compared(exam: Path, results: Path) -> list[Compared]:
    """The lesions of an exam's ``truth.json`` with the findings that hit them, then the false findings, by view.

    A finding hits a lesion of its kind where the boxes overlap by ``HIT_IOU`` or more; each lesion is hit once, by the
    finding with the highest detection score.

    Parameters
    ----------
    exam
        Folder that ``write_exam`` wrote.
    results
        Folder of the analyses, each named after its file with ``.json``.

    Raises
    ------
    InputError
        The truth or an analysis is missing or cannot be read; names the file.
    """
    rows: list[Compared] = []
    for file, view in read_truth(exam).files.items():
        rows += _of_view(file, view, read_analysis(results / f"{Path(file).stem}.json"))
    return rows


def _of_view(file: str, view: TrueView, analysis: Analysis) -> Iterator[Compared]:
    free = dict(enumerate(analysis.findings, start=1))  # highest detection score first
    for lesion in view.lesions:
        overlaps = {number: _iou(finding, lesion) for number, finding in free.items() if finding.kind == lesion.kind}
        hit = next((number for number, iou in overlaps.items() if iou >= HIT_IOU), None)
        if hit is None:
            yield Compared(file, view, lesion, None, None)
        else:
            yield Compared(file, view, lesion, hit, free.pop(hit), overlaps[hit])
    for number, finding in free.items():
        yield Compared(file, view, None, number, finding)
    if not view.lesions and not analysis.findings:
        yield Compared(file, view, None, None, None)


def _iou(finding: Finding, lesion: TrueLesion) -> float:
    box = finding.box
    return float(box_iou(np.array([[box.x0, box.y0, box.x1, box.y1]]), np.array([lesion.box]))[0, 0])


def truth_table(rows: list[Compared]) -> Table:
    """One row for each of these."""
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False, caption=NOTICE, caption_style="yellow")
    for head in ("file", "view", "drawn", "found", "score", "malignancy"):
        table.add_column(head, min_width=len(head) + 1, justify="right" if head == "score" else "left")
    for row in rows:
        table.add_row(
            row.file.removesuffix(".dcm"),
            f"{row.truth.laterality[0]} {row.truth.view}",
            _drawn(row.lesion),
            _found(row),
            "" if row.finding is None else f"{row.finding.detection_score:.2f}",
            "" if row.finding is None else row.finding.malignancy or NOT_GRADED,
        )
    return table


def summary(rows: list[Compared]) -> str:
    """The counts in a sentence."""
    drawn = sum(row.lesion is not None for row in rows)
    hit = sum(row.lesion is not None and row.finding is not None for row in rows)
    false = sum(row.lesion is None and row.finding is not None for row in rows)
    return (
        f"Drawn: {drawn} (each lesion counts once a view). Found: {hit}. False findings: {false}. "
        "This says nothing of accuracy on patients."
    )


def _found(row: Compared) -> str:
    if row.finding is None:
        return "missed" if row.lesion else "nothing"
    return f"finding {row.number}" + ("" if row.lesion else ", false")


def _drawn(lesion: TrueLesion | None) -> str:
    if lesion is None:
        return "nothing"
    features = ", ".join(word.lower().replace("_", " ") for word in lesion.features.values())
    grade = "malignant" if lesion.malignant else "benign"
    return f"{lesion.lesion}: {grade} {kind_named(lesion.kind).word}, {features}"
